#include "engine/tensor_index.h"

#include <algorithm>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace costate {
namespace {

// The largest leading axis of arrays that have one more than their tensor; 0 for none.
int64_t LargestBatch(const std::vector<NamedArray>& arrays,
                     const std::vector<TensorInfo>& tensors) {
  const TensorIndex index(tensors, arrays.size());
  int64_t batch = 0;
  for (const NamedArray& array : arrays) {
    const TensorInfo* tensor = index.Find(array.name);
    if (tensor == nullptr || array.shape.size() != tensor->shape.size() + 1) continue;
    batch = std::max(batch, array.shape[0]);
  }
  return batch;
}

}  // namespace

TensorIndex::TensorIndex(const std::vector<TensorInfo>& tensors, size_t lookups)
    : tensors_(tensors) {
  if (lookups <= 8) return;
  by_name_.reserve(tensors.size());
  for (const TensorInfo& tensor : tensors) by_name_.emplace(tensor.name, &tensor);
}

const TensorInfo* TensorIndex::Find(std::string_view name) const {
  if (!by_name_.empty()) {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
  }
  for (const TensorInfo& tensor : tensors_) {
    if (tensor.name == name) return &tensor;
  }
  return nullptr;
}

std::string ElementName(const std::vector<TensorInfo>& tensors, int64_t element) {
  const auto next =
      std::upper_bound(tensors.begin(), tensors.end(), element,
                       [](int64_t at, const TensorInfo& tensor) { return at < tensor.offset; });
  if (next == tensors.begin()) return "";
  const TensorInfo& tensor = *std::prev(next);
  int64_t inside = element - tensor.offset;
  if (inside >= NumElements(tensor.shape)) return "";
  if (tensor.shape.empty()) return tensor.name;
  std::string indices;
  for (size_t axis = tensor.shape.size(); axis-- > 0;) {
    indices = absl::StrCat(inside % tensor.shape[axis], indices.empty() ? "" : ",", indices);
    inside /= tensor.shape[axis];
  }
  return absl::StrCat(tensor.name, "[", indices, "]");
}

ExpectedBatch ExpectBatch(const Simulation& simulation) {
  const ModelIr& ir = simulation.model->ir();
  const int64_t params = LargestBatch(simulation.params, ir.params);
  const int64_t states = LargestBatch(simulation.initial_state, ir.states);
  const int64_t times = static_cast<int64_t>(std::max(simulation.t0.size(), simulation.t1.size()));
  return {.trajectories = std::max({int64_t{1}, params, states, times}),
          .params_batched = params > 0};
}

}  // namespace costate
