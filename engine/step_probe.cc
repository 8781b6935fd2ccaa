#include "engine/step_probe.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "engine/gradients/random_signs.h"
#include "engine/gradients/stability.h"
#include "engine/solvers/initial_step.h"
#include "engine/solvers/stepper.h"

namespace costate {
namespace {

constexpr uint64_t kSeed = 0x57e9;
constexpr int kProducts = 5;
constexpr int kAveraged = 2;             // of them
constexpr double kRelativeMove = 1e-7;   // of a difference of right-hand sides
constexpr double kErrorConstant = 1e-3;  // of the local error
constexpr double kDecaying = 0.9;
// Time constants until a mode has gone, and those of a span that may be longer than it seems
// excited.
constexpr double kLayer = 20;
constexpr double kLongSpan = 5000;
constexpr double kLeastSteps = 10;

double LongestSpan(const BoundSimulation& bound) {
  double longest = 0;
  for (int64_t b = 0; b < bound.num_trajectories; ++b) {
    const Problem problem = bound.one(b);
    longest = std::max(longest, std::fabs(problem.t1[0] - problem.t0[0]));
    if (bound.t0.size() == 1 && bound.t1.size() == 1) break;
  }
  return longest;
}

double Norm(const std::vector<double>& x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return std::sqrt(sum);
}

// The right-hand side of one trajectory near its start.
class Probe {
 public:
  Probe(const Problem& problem, const SolveOptions& options, Kernel value)
      : problem_(problem),
        options_(options),
        n_(problem.field->num_states()),
        order_(std::min(GetMethodInfo(options.scheme()).order,
                        GetMethodInfo(options.scheme()).error_order)),
        value_(std::move(value)),
        scratch_(value_.scratch_size()),
        atol_(options.control.atol.begin(), options.control.atol.end()) {
    if (atol_.size() == 1) atol_.resize(n_, atol_[0]);
  }

  // One Euler step; false where the right-hand side is not finite.
  bool Start() {
    const double span = problem_.t1[0] - problem_.t0[0];
    const double direction = span < 0 ? -1 : 1;
    const double* y0 = problem_.y0.data();
    InitialStep first(value_, n_, order_);
    const double* derivative = first.Derivative(problem_.t0[0], y0, problem_.params.data());
    f_.assign(derivative, derivative + n_);
    h_ = first.Choose(problem_.t0[0], y0, problem_.params.data(), f_.data(), direction,
                      std::fabs(span), atol_, options_.control.rtol);
    t_ = problem_.t0[0] + direction * h_;
    y_.resize(n_);
    for (int64_t i = 0; i < n_; ++i) y_[i] = y0[i] + direction * h_ * f_[i];
    f_end_.resize(n_);
    Evaluate(y_, &f_end_);
    return std::isfinite(Norm(f_)) && std::isfinite(Norm(f_end_)) && h_ > 0;
  }

  // Of df/dy after the step; zero where it cannot be found.
  struct FastestMode {
    double radius = 0;
    bool decays = false;  // without turning
  };
  FastestMode FindFastestMode() {
    std::vector<double> scale(n_), v(n_), moved(n_), f(n_);
    RandomBits bits(kSeed);
    for (int64_t i = 0; i < n_; ++i) {
      scale[i] = Size(i);
      v[i] = bits.Sign();
    }
    double log_sum = 0, quotients = 0;
    for (int k = 0; k < kProducts; ++k) {
      const double norm = Norm(v);
      if (!(norm > 0) || !std::isfinite(norm)) return {};
      const double move = kRelativeMove * std::sqrt(static_cast<double>(n_)) / norm;
      for (int64_t i = 0; i < n_; ++i) moved[i] = y_[i] + move * v[i] * scale[i];
      Evaluate(moved, &f);
      double along = 0;
      for (int64_t i = 0; i < n_; ++i) {
        const double product = (f[i] - f_end_[i]) / (move * scale[i]);
        along += v[i] * product;
        v[i] = product;
      }
      const double growth = Norm(v) / norm;
      if (!(growth > 0) || !std::isfinite(growth)) return {};
      if (k < kProducts - kAveraged) continue;
      log_sum += std::log(growth);
      quotients += along / (norm * norm);  // Rayleigh
    }
    const double radius = std::exp(log_sum / kAveraged);
    // Solves backwards turn growth into decay.
    const double direction = problem_.t1[0] < problem_.t0[0] ? -1 : 1;
    return {radius, direction * quotients / kAveraged < -kDecaying * radius};
  }

