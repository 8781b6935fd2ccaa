#include "engine/fit/evaluation.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/fit/evaluate_batch.h"
#include "engine/fit/prior.h"
#include "engine/fit/trajectory_batch.h"
#include "engine/map_rows.h"

namespace costate::fit {
namespace {

using optimise::Answer;
using optimise::Question;
using optimise::Wanted;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kBlocksTogether = 16;    // of lanes in a piece, so that lanes are refilled
constexpr int64_t kGradientBlocks = 4;     // where every step is kept
constexpr double kPieceBytes = 1 << 27;    // of saved values and their tangents in a piece
constexpr int64_t kWaveTasks = 1 << 16;    // evaluated before answers are summed
constexpr int64_t kWaveDoubles = 1 << 25;  // of their gradients

bool IsFinite(const std::vector<double>& values) {
  double sum = 0;  // of zeros, unless a value is not finite
  for (const double x : values) sum += x * 0.0;
  return sum == 0;
}

// Answers to one call of Evaluate.
class Evaluation {
 public:
  Evaluation(const BoundFit& fit, const std::vector<SearchPoint>& points,
             absl::Span<const Question* const> questions, const StopSource& stop, Workers& workers,
             SolveStats* work)
      : fit_(fit),
        points_(points),
        questions_(questions),
        stop_(stop),
        workers_(workers),
        work_(work),
        num_elements_(static_cast<int64_t>(fit.elements.size())),
        answers_(questions.size()) {}

  absl::StatusOr<std::vector<Answer>> Run() {
    RETURN_IF_ERROR(CheckRoom());
    int64_t doubles = 0;
    for (size_t i = 0; i < questions_.size(); ++i) {
      if (!Begin(static_cast<int64_t>(i))) continue;
      const Question& question = *questions_[i];
      const size_t count = question.parts.empty() ? fit_.conditions.size() : question.parts.size();
      double* residuals = answers_[i].residuals.data();
      double* jacobian = answers_[i].jacobian.data();
      for (size_t part = 0; part < count; ++part) {
        ConditionTask task = MakeTask(static_cast<int64_t>(i), part);
        task.residuals = residuals;
        task.jacobian = jacobian;
        if (question.wanted == Wanted::kResiduals) {
          residuals += task.condition->num_rows;
          jacobian += task.condition->num_rows * num_elements_;
        }
        if (question.wanted == Wanted::kGradient) {
          doubles += static_cast<int64_t>(task.condition->touched.size());
        }
        if (!task.condition->series.empty()) wave_.push_back(std::move(task));
        if (static_cast<int64_t>(wave_.size()) >= kWaveTasks || doubles >= kWaveDoubles) {
          RETURN_IF_ERROR(RunWave());
          doubles = 0;
        }
      }
    }
    RETURN_IF_ERROR(RunWave());
    for (Answer& answer : answers_) Finish(&answer);
    return std::move(answers_);
  }

 private:
  double FactorOf(const Question& question) const {
    if (question.parts.empty()) return 1;
    return static_cast<double>(fit_.conditions.size()) / static_cast<double>(question.parts.size());
  }

  ConditionTask MakeTask(int64_t i, size_t part) const {
    const Question& question = *questions_[i];
    const int64_t c = question.parts.empty() ? static_cast<int64_t>(part) : question.parts[part];
    ConditionTask task;
    task.condition = &fit_.conditions[c];
    task.point = &points_[i];
    task.question = i;
    task.factor = FactorOf(question);
    task.expected = question.expected;
    return task;
  }

  int64_t NumRows(const Question& question) const {
    int64_t rows = 0;
    if (question.parts.empty()) {
      for (const BoundCondition& condition : fit_.conditions) rows += condition.num_rows;
    }
    for (const int64_t c : question.parts) rows += fit_.conditions[c].num_rows;
    for (const BoundElement& element : fit_.elements) rows += element.prior.has_value() ? 1 : 0;
    return rows;
  }

  absl::Status CheckRoom() const {
    double bytes = 0;
    for (const Question* question : questions_) {
      if (question->wanted != Wanted::kResiduals) continue;
      bytes +=
          8.0 * static_cast<double>(NumRows(*question)) * (1 + static_cast<double>(num_elements_));
    }
    if (bytes <= static_cast<double>(limits::kMaxSavedBytes)) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat(
        "Jacobians of ", questions_.size(), " points need ", bytes, " bytes, over the limit of ",
        limits::kMaxSavedBytes, "; use a method that takes gradients, or fewer starts at once"));
  }

