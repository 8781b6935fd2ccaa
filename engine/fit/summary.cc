#include "engine/fit/summary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/fit/curvature.h"
#include "engine/fit/fit.h"
#include "engine/fit/unidentified.h"

namespace costate::fit {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kNormal95 = 1.959963984540054;  // 97.5 % quantile of the normal distribution
constexpr double kAtBest = 0.1;
// Relative size below which singular values of J say nothing; J is no better than the solves.
constexpr double kLeastThreshold = 1e-8;

double Threshold(const Objective& objective) {
  const StepControl& control = objective.resolution().options.control;
  return control.kind == StepControl::Kind::kAdaptive ? std::max(kLeastThreshold, control.rtol)
                                                      : kLeastThreshold;
}

std::vector<double> GradientOf(const optimise::Answer& answer, size_t q) {
  std::vector<double> gradient(q, 0.0);
  for (size_t i = 0; i < answer.residuals.size(); ++i) {
    for (size_t j = 0; j < q; ++j) {
      gradient[j] += answer.jacobian[i * q + j] * answer.residuals[i];
    }
  }
  return gradient;
}

bool IsUsable(const optimise::Answer& answer) {
  const auto finite = [](double v) { return std::isfinite(v); };
  return finite(answer.value) &&
         std::all_of(answer.residuals.begin(), answer.residuals.end(), finite) &&
         std::all_of(answer.jacobian.begin(), answer.jacobian.end(), finite);
}

// A large change of each search coordinate.
std::vector<double> Units(absl::Span<const FreeElement> elements,
                          absl::Span<const double> natural) {
  std::vector<double> units;
  for (size_t j = 0; j < elements.size(); ++j) {
    double unit = 1;
    if (elements[j].scale == Scale::kLinear) {
      const double width = elements[j].upper - elements[j].lower;
      unit = std::max(std::abs(natural[j]), std::isfinite(width) ? width : 0.0);
      if (unit == 0) unit = 1;
    }
    units.push_back(unit);
  }
  return units;
}

// The best point, and what is said of it.
class Best {
 public:
  Best(const Objective& objective, absl::Span<const double> natural, FitResult* result)
      : objective_(objective),
        elements_(objective.elements()),
        natural_(natural.begin(), natural.end()),
        search_(objective.ToSearch(natural)),
        result_(*result) {
    for (size_t j = 0; j < elements_.size(); ++j) {
      result_.estimates.push_back({.name = elements_[j].name,
                                   .scale = elements_[j].scale,
                                   .value = natural_[j],
                                   .lower = elements_[j].lower,
                                   .upper = elements_[j].upper,
                                   .at_bound = false,
                                   .standard_error = kNaN,
                                   .interval_lower = kNaN,
                                   .interval_upper = kNaN});
    }
  }

  absl::Status AddUncertainty(const StopSource& stop, Workers& workers) {
    const size_t q = elements_.size();
    if (q > static_cast<size_t>(kMaxUncertainElements)) {
      MarkBounds({});
      result_.unidentified.push_back(absl::StrCat("With ", q, " free elements, over ",
                                                  kMaxUncertainElements,
                                                  ", nothing is said of their uncertainty."));
      return absl::OkStatus();
    }
    const optimise::Question question = {search_, optimise::Wanted::kResiduals, {}, true};
    const optimise::Question* const asked = &question;
    ASSIGN_OR_RETURN(const std::vector<optimise::Answer> answers,
                     objective_.Evaluate({&asked, 1}, stop, workers));
    if (answers.size() != 1 || !IsUsable(answers[0])) {
      MarkBounds({});
      FillNaN();
      result_.unidentified.push_back(
          "The derivatives at the best point are not finite, so nothing is said of uncertainty.");
      return absl::OkStatus();
    }
    UseCurvature(answers[0]);
    return absl::OkStatus();
  }

  absl::Status AddPrediction(const StopSource& stop) {
    ASSIGN_OR_RETURN(Prediction prediction, objective_.Predict(search_, stop));
    result_.fitted = std::move(prediction.fitted);
    result_.residuals = std::move(prediction.residuals);
    result_.trajectories = std::move(prediction.trajectories);
    return absl::OkStatus();
  }

 private:
  void MarkBounds(absl::Span<const double> gradient) {
    at_bound_ = FindBounds(objective_.box(), search_, gradient);
    for (size_t j = 0; j < elements_.size(); ++j) {
      at_bound_[j] = at_bound_[j] || RunsToBound(j);
      result_.estimates[j].at_bound = at_bound_[j];
      if (!at_bound_[j]) continue;
      const FreeElement& element = elements_[j];
      const bool lower = natural_[j] - element.lower <= element.upper - natural_[j];
      const bool pushes = !gradient.empty() && (lower ? gradient[j] > 0 : gradient[j] < 0);
      result_.unidentified.push_back(DescribeBound(elements_[j], natural_[j], pushes));
    }
  }

  // On the logit scale a bound lies at infinity: whoever comes this near is on the way there.
  bool RunsToBound(size_t j) const {
    const FreeElement& element = elements_[j];
    const double range = element.upper - element.lower;
    return element.scale == Scale::kLogit &&
           std::min(natural_[j] - element.lower, element.upper - natural_[j]) <= 1e-6 * range;
  }

