// Values of expressions without inputs: defaults and bounds of parameters, extents of shapes.
#ifndef COSTATE_ENGINE_MODEL_CONSTANT_EVALUATOR_H_
#define COSTATE_ENGINE_MODEL_CONSTANT_EVALUATOR_H_

#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/model/ir.h"

namespace costate {

// Evaluates values of `function`, each once. Elementwise ops and those that move elements are
// known; sums along an axis and matrix products are not, and give INVALID_ARGUMENT with a
// message for the writer. `function` outlives this and may grow.
//
// Thread-safety: none.
class ConstantEvaluator {
 public:
  explicit ConstantEvaluator(const Function* function) : function_(*function) {}

  // The elements of value `id`, row-major; conditions as 0 and 1. The pointer holds until the
  // next call.
  absl::StatusOr<const std::vector<double>*> Evaluate(ValueId id);

 private:
  absl::Status EvaluateOne(ValueId id);
  const std::vector<double>& Elements(ValueId id) const;

  const Function& function_;
  absl::flat_hash_map<ValueId, std::vector<double>> values_;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_CONSTANT_EVALUATOR_H_
