// One running trajectory: its clock, its step size and its counters.
#ifndef COSTATE_ENGINE_SOLVERS_LANE_H_
#define COSTATE_ENGINE_SOLVERS_LANE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "engine/solvers/problem.h"
#include "engine/solvers/save_at.h"
#include "engine/solvers/step_controller.h"

namespace costate {

struct Lane {
  int64_t trajectory = -1;  // -1: idle
  double t0 = 0, t = 0, t1 = 0;
  double direction = 1;  // of integration: 1 or -1
  double h = 0;          // next step asked for by the controller, signed
  double max_step = 0;   // > 0
  int64_t num_fixed_steps = 0;
  int64_t accepted = 0, rejected = 0;
  int64_t evaluations = 0;  // before the first step
  ControllerState controller;
  SaveCursor cursor;
  Termination termination;

  bool active() const { return trajectory >= 0; }

  void Begin(int64_t index, double start, double end, const SolveOptions& options);

  // End of the next step to try. The end of the span is hit exactly; a rest of less than two steps
  // is halved, so that no tiny step is left over.
  double Propose(const StepControl& control) const {
    switch (control.kind) {
      case StepControl::Kind::kAdaptive:
        break;
      case StepControl::Kind::kFixed:
        return accepted + 1 >= num_fixed_steps
                   ? t1
                   : t0 + direction * (static_cast<double>(accepted + 1) * *control.fixed_step);
      case StepControl::Kind::kGrid:
        return control.grid[accepted + 1];
    }
    const double rest = t1 - t;
    const double longest = std::abs(h), left = std::abs(rest);
    if (left < 2 * longest) return left <= 1.01 * longest && left <= max_step ? t1 : t + 0.5 * rest;
    return t + h;
  }

  // Sets the next step from the squared error of the tried one. False if that was refused and can
  // not be made smaller.
  bool Control(const StepControl& control, const ControllerGains& gains, double squared_error,
               bool accept, double tried) {
    const double factor = accept ? controller.Accepted(gains, squared_error)
                                 : controller.Rejected(gains, squared_error);
    SetStep(tried * factor);
    if (!accept) ++rejected;
    if (std::abs(h) >= SmallestStep(control)) [[likely]]
      return true;
    if (accept) h = direction * SmallestStep(control);
    return accept;
  }
  void SetStep(double step) {
    h = step;
    if (std::abs(h) > max_step) [[unlikely]]
      h = direction * max_step;
  }

  // 16 units in the last place of t, or the user's bound if larger.
  double SmallestStep(const StepControl& control) const {
    return std::max({control.min_step, std::abs(t) * 0x1p-48, 0x1p-1000});
  }

  // The end of a trajectory whose step was refused for good: `finite` tells whether the values of
  // state `element`, the one at fault, called `name`, were finite in the tried step of scaled error
  // `error`.
  Termination Refused(bool finite, double error, int64_t element, const std::string& name,
                      bool adaptive) const;
  Termination OutOfSteps() const;
  Termination ReachedEnd() const;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_LANE_H_