  // The step that accuracy asks for, where |f| is measured against what states become in 1 / rate.
  double AccurateStep(double rate) const {
    double f = 0, change = 0;
    for (int64_t i = 0; i < n_; ++i) {
      const double slope = std::max(std::fabs(f_[i]), std::fabs(f_end_[i]));
      const double bend = std::fabs(f_end_[i] - f_[i]) / h_;
      const double reach = rate > 0 ? std::max(slope, bend / rate) / rate : 0;
      const double size = std::max({std::fabs(problem_.y0[i]), std::fabs(y_[i]), reach});
      const double weight = std::max(atol_[i] + options_.control.rtol * size, 1e-300);
      f += (f_[i] / weight) * (f_[i] / weight);
      change += std::pow((f_end_[i] - f_[i]) / weight, 2);
    }
    f = std::sqrt(f / static_cast<double>(n_));
    change = std::sqrt(change / static_cast<double>(n_)) / h_;
    const double w = f > 0 ? change / f : 0;
    const double error = kErrorConstant * f * std::pow(w, order_);
    return error > 0 ? std::pow(error, -1.0 / (order_ + 1))
                     : std::numeric_limits<double>::infinity();
  }

 private:
  double Size(int64_t i) const {
    const double least = options_.control.rtol > 0 ? atol_[i] / options_.control.rtol : atol_[i];
    const double size = std::max({std::fabs(y_[i]), h_ * std::fabs(f_[i]), least});
    return size > 0 ? size : 1;
  }

  void Evaluate(const std::vector<double>& y, std::vector<double>* f) {
    const double* inputs[] = {&t_, y.data(), problem_.params.data()};
    double* outputs[] = {f->data()};
    value_(inputs, outputs, scratch_.data());
  }

  const Problem& problem_;
  const SolveOptions& options_;
  const int64_t n_;
  const int order_;
  const Kernel value_;
  std::vector<double> scratch_;
  std::vector<double> atol_;
  double t_ = 0, h_ = 0;
  std::vector<double> f_, y_, f_end_;  // at t0, and after the step
};

StepForecast ForecastAdaptive(const BoundSimulation& bound, const SolveOptions& options) {
  StepForecast forecast;
  const Problem problem = bound.one(0);
  absl::StatusOr<Kernel> value = problem.field->Get(MapKernel::kValue, 1);
  const double span = LongestSpan(bound);
  forecast.measured = value.ok() && span > 0;
  forecast.steps = kGuessedAdaptiveSteps;
  if (!forecast.measured) return forecast;
  Probe probe(problem, options, *std::move(value));
  forecast.measured = probe.Start();
  if (!forecast.measured) return forecast;
  const Probe::FastestMode mode = probe.FindFastestMode();
  forecast.spectral_radius = mode.radius;
  const bool outlived = mode.decays && span * mode.radius > kLongSpan;
  const double layer = outlived ? kLayer / mode.radius : span;
  const double accurate = layer / probe.AccurateStep(mode.radius);
  const double limit = RealStabilityLimit(options.method);
  const double stable = std::isnan(limit) ? 0 : span * forecast.spectral_radius / limit;
  forecast.stiff = stable > accurate && stable > kLeastSteps;
  forecast.steps = std::ceil(std::max({accurate, stable, kLeastSteps}));
  return forecast;
}

}  // namespace

StepForecast ForecastSteps(const BoundSimulation& bound, const SolveOptions& options) {
  const StepControl& control = options.control;
  StepForecast forecast;
  switch (control.kind) {
    case StepControl::Kind::kAdaptive:
      forecast = ForecastAdaptive(bound, options);
      break;
    case StepControl::Kind::kGrid:
      forecast.steps = static_cast<double>(control.grid.size()) - 1;
      return forecast;
    case StepControl::Kind::kFixed: {
      const double span = LongestSpan(bound);
      forecast.steps = std::ceil(span / control.fixed_step.value_or(span));
      return forecast;
    }
  }
  forecast.steps = std::min(forecast.steps, static_cast<double>(options.max_steps));
  return forecast;
}

}  // namespace costate
