// Tensors of a model by name, their elements by place, and what a request asks of them.
#ifndef COSTATE_ENGINE_TENSOR_INDEX_H_
#define COSTATE_ENGINE_TENSOR_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "engine/engine.h"
#include "engine/model/ir.h"

namespace costate {

// Finds tensors by name: a scan for a few look-ups, a table for many. The tensors must outlive it.
class TensorIndex {
 public:
  TensorIndex(const std::vector<TensorInfo>& tensors, size_t lookups);

  const TensorInfo* Find(std::string_view name) const;  // null if there is none
  const std::vector<TensorInfo>& tensors() const { return tensors_; }

 private:
  const std::vector<TensorInfo>& tensors_;
  absl::flat_hash_map<std::string_view, const TensorInfo*> by_name_;
};

// "v", "y[3]" or "W[0,2]" for an element of the flat vector; empty outside of it.
std::string ElementName(const std::vector<TensorInfo>& tensors, int64_t element);

// What a simulation asks for before it is checked: the largest leading axis of a batched entry, at
// least 1, and whether an entry of params is batched. Bind checks that all axes agree.
struct ExpectedBatch {
  int64_t trajectories = 1;
  bool params_batched = false;
};
ExpectedBatch ExpectBatch(const Simulation& simulation);

}  // namespace costate

#endif  // COSTATE_ENGINE_TENSOR_INDEX_H_
