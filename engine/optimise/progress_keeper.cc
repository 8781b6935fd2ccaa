#include "engine/optimise/progress_keeper.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace costate::optimise {

ProgressKeeper::ProgressKeeper(std::vector<double> start) {
  progress_.best = std::move(start);
  progress_.trace = {std::numeric_limits<double>::infinity()};
}

void ProgressKeeper::See(absl::Span<const double> point, double value) {
  if (!(value < progress_.value)) return;
  progress_.value = value;
  progress_.best.assign(point.begin(), point.end());
  progress_.trace.back() = value;
}

void ProgressKeeper::NextIteration() {
  ++progress_.iteration;
  progress_.trace.push_back(progress_.value);
}

void ProgressKeeper::End(Outcome outcome, std::string detail) {
  progress_.outcome = outcome;
  progress_.detail = std::move(detail);
}

void ProgressKeeper::Save(StateWriter& writer) const {
  writer.Int(static_cast<int64_t>(progress_.outcome));
  writer.Bytes(progress_.detail);
  writer.Int(progress_.iteration);
  writer.Int(progress_.evaluations);
  writer.Doubles(progress_.best);
  writer.Double(progress_.value);
  writer.Double(progress_.gradient_norm);
  writer.Doubles(progress_.trace);
}

bool ProgressKeeper::Restore(StateReader& reader, size_t size) {
  const int64_t outcome = reader.Int();
  progress_.detail = reader.Bytes();
  progress_.iteration = reader.Int();
  progress_.evaluations = reader.Int();
  progress_.best = reader.Doubles();
  progress_.value = reader.Double();
  progress_.gradient_norm = reader.Double();
  progress_.trace = reader.Doubles();
  if (!reader.ok() || outcome < 0 || outcome > static_cast<int64_t>(Outcome::kStalled)) {
    return false;
  }
  progress_.outcome = static_cast<Outcome>(outcome);
  return progress_.iteration >= 0 && progress_.evaluations >= 0 && progress_.best.size() == size &&
         progress_.trace.size() == static_cast<uint64_t>(progress_.iteration) + 1;
}

bool AllFinite(absl::Span<const double> values) {
  return std::all_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
}

bool IsComplete(const Answer& answer, Wanted wanted, size_t q) {
  if (!std::isfinite(answer.value)) return false;
  switch (wanted) {
    case Wanted::kValue:
      return true;
    case Wanted::kGradient:
      return answer.gradient.size() == q && AllFinite(answer.gradient);
    case Wanted::kResiduals:
      return answer.jacobian.size() == answer.residuals.size() * q && AllFinite(answer.residuals) &&
             AllFinite(answer.jacobian);
  }
  return false;
}

std::vector<double> Clamp(absl::Span<const double> point, const Box& box) {
  std::vector<double> clamped(point.size());
  for (size_t j = 0; j < point.size(); ++j) {
    const double value = std::isnan(point[j]) ? 0.0 : point[j];
    clamped[j] = std::min(std::max(value, box.lower[j]), box.upper[j]);
  }
  return clamped;
}

bool IsWithin(absl::Span<const double> point, const Box& box) {
  for (size_t j = 0; j < point.size(); ++j) {
    if (!std::isfinite(point[j]) || point[j] < box.lower[j] || point[j] > box.upper[j]) {
      return false;
    }
  }
  return true;
}

namespace {

// Whether element j is held fixed, or its component pushes against a bound it is on.
bool IsHeld(double gradient, double point, double lower, double upper) {
  return (point <= lower && gradient >= 0) || (point >= upper && gradient <= 0) || lower == upper;
}

}  // namespace

double FreeGradientNorm(absl::Span<const double> gradient, absl::Span<const double> point,
                        const Box& box) {
  double norm = 0;
  for (size_t j = 0; j < gradient.size(); ++j) {
    if (IsHeld(gradient[j], point[j], box.lower[j], box.upper[j])) continue;
    norm = std::max(norm, std::abs(gradient[j]));
  }
  return norm;
}

bool IsStationary(absl::Span<const double> gradient, absl::Span<const double> point, const Box& box,
                  double tolerance) {
  for (size_t j = 0; j < gradient.size(); ++j) {
    if (IsHeld(gradient[j], point[j], box.lower[j], box.upper[j])) continue;
    if (std::abs(gradient[j]) * std::max(1.0, std::abs(point[j])) > tolerance) return false;
  }
  return true;
}

}  // namespace costate::optimise