  void FillNaN() {
    const size_t q = elements_.size();
    for (auto* matrix : {&result_.covariance, &result_.correlation, &result_.fisher_information}) {
      matrix->assign(q * q, kNaN);
    }
    result_.eigenvalues.assign(q, kNaN);
  }

  void UseCurvature(const optimise::Answer& answer) {
    const size_t q = elements_.size();
    MarkBounds(GradientOf(answer, q));
    const std::vector<double> slopes = objective_.Slopes(search_);
    const std::vector<double> units = Units(elements_, natural_);
    Curvature curvature = AnalyseCurvature({.elements = static_cast<int64_t>(q),
                                            .jacobian = answer.jacobian,
                                            .slopes = slopes,
                                            .units = units,
                                            .at_bound = at_bound_,
                                            .threshold = Threshold(objective_)});
    for (const int64_t j : curvature.flat) {
      result_.unidentified.push_back(DescribeFlat(elements_[j]));
    }
    DescribeDirections(curvature, slopes);
    for (size_t j = 0; j < q; ++j) AddInterval(j, curvature);
    result_.covariance = std::move(curvature.covariance);
    result_.correlation = std::move(curvature.correlation);
    result_.fisher_information = std::move(curvature.fisher_information);
    result_.eigenvalues = std::move(curvature.eigenvalues);
  }

  void DescribeDirections(const Curvature& curvature, absl::Span<const double> slopes) {
    const int64_t count = static_cast<int64_t>(curvature.free_directions.size());
    for (int64_t k = 0; k < std::min(count, kMaxNamedDirections); ++k) {
      result_.unidentified.push_back(
          DescribeDirection(elements_, natural_, slopes, curvature.free_directions[k]));
    }
    if (count > kMaxNamedDirections) {
      result_.unidentified.push_back(absl::StrCat("So it is with ", count - kMaxNamedDirections,
                                                  " more combinations of elements."));
    }
  }

  // Symmetric in the search coordinate, cut at the bounds, mapped back.
  void AddInterval(size_t j, const Curvature& curvature) {
    const double error = curvature.search_errors[j];
    if (!std::isfinite(error)) return;
    const optimise::Box& box = objective_.box();
    std::vector<double> end = search_;
    end[j] = std::max(box.lower[j], search_[j] - kNormal95 * error);
    const bool all_below = end[j] == box.lower[j];
    Estimate& estimate = result_.estimates[j];
    estimate.interval_lower = objective_.ToNatural(end)[j];
    end[j] = std::min(box.upper[j], search_[j] + kNormal95 * error);
    const bool all_above = end[j] == box.upper[j];
    estimate.interval_upper = objective_.ToNatural(end)[j];
    estimate.standard_error = std::sqrt(curvature.covariance[j * elements_.size() + j]);
    if (all_below && all_above) result_.unidentified.push_back(DescribeWide(elements_[j]));
  }

  const Objective& objective_;
  const std::vector<FreeElement>& elements_;
  const std::vector<double> natural_, search_;  // [q]
  std::vector<bool> at_bound_;
  FitResult& result_;
};

}  // namespace

void SortStarts(std::vector<StartResult>* starts) {
  const auto key = [](const StartResult& start) {
    const bool finite = std::isfinite(start.objective);
    return std::make_tuple(!finite, finite ? start.objective : 0.0, start.index);
  };
  std::sort(starts->begin(), starts->end(),
            [&](const StartResult& a, const StartResult& b) { return key(a) < key(b); });
}

int64_t CountAtBest(absl::Span<const StartResult> sorted) {
  if (sorted.empty() || !std::isfinite(sorted[0].objective)) return 0;
  return std::count_if(sorted.begin(), sorted.end(), [&](const StartResult& start) {
    return start.objective <= sorted[0].objective + kAtBest;
  });
}

std::vector<bool> FindBounds(const optimise::Box& box, absl::Span<const double> search,
                             absl::Span<const double> gradient) {
  std::vector<bool> at_bound;
  for (size_t j = 0; j < search.size(); ++j) {
    const double width = box.upper[j] - box.lower[j];
    const auto near = [&](double distance, double bound, double outwards) {
      if (!std::isfinite(bound)) return false;
      if (distance <= 0) return true;
      const double scale = std::isfinite(width) ? width : std::max(1.0, std::abs(bound));
      return distance <= 1e-6 * scale && outwards > 0;
    };
    const double gradient_j = gradient.empty() ? 0 : gradient[j];
    at_bound.push_back(near(search[j] - box.lower[j], box.lower[j], gradient_j) ||
                       near(box.upper[j] - search[j], box.upper[j], -gradient_j));
  }
  return at_bound;
}

absl::StatusOr<FitResult> Summarise(const Objective& objective, const FitOptions& resolved,
                                    std::vector<StartResult> starts, const StopSource& stop,
                                    Workers& workers) {
  if (starts.empty()) return absl::InternalError("a summary without starts");
  SortStarts(&starts);
  FitResult result;
  result.starts_at_best = CountAtBest(starts);
  result.options = resolved;
  result.resolution = objective.resolution();
  Best best(objective, starts[0].values, &result);
  if (std::isfinite(starts[0].objective)) {
    RETURN_IF_ERROR(best.AddUncertainty(stop, workers));
    RETURN_IF_ERROR(best.AddPrediction(stop));
  } else {
    result.unidentified.push_back("No start reached a finite objective; see their details.");
  }
  result.starts = std::move(starts);
  return result;
}

}  // namespace costate::fit
