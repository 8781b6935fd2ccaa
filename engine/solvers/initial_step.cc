#include "engine/solvers/initial_step.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/solvers/step_controller.h"

namespace costate {
namespace {

// rms(x_i / (atol_i + rtol |y_i|))
template <typename X>
double WeightedNorm(int64_t n, const double* y, absl::Span<const double> atol, double rtol,
                    const X& x) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double weight = std::max(std::fma(rtol, std::abs(y[i]), atol[i]), 1e-300);
    const double ratio = x(i) / weight;
    sum = std::fma(ratio, ratio, sum);
  }
  return std::sqrt(sum / static_cast<double>(n));
}

}  // namespace

InitialStep::InitialStep(Kernel value, int64_t num_states, int order)
    : value_(std::move(value)),
      n_(num_states),
      order_(order),
      derivative_(num_states),
      y_trial_(num_states),
      f_trial_(num_states),
      scratch_(value_.scratch_size()) {}

void InitialStep::Evaluate(double t, const double* y, const double* p, double* out) {
  const double* inputs[] = {&t, y, p};
  double* outputs[] = {out};
  value_(inputs, outputs, scratch_.data());
}

const double* InitialStep::Derivative(double t, const double* y, const double* p) {
  Evaluate(t, y, p, derivative_.data());
  return derivative_.data();
}

double InitialStep::Choose(double t, const double* y, const double* p, const double* derivative,
                           double direction, double longest, absl::Span<const double> atol,
                           double rtol) {
  const double d0 = WeightedNorm(n_, y, atol, rtol, [&](int64_t i) { return y[i]; });
  const double d1 = WeightedNorm(n_, y, atol, rtol, [&](int64_t i) { return derivative[i]; });
  double h0 = d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * (d0 / d1);
  h0 = std::min(h0, longest);
  if (!(h0 > 0)) h0 = std::min(1e-6, longest);  // norms overflowed

  for (int64_t i = 0; i < n_; ++i) y_trial_[i] = std::fma(direction * h0, derivative[i], y[i]);
  Evaluate(t + direction * h0, y_trial_.data(), p, f_trial_.data());
  const double d2 =
      WeightedNorm(n_, y, atol, rtol, [&](int64_t i) { return f_trial_[i] - derivative[i]; }) / h0;
  const double largest = std::max(d1, d2);
  if (!(largest < 1e300)) return h0;  // the trial point is bad: rejections will find the step
  const double h1 = largest <= 1e-15 ? std::max(1e-6, h0 * 1e-3)
                                     : FastExp2(FastLog2(0.01 / largest) / (order_ + 1));
  return std::min({100 * h0, h1, longest});
}

}  // namespace costate
