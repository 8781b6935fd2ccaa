#include "server/handlers/gradient_answer.h"

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"

namespace costate {

// Columns of `wrt` by name; unknown names are found by the engine.
int64_t CountColumns(const ModelIr& ir, const std::vector<std::string>& wrt) {
  if (wrt.empty()) return ir.num_params();
  absl::flat_hash_map<absl::string_view, int64_t> sizes;  // t0, t1 and unknown names count as 1
  for (const std::vector<TensorInfo>* tensors : {&ir.params, &ir.states}) {
    for (const TensorInfo& tensor : *tensors) sizes[tensor.name] = NumElements(tensor.shape);
  }
  int64_t columns = 0;
  for (const std::string& name : wrt) {
    const auto found = sizes.find(name);
    columns += found == sizes.end() ? 1 : found->second;
  }
  return columns;
}

absl::Status AnswerGradient(CallContext& call, const GradientResult& result,
                            const ModelInWords& words, const WantedParts& wanted,
                            v1::ComputeGradientResponse* response) {
  GradientResultToProto(result, words, wanted, response);
  response->set_model(words.model.resource_name());
  TimingToProto(call, response->mutable_timing());
  return CheckAnswerFits(call, static_cast<double>(response->ByteSizeLong()), kFewerTrajectories);
}

}  // namespace costate