  // Room for the answer, and what priors add to it. False if it is infinite already.
  bool Begin(int64_t i) {
    const Question& question = *questions_[i];
    const SearchPoint& point = points_[i];
    Answer& answer = answers_[i];
    answer.value = 0;
    if (question.wanted == Wanted::kGradient) answer.gradient.assign(num_elements_, 0.0);
    if (question.wanted == Wanted::kResiduals) {
      const int64_t rows = NumRows(question);
      answer.residuals.assign(rows, 0.0);
      answer.jacobian.assign(rows * num_elements_, 0.0);
    }
    int64_t row = static_cast<int64_t>(answer.residuals.size());
    for (int64_t e = num_elements_ - 1; e >= 0; --e) {
      const BoundElement& element = fit_.elements[e];
      if (!std::isfinite(point.natural[e])) answer.value = kInfinity;
      if (!element.prior.has_value()) continue;
      const PriorTerm term = PriorOf(element, point, e);
      const double d_x = element.prior->scaled ? 1 : point.slopes[e];
      answer.value += term.value;
      if (question.wanted == Wanted::kGradient) {
        answer.gradient[e] += term.score * term.slope * d_x;
      }
      if (question.wanted == Wanted::kResiduals) {
        --row;
        answer.residuals[row] = term.score;
        answer.jacobian[row * num_elements_ + e] = term.slope * d_x;
      }
    }
    return std::isfinite(answer.value);
  }

  static PriorTerm PriorOf(const BoundElement& element, const SearchPoint& point, int64_t e) {
    const Transform& transform = element.transform;
    if (element.prior->scaled) {
      return EvaluatePrior(*element.prior, point.search[e], transform.SearchLower(),
                           transform.SearchUpper());
    }
    return EvaluatePrior(*element.prior, point.natural[e], transform.lower, transform.upper);
  }

  // Pieces of tasks that can share lanes.
  struct Piece {
    Wanted wanted = Wanted::kValue;
    const Bundle* bundle = nullptr;
    absl::Span<ConditionTask* const> tasks;
  };

