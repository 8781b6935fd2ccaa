#include "engine/stability/analysis.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/solvers/stepper.h"

namespace costate::stability {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kDoubling = std::numbers::ln2;
constexpr double kOnAxis = 1e-10;    // |Re| / |z| of a mode that neither grows nor decays
constexpr double kZeroMode = 1e-12;  // of the largest modulus at the point
constexpr double kDigits = 15.95;    // of a double
constexpr double kRounding = 1e-12;  // of ln rho: no growth

bool IsKnown(const StepSpectrum& step) {
  return step.eigenvalues.empty() || !std::isnan(step.eigenvalues[0].real());
}

bool Contracts(Complex z) { return z.real() <= kOnAxis * std::abs(z); }

double LogRadius(const StabilityFunction& function, Complex z) {
  const double log_radius = std::log(function.SpectralRadius(z));
  return std::fabs(log_radius) < kRounding ? 0 : log_radius;
}

// Largest max(0, ln rho) over the contracting modes of a step; `mode` gets which.
double StepGrowth(const StabilityFunction& function, const StepSpectrum& step, Complex* mode) {
  double largest = 0;
  for (const Complex lambda : step.eigenvalues) {
    const Complex z = step.h * lambda;
    if (!Contracts(z)) continue;
    const double growth = LogRadius(function, z);
    if (growth <= largest) continue;
    largest = growth;
    if (mode != nullptr) *mode = lambda;
  }
  return largest;
}

double StepReverseGrowth(const StabilityFunction& function, const StepSpectrum& step) {
  double largest = std::max(0.0, function.LogReverseGrowth(0));
  for (const Complex lambda : step.eigenvalues) {
    largest = std::max(largest, function.LogReverseGrowth(step.h * lambda));
  }
  return largest;
}

int64_t NumKnown(const AnalysisInput& input) {
  return std::count_if(input.steps.begin(), input.steps.end(), IsKnown);
}

// From the sample to all steps.
double Scale(const AnalysisInput& input) {
  const int64_t known = NumKnown(input);
  return known == 0 ? 0 : static_cast<double>(input.num_steps) / static_cast<double>(known);
}

// NaN without a decaying mode.
double StiffnessRatio(const StepSpectrum& step) {
  double modulus = 0;
  for (const Complex lambda : step.eigenvalues) modulus = std::max(modulus, std::abs(lambda));
  double fastest = 0, slowest = kInfinity;
  for (const Complex lambda : step.eigenvalues) {
    const double rate = step.h < 0 ? lambda.real() : -lambda.real();
    if (!(rate > kOnAxis * std::abs(lambda)) || rate <= kZeroMode * modulus) continue;
    fastest = std::max(fastest, rate);
    slowest = std::min(slowest, rate);
  }
  return fastest > 0 ? fastest / slowest : kNaN;
}

void JudgeSteps(const StabilityFunction& function, const AnalysisInput& input, Analysis* analysis) {
  const double allowed = kDoubling / static_cast<double>(std::max<int64_t>(1, input.num_steps));
  int64_t outside = 0;
  double sum = 0, worst = 0;
  for (const StepSpectrum& step : input.steps) {
    if (!IsKnown(step)) {
      analysis->known = false;
      continue;
    }
    analysis->complete = analysis->complete && step.complete;
    Complex mode = 0;
    const double growth = StepGrowth(function, step, &mode);
    sum += growth;
    if (growth <= allowed) continue;
    ++outside;
    if (growth > worst) {
      worst = growth;
      analysis->worst = Mode{step.t, step.h, mode};
    }
  }
  const int64_t known = NumKnown(input);
  analysis->share_outside =
      known == 0 ? kNaN : static_cast<double>(outside) / static_cast<double>(known);
  analysis->growth = sum * Scale(input);
}

void JudgePoints(const StabilityFunction& function, const AnalysisInput& input,
                 Analysis* analysis) {
  const int64_t steps = static_cast<int64_t>(input.steps.size());
  const int64_t count = std::min(input.num_points, steps);
  analysis->largest_stable_step = kInfinity;
  analysis->stiffness_ratio = kNaN;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t index = i * steps / count;
    const StepSpectrum& step = input.steps[index];
    analysis->points.push_back(index);
    double largest = IsKnown(step) ? kInfinity : kNaN;
    for (const Complex lambda : step.eigenvalues) {
      if (!IsKnown(step)) break;
      const double bound = LargestStableStep(function, lambda, input.span, step.h < 0 ? -1 : 1);
      if (bound >= largest) continue;
      largest = bound;
      if (bound < analysis->largest_stable_step) {
        analysis->largest_stable_step = bound;
        analysis->limiting = Mode{step.t, step.h, lambda};
      }
    }
    analysis->largest_stable_steps.push_back(largest);
    const double ratio = IsKnown(step) ? StiffnessRatio(step) : kNaN;
    if (!(analysis->stiffness_ratio >= ratio) && !std::isnan(ratio)) {
      analysis->stiffness_ratio = ratio;
    }
  }
}

