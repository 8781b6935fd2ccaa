#include "engine/gradients/known_steps.h"

#include <algorithm>
#include <cmath>

namespace costate {

std::optional<int64_t> KnownNumberOfSteps(const Problem& problem, const SolveOptions& options) {
  switch (options.control.kind) {
    case StepControl::Kind::kAdaptive:
      return std::nullopt;
    case StepControl::Kind::kFixed: {
      const double steps =
          std::abs(problem.t1[0] - problem.t0[0]) / options.control.fixed_step.value_or(1);
      const double whole = std::ceil(steps - std::max(1e-9, steps * 0x1p-50));
      return static_cast<int64_t>(std::clamp(whole, 1.0, static_cast<double>(options.max_steps)));
    }
    case StepControl::Kind::kGrid:
      break;
  }
  return std::min(static_cast<int64_t>(options.control.grid.size()) - 1, options.max_steps);
}

}  // namespace costate