  absl::Status RunWave() {
    if (wave_.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(CheckFitStop(stop_));
    std::vector<ConditionTask*> order;
    order.reserve(wave_.size());
    for (ConditionTask& task : wave_) order.push_back(&task);
    const auto key = [this](const ConditionTask* task) {
      return std::pair(questions_[task->question]->wanted, task->condition->bundle);
    };
    std::stable_sort(
        order.begin(), order.end(),
        [&key](const ConditionTask* a, const ConditionTask* b) { return key(a) < key(b); });
    const std::vector<Piece> pieces = Cut(order, key);
    std::vector<absl::Status> ends(pieces.size());
    const auto run = [&](int64_t i) {
      const Piece& piece = pieces[i];
      ends[i] = CheckFitStop(stop_);
      if (!ends[i].ok()) return;
      ends[i] = EvaluateBatch(fit_, *piece.bundle, piece.wanted, piece.tasks, stop_);
    };
    if (pieces.size() == 1) {
      run(0);
    } else {
      workers_.Run(static_cast<int64_t>(pieces.size()), run);
    }
    RETURN_IF_ERROR(CheckFitStop(stop_));
    for (const absl::Status& end : ends) RETURN_IF_ERROR(end);
    for (const ConditionTask& task : wave_) Add(task);
    wave_.clear();
    return absl::OkStatus();
  }

  // Cuts runs of equal keys into pieces, enough for every worker: of whole blocks of lanes where
  // trajectories run in lanes, else of one trajectory each.
  template <typename Key>
  std::vector<Piece> Cut(const std::vector<ConditionTask*>& order, const Key& key) const {
    const int64_t total = static_cast<int64_t>(order.size());
    const int64_t width = std::max<int64_t>(1, workers_.width());
    const int64_t share = (total + width - 1) / width;
    std::vector<Piece> pieces;
    const absl::Span<ConditionTask* const> all(order);
    for (int64_t first = 0; first < total;) {
      int64_t last = first;
      while (last < total && key(order[last]) == key(order[first])) ++last;
      const Wanted wanted = questions_[order[first]->question]->wanted;
      const Bundle& bundle = fit_.bundles[order[first]->condition->bundle];
      const int64_t lanes = LanesOf(wanted, bundle);
      const int64_t blocks = std::min((share + lanes - 1) / lanes, MostBlocks(wanted, bundle));
      const int64_t size = lanes == 1 ? 1 : std::max<int64_t>(1, blocks * lanes);
      for (int64_t at = first; at < last; at += size) {
        pieces.push_back({wanted, &bundle, all.subspan(at, std::min(size, last - at))});
      }
      first = last;
    }
    return pieces;
  }

  bool InReverse(Wanted wanted) const {
    return wanted == Wanted::kGradient && fit_.method != GradientMethod::kForward;
  }

  // Of trajectories: 1 where each has its columns in lanes, or is pulled back by itself.
  int64_t LanesOf(Wanted wanted, const Bundle& bundle) const {
    const int64_t wide = fit_.model->rhs().simd_lanes();
    if (wanted == Wanted::kValue) return wide;
    if (InReverse(wanted)) {
      const GradientFamily family = GetGradientMethodInfo(fit_.method).family;
      return family == GradientFamily::kDiscreteAdjoint ? wide : 1;
    }
    const bool full = fit_.gradient.tangent_control == TangentControl::kFull;
    return full && TrajectoriesShareLanes(bundle) ? wide : 1;
  }

  // Blocks of lanes that a piece holds at once; 0: not even one.
  int64_t MostBlocks(Wanted wanted, const Bundle& bundle) const {
    const bool reverse = InReverse(wanted);
    const double tangents =
        wanted == Wanted::kValue || reverse ? 0 : static_cast<double>(bundle.targets.size());
    const double values = static_cast<double>(fit_.model->rhs().num_states()) +
                          static_cast<double>(fit_.model->outputs().num_values());
    const double rows = 1 + static_cast<double>(bundle.options.save.times.size());
    const double bytes =
        8.0 * fit_.model->rhs().simd_lanes() *
        (rows * values * (1 + tangents) + static_cast<double>(fit_.model->rhs().num_params()));
    const double fitting = std::floor(kPieceBytes / bytes);
    // As many checkpoints as fit are fewer, the more trajectories share the budget.
    const bool fills_budget =
        fit_.method == GradientMethod::kCheckpointed && fit_.gradient.adjoint.checkpoints == 0;
    const int64_t of_gradients = fills_budget ? 1 : kGradientBlocks;
    return static_cast<int64_t>(
        std::min(fitting, static_cast<double>(reverse ? of_gradients : kBlocksTogether)));
  }

  void Add(const ConditionTask& task) {
    AddSteps(task.stats, work_);
    Answer& answer = answers_[task.question];
    answer.value += task.factor * task.value;
    if (!std::isfinite(task.value) && answer.detail.empty()) answer.detail = FailureOf(task);
    if (answer.gradient.empty() || task.gradient.empty()) return;
    const SearchPoint& point = *task.point;
    for (size_t l = 0; l < task.gradient.size(); ++l) {
      const int64_t element = task.condition->touched[l];
      answer.gradient[element] += task.factor * task.gradient[l] * point.slopes[element];
    }
  }

  std::string FailureOf(const ConditionTask& task) const {
    const std::string& name = task.condition->name;
    return absl::StrCat(
        fit_.conditions.size() > 1 ? absl::StrCat("condition ", name, ": ") : "",
        task.failure.empty() ? "the likelihood of its data is not finite" : task.failure);
  }

  static void Finish(Answer* answer) {
    if (std::isfinite(answer->value) && IsFinite(answer->gradient) && IsFinite(answer->residuals) &&
        IsFinite(answer->jacobian)) {
      return;
    }
    *answer = Answer{.detail = std::move(answer->detail)};
  }

  const BoundFit& fit_;
  const std::vector<SearchPoint>& points_;
  const absl::Span<const Question* const> questions_;
  const StopSource& stop_;
  Workers& workers_;
  SolveStats* const work_;
  const int64_t num_elements_;
  std::vector<Answer> answers_;
  std::vector<ConditionTask> wave_;
};

}  // namespace

void AddSteps(const SolveStats& more, SolveStats* total) {
  total->accepted_steps += more.accepted_steps;
  total->rejected_steps += more.rejected_steps;
  total->rhs_evaluations += more.rhs_evaluations;
}

absl::Status CheckFitStop(const StopSource& stop) {
  RETURN_IF_ERROR(PollCancellation(stop.cancellation, "a fit was evaluated"));
  if (stop.deadline == absl::InfiniteFuture() || absl::Now() < stop.deadline) {
    return absl::OkStatus();
  }
  return absl::DeadlineExceededError("the deadline passed while a fit was evaluated");
}

absl::StatusOr<std::vector<optimise::Answer>> EvaluateQuestions(
    const BoundFit& fit, const std::vector<SearchPoint>& points,
    absl::Span<const optimise::Question* const> questions, const StopSource& stop, Workers& workers,
    SolveStats* work) {
  return Evaluation(fit, points, questions, stop, workers, work).Run();
}

}  // namespace costate::fit
