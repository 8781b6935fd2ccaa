// Turns IR functions into kernels. Implemented by the interpreter (the oracle) and by the
// compiler; everything above asks through this interface.
#ifndef COSTATE_ENGINE_MODEL_EVALUATOR_H_
#define COSTATE_ENGINE_MODEL_EVALUATOR_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "engine/base/kernel.h"
#include "engine/model/ir.h"

namespace costate {

// How a function is to be evaluated. Bit i of a mask speaks of buffer i.
struct KernelSpec {
  int lanes = 1;                 // 1 or Evaluator::simd_lanes()
  uint64_t uniform_inputs = 0;   // shared by all lanes: [element]; the others are [element][lane]
  uint64_t uniform_outputs = 0;  // written once, [element]; must not depend on a varying input

  friend bool operator==(const KernelSpec&, const KernelSpec&) = default;
};

// Thread-safety: all members may be called from any thread.
class Evaluator {
 public:
  virtual ~Evaluator() = default;

  virtual std::string_view name() const = 0;  // "interpreter", "llvm"

  // The widest lane count this evaluator supports: 1, 2, 4 or 8.
  virtual int simd_lanes() const = 0;

  // INVALID_ARGUMENT for a spec the function cannot satisfy; RESOURCE_EXHAUSTED past a limit.
  // `function` must be verified; it is not kept.
  virtual absl::StatusOr<Kernel> Build(const Function& function, const KernelSpec& spec) = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_EVALUATOR_H_