Reconstruction JudgeReconstruction(const StabilityFunction& function, const AnalysisInput& input) {
  Reconstruction r;
  r.reverse_growth = ReverseGrowth(function, input);
  for (const StepSpectrum& step : input.steps) {
    if (IsKnown(step)) r.worst_step = std::max(r.worst_step, StepReverseGrowth(function, step));
  }
  r.digits_left = std::max(0.0, kDigits - r.reverse_growth / std::numbers::ln10);
  if (r.reverse_growth > kMaxReverseGrowth) {
    r.checkpoint_every =
        std::max<int64_t>(1, static_cast<int64_t>(kCheckpointGrowth / r.worst_step));
  }
  return r;
}

double Median(std::vector<double> values) {
  if (values.empty()) return kNaN;
  const auto middle = values.begin() + static_cast<int64_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

// Looks along the ray, finely enough near 0 for regions that reach very little.
double LargestStableStep(const StabilityFunction& function, Complex lambda, double span,
                         int direction) {
  constexpr double kNear = 1e-7, kRatio = 1.05, kStep = 0.02, kFarRatio = 1.001;
  constexpr double kFar = 1e6;
  const double size = std::abs(lambda);
  const Complex way = static_cast<double>(direction) * lambda / (size == 0 ? 1 : size);
  if (size == 0 || !Contracts(way) || !(span > 0)) return kInfinity;
  const auto is_outside = [&](double s) {
    return LogRadius(function, s * way) > kDoubling * s / (size * span);
  };
  const double last = size * span;  // beyond it the step is longer than the span
  double inside = 0, s = kNear;
  while (s < last && s < kFar && !is_outside(s)) {
    inside = s;
    s = std::min(s * kRatio, std::max(s + kStep, s * kFarRatio));
  }
  if (s >= last || s >= kFar) return kInfinity;
  double outside = s;
  for (int i = 0; i < 60 && outside > inside; ++i) {
    const double middle = inside + (outside - inside) / 2;
    (is_outside(middle) ? outside : inside) = middle;
  }
  return inside / size;
}

double Growth(const StabilityFunction& function, const AnalysisInput& input) {
  double sum = 0;
  for (const StepSpectrum& step : input.steps) {
    if (IsKnown(step)) sum += StepGrowth(function, step, nullptr);
  }
  return sum * Scale(input);
}

double ReverseGrowth(const StabilityFunction& function, const AnalysisInput& input) {
  double sum = 0;
  for (const StepSpectrum& step : input.steps) {
    if (IsKnown(step)) sum += StepReverseGrowth(function, step);
  }
  return sum * Scale(input);
}

Analysis Analyze(const AnalysisInput& input) {
  const StabilityFunction function(input.scheme);
  Analysis analysis;
  JudgeSteps(function, input, &analysis);
  JudgePoints(function, input, &analysis);
  std::vector<double> sizes;
  sizes.reserve(input.steps.size());
  for (const StepSpectrum& step : input.steps) sizes.push_back(std::fabs(step.h));
  analysis.typical_step = Median(std::move(sizes));
  if (GetMethodInfo(input.scheme).reversal != Reversal::kNone) {
    analysis.reconstruction = JudgeReconstruction(function, input);
  }
  return analysis;
}

}  // namespace costate::stability
