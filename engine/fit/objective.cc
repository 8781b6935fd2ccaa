#include "engine/fit/objective.h"

#include <mutex>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/fit/bound_fit.h"
#include "engine/fit/evaluation.h"
#include "engine/fit/likelihood.h"
#include "engine/fit/nuisance.h"
#include "engine/fit/predict.h"

namespace costate::fit {
namespace {

using optimise::Answer;
using optimise::Question;

class BoundObjective : public Objective {
 public:
  explicit BoundObjective(BoundFit fit) : fit_(std::move(fit)) {
    for (const BoundElement& element : fit_.elements) {
      elements_.push_back(element.info);
      box_.lower.push_back(element.transform.SearchLower());
      box_.upper.push_back(element.transform.SearchUpper());
    }
  }

  const std::vector<FreeElement>& elements() const override { return elements_; }
  const optimise::Box& box() const override { return box_; }
  int64_t num_parts() const override { return static_cast<int64_t>(fit_.conditions.size()); }
  const Resolution& resolution() const override { return fit_.resolution; }

  std::vector<double> ToSearch(absl::Span<const double> natural) const override {
    std::vector<double> search(natural.size());
    for (size_t e = 0; e < search.size(); ++e) {
      search[e] = fit_.elements[e].transform.ToSearch(natural[e]);
    }
    return search;
  }

  std::vector<double> ToNatural(absl::Span<const double> search) const override {
    std::vector<double> natural(search.size());
    for (size_t e = 0; e < natural.size(); ++e) {
      natural[e] = fit_.elements[e].transform.ToNatural(search[e]);
    }
    return natural;
  }

  std::vector<double> Slopes(absl::Span<const double> search) const override {
    std::vector<double> slopes(search.size());
    for (size_t e = 0; e < slopes.size(); ++e) {
      slopes[e] = fit_.elements[e].transform.Slope(search[e]);
    }
    return slopes;
  }

  absl::StatusOr<std::vector<Answer>> Evaluate(absl::Span<const Question* const> questions,
                                               const StopSource& stop,
                                               Workers& workers) const override {
    RETURN_IF_ERROR(CheckFitStop(stop));
    std::vector<SearchPoint> points;
    points.reserve(questions.size());
    for (const Question* question : questions) points.push_back(PointAt(question->point));
    SolveStats work;
    absl::StatusOr<std::vector<Answer>> answers =
        EvaluateQuestions(fit_, points, questions, stop, workers, &work);
    const std::lock_guard<std::mutex> lock(mutex_);
    AddSteps(work, &work_);
    return answers;
  }

  SolveStats work() const override {
    const std::lock_guard<std::mutex> lock(mutex_);
    return work_;
  }

  absl::StatusOr<Prediction> Predict(absl::Span<const double> search,
                                     const StopSource& stop) const override {
    absl::StatusOr<Prediction> prediction = PredictAt(fit_, PointAt(search), stop);
    RETURN_IF_ERROR(CheckFitStop(stop));
    return prediction;
  }

 private:
  SearchPoint PointAt(absl::Span<const double> search) const {
    return {.search = {search.begin(), search.end()},
            .natural = ToNatural(search),
            .slopes = Slopes(search)};
  }

  const BoundFit fit_;
  std::vector<FreeElement> elements_;
  optimise::Box box_;
  mutable std::mutex mutex_;
  mutable SolveStats work_;  // guarded by mutex_
};

}  // namespace

absl::StatusOr<std::unique_ptr<Objective>> Objective::Create(Engine& /*engine*/,
                                                             const FitProblem& problem,
                                                             const GradientOptions& gradient,
                                                             const StopSource& stop) {
  ASSIGN_OR_RETURN(BoundFit fit, BindFit(problem, gradient));
  RETURN_IF_ERROR(SettleNuisance(stop, &fit));
  return std::make_unique<BoundObjective>(std::move(fit));
}

}  // namespace costate::fit
