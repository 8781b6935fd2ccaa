// The problem the gradient tests share: MixedField on a span, and its exact discrete derivatives by
// complex steps (Squire and Trapp 1998): Im L(x + i h) / h for tiny h has no cancellation.
#ifndef COSTATE_TESTS_ENGINE_GRADIENTS_MIXED_PROBLEM_H_
#define COSTATE_TESTS_ENGINE_GRADIENTS_MIXED_PROBLEM_H_

#include <complex>
#include <vector>

#include "engine/solvers/problem.h"
#include "tests/engine/gradients/template_field.h"

namespace costate::testing {

struct MixedProblem {
  // Columns: 3 initial values, 4 parameters, t0, t1.
  static constexpr int kColumns = 9;

  double t0 = 0.25;
  double t1 = 3.0;
  std::vector<double> y0 = {1.0, 0.5, -0.25};
  std::vector<double> params = {1.25, 0.8, 2.0, 0.3};
  TemplateField<MixedField> field;

  Problem problem() const {
    Problem p;
    p.field = &field;
    p.t0 = absl::MakeConstSpan(&t0, 1);
    p.t1 = absl::MakeConstSpan(&t1, 1);
    p.y0 = y0;
    p.params = params;
    return p;
  }

  // Save times at both ends, at one inner place twice, and elsewhere.
  std::vector<double> SaveTimes() const {
    const double length = t1 - t0;
    return {t0,
            t0 + 0.125 * length,
            t0 + 0.375 * length,
            t0 + 0.375 * length,
            t0 + 0.8 * length,
            t0 + 0.98 * length,
            t1};
  }

  // d(saved)/d(column) and d(terminal)/d(column) on a frozen grid.
  FrozenSolution<double> Derivative(Method method, const std::vector<double>& grid,
                                    const std::vector<double>& save_times, int column) const {
    using C = std::complex<double>;
    constexpr double kStep = 1e-60;
    std::vector<C> y(y0.begin(), y0.end());
    std::vector<C> p(params.begin(), params.end());
    C start = t0, end = t1;
    C& x = column < 3 ? y[column] : column < 7 ? p[column - 3] : column == 7 ? start : end;
    x += C(0, kStep);
    const FrozenSolution<C> perturbed =
        FrozenSolver<MixedField, C>::Solve(method, grid, start, end, y, p, save_times);
    FrozenSolution<double> derivative;
    for (const C& value : perturbed.saved) derivative.saved.push_back(value.imag() / kStep);
    for (const C& value : perturbed.terminal) derivative.terminal.push_back(value.imag() / kStep);
    return derivative;
  }
};

// Relative rounding of a derivative: that of the solve, or that of the dense output, whose terms
// are as large as its coefficients and cancel.
inline double Rounding(Method method) {
  double largest = 1;
  for (const double x : rk::GetTableau(method).dense) largest = std::max(largest, std::fabs(x));
  return std::max(2e-13, 5e-15 * largest);
}

enum class Steps { kFixed, kAdaptive, kGrid };

// Options for a method with one kind of step control; a method without error estimate has no
// adaptive control, and gets uneven fixed steps by a grid instead.
inline SolveOptions MixedOptions(const MixedProblem& mixed, Method method, Steps steps) {
  SolveOptions options;
  options.method = method;
  options.return_grid = true;
  options.save.kind = SaveAt::Kind::kTimes;
  options.save.times = mixed.SaveTimes();
  if (steps == Steps::kAdaptive && GetMethodInfo(method).error_order == 0) steps = Steps::kGrid;
  StepControl& control = options.control;
  switch (steps) {
    case Steps::kFixed:
      control.kind = StepControl::Kind::kFixed;
      control.fixed_step = 0.2;  // does not divide the span
      break;
    case Steps::kAdaptive:
      control.rtol = 1e-4;
      control.atol = {1e-5, 1e-6, 1e-5};
      break;
    case Steps::kGrid:
      control.kind = StepControl::Kind::kGrid;
      for (const double s : {0.0, 0.0625, 0.125, 0.3, 0.5, 0.55, 0.7, 0.98, 1.0}) {
        control.grid.push_back(s == 1 ? mixed.t1 : mixed.t0 + s * (mixed.t1 - mixed.t0));
      }
      break;
  }
  return options;
}

}  // namespace costate::testing

#endif  // COSTATE_TESTS_ENGINE_GRADIENTS_MIXED_PROBLEM_H_
