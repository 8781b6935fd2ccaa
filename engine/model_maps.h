// A model's three functions as differentiable maps, over kernels that an Evaluator builds.
#ifndef COSTATE_ENGINE_MODEL_MAPS_H_
#define COSTATE_ENGINE_MODEL_MAPS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/engine.h"
#include "engine/model/evaluator.h"
#include "engine/model/ir.h"
#include "engine/solvers/vector_field.h"

namespace costate {

// Kernels of one function {t, y, p} -> {value}. Derivatives are taken and kernels built at first
// use and kept. Thread-safety: all members may be called from any thread; one that needs a kernel
// another thread is building waits for it.
class FunctionMap : public DifferentiableMap {
 public:
  // `function` is verified. `states` are the tensors of y, for names; null or to outlive the map.
  FunctionMap(Function function, std::shared_ptr<Evaluator> evaluator,
              const std::vector<TensorInfo>* states = nullptr);

  int64_t num_states() const override { return num_states_; }
  int64_t num_params() const override { return num_params_; }
  int64_t num_values() const override { return num_values_; }
  int simd_lanes() const override { return evaluator_->simd_lanes(); }
  absl::StatusOr<Kernel> Get(MapKernel kind, int lanes) const override;
  std::string StateName(int64_t state) const override;

 private:
  static constexpr int kNumKinds = 5;
  struct Slot {
    absl::Mutex mutex;
    Kernel kernel ABSL_GUARDED_BY(mutex);
  };
  absl::StatusOr<Kernel> Build(MapKernel kind, int lanes) const;

  const Function function_;
  const int64_t num_states_;
  const int64_t num_params_;
  const int64_t num_values_;
  const std::shared_ptr<Evaluator> evaluator_;
  const std::vector<TensorInfo>* const states_;
  mutable std::array<std::array<Slot, 2>, kNumKinds> slots_;  // [kind][lanes > 1]
};

// The model as the door hands it out. `ir` is verified.
std::shared_ptr<const Model> MakeModel(ModelIr ir, std::string resource_name,
                                       std::shared_ptr<Evaluator> evaluator);

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_MAPS_H_
