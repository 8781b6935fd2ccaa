#include "engine/solvers/step_controller.h"

#include <algorithm>
#include <cmath>

#include "engine/solvers/stepper.h"

namespace costate {

ControllerGains ResolveGains(const StepControl& control, const Scheme& scheme) {
  const MethodInfo& info = GetMethodInfo(scheme);
  const double k = std::min(info.order, info.error_order) + 1;
  ControllerGains gains;
  switch (control.controller) {
    case StepControl::Controller::kI:
      gains.beta1 = 1 / k;
      break;
    case StepControl::Controller::kPI:
      gains.beta1 = 0.7 / k;
      gains.beta2 = 0.4 / k;
      break;
    case StepControl::Controller::kPID:
      gains.beta1 = 0.58 / k;
      gains.beta2 = 0.21 / k;
      gains.beta3 = 0.10 / k;
      break;
  }
  gains.beta1 = control.beta1.value_or(gains.beta1);
  gains.beta2 = control.beta2.value_or(gains.beta2);
  gains.beta3 = control.beta3.value_or(gains.beta3);
  gains.rejected = 1 / k;
  gains.log_safety = std::log2(control.safety);
  gains.min_factor = control.min_factor;
  gains.max_factor = control.max_factor;
  return gains;
}

}  // namespace costate
