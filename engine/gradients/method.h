// The ways to differentiate through a solver, by name.
#ifndef COSTATE_ENGINE_GRADIENTS_METHOD_H_
#define COSTATE_ENGINE_GRADIENTS_METHOD_H_

#include <string_view>

#include "absl/types/span.h"

namespace costate {

enum class GradientMethod {
  kAuto,
  kForward,           // tangents carried along the solve
  kBackprop,          // the discrete adjoint, every step stored
  kCheckpointed,      // the same bits, states at recursive checkpoints, steps between recomputed
  kSegmented,         // the same bits, equally spaced checkpoints, one segment stored at a time
  kReversible,        // the same derivative, steps of a reversible scheme taken back
  kBacksolve,         // continuous adjoint, the state solved backwards with it
  kInterpolating,     // continuous adjoint over dense output, parameter integral inside the solve
  kQuadrature,        // the same, parameter integral by adaptive quadrature afterwards
  kGauss,             // the same, parameter integral by Gauss nodes in each backward step
  kFiniteDifference,  // central differences of solves
  kComplexStep,       // complex perturbations on a frozen grid
};

// What a gradient's derivative is taken of.
enum class GradientFamily {
  kTangent,            // forward
  kDiscreteAdjoint,    // of the steps as they were taken
  kContinuousAdjoint,  // of the differential equation, discretised anew
  kDifference,         // for checks
};

struct GradientMethodInfo {
  GradientMethod method;
  std::string_view name;  // "backprop"
  GradientFamily family;
  std::string_view citation;
};
// `method` is not kAuto.
const GradientMethodInfo& GetGradientMethodInfo(GradientMethod method);
// Those that fit every scheme: without kAuto and kReversible.
absl::Span<const GradientMethod> AllGradientMethods();

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_METHOD_H_
