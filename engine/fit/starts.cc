#include "engine/fit/starts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/fit/fit.h"
#include "engine/optimise/sampler.h"
#include "engine/optimise/state_bytes.h"

namespace costate::fit {
namespace {

constexpr int64_t kStateVersion = 1;
// Answers of a round that are held at once: their Jacobians can be large.
constexpr int64_t kMaxAnswerBytes = int64_t{256} << 20;
constexpr size_t kFirstQuestions = 64;  // before the size of an answer is known

std::vector<double> GivenStart(const Objective& objective) {
  std::vector<double> natural;
  for (const FreeElement& element : objective.elements()) natural.push_back(element.start);
  return natural;
}

double WindowWidth(const FreeElement& element, double start) {
  switch (element.scale) {
    case Scale::kLinear:
      return std::max(1.0, std::abs(start));
    case Scale::kLog:
      return std::log(10.0);
    case Scale::kLog10:
      return 1;
    case Scale::kLogit:
      break;  // has no window
  }
  return 0;
}

// u in [0, 1).
double DrawCoordinate(const FreeElement& element, double lower, double upper, double start,
                      double u) {
  if (lower == upper) return lower;
  if (element.nuisance) return start;
  double drawn = 0;
  if (element.scale == Scale::kLogit) {
    const double inside = 0.001 + 0.998 * u;
    drawn = std::log(inside / (1 - inside));
  } else {
    const double width = WindowWidth(element, start);
    const double from = std::isfinite(lower) ? lower : start - width;
    const double to = std::isfinite(upper) ? upper : start + width;
    drawn = from + u * (to - from);
  }
  return std::clamp(drawn, lower, upper);
}

// FNV-1a over what decides the starts and their ways, data aside.
int64_t Fingerprint(const Objective& objective, const FitOptions& options, int64_t first,
                    int64_t count) {
  optimise::StateWriter writer;
  for (const FreeElement& element : objective.elements()) {
    writer.Bytes(element.name);
    writer.Int(static_cast<int64_t>(element.scale));
    writer.Double(element.start);
  }
  writer.Doubles(objective.box().lower);
  writer.Doubles(objective.box().upper);
  writer.Int(objective.num_parts());
  writer.Int(static_cast<int64_t>(options.optimiser.algorithm));
  writer.Int(options.starts);
  writer.Int(static_cast<int64_t>(options.seed));
  writer.Int(static_cast<int64_t>(options.sampler));
  writer.Int(first);
  writer.Int(count);
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : writer.Take()) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return static_cast<int64_t>(hash);
}

int64_t AnswerBytes(const optimise::Answer& answer) {
  return 8 * static_cast<int64_t>(answer.gradient.size() + answer.residuals.size() +
                                  answer.jacobian.size());
}

class StartRange final : public Starts {
 public:
  StartRange(std::shared_ptr<const Objective> objective, const FitOptions& options, int64_t first,
             int64_t count)
      : objective_(std::move(objective)), options_(options), first_(first), count_(count) {}

  absl::Status Begin() {
    const std::vector<double> all = DrawStarts(*objective_, options_);
    const size_t q = objective_->elements().size();
    for (int64_t i = 0; i < count_; ++i) {
      const absl::Span<const double> start = absl::MakeConstSpan(all).subspan((first_ + i) * q, q);
      ASSIGN_OR_RETURN(std::unique_ptr<optimise::Optimiser> optimiser,
                       optimise::MakeOptimiser(OptionsOf(i), objective_->box(), start));
      optimisers_.push_back(std::move(optimiser));
      points_.push_back(NaturalStart(i, start));
      failures_.emplace_back();
    }
    return absl::OkStatus();
  }

  absl::Status Resume(std::string_view state) {
    optimise::StateReader reader(state);
    const int64_t version = reader.Int();
    if (!reader.ok() || version != kStateVersion) {
      return absl::DataLossError(absl::StrCat("state of starts: version ", version,
                                              ", and this build reads ", kStateVersion));
    }
    if (reader.Int() != Fingerprint(*objective_, options_, first_, count_)) {
      return absl::DataLossError("state of starts: of another fit, or of other starts");
    }
    const std::vector<double> all = DrawStarts(*objective_, options_);
    const size_t q = objective_->elements().size();
    for (int64_t i = 0; i < count_; ++i) {
      const std::string bytes = reader.Bytes();
      failures_.push_back(reader.Bytes());
      if (!reader.ok()) return absl::DataLossError("state of starts: cut short");
      ASSIGN_OR_RETURN(std::unique_ptr<optimise::Optimiser> optimiser,
                       optimise::RestoreOptimiser(OptionsOf(i), objective_->box(), bytes));
      optimisers_.push_back(std::move(optimiser));
      points_.push_back(NaturalStart(i, absl::MakeConstSpan(all).subspan((first_ + i) * q, q)));
    }
    if (!reader.at_end()) return absl::DataLossError("state of starts: bytes left over");
    return absl::OkStatus();
  }

  bool done() const override {
    return std::all_of(optimisers_.begin(), optimisers_.end(),
                       [](const auto& optimiser) { return optimiser->done(); });
  }

  absl::Status Advance(const StopSource& stop, Workers& workers) override {
    std::vector<size_t> active;
    for (size_t i = 0; i < optimisers_.size(); ++i) {
      if (!optimisers_[i]->done()) active.push_back(i);
    }
    for (size_t from = 0; from < active.size();) {
      const size_t size = std::min(active.size() - from, QuestionsAtOnce());
      const absl::Status status =
          AdvanceSome(absl::MakeConstSpan(active).subspan(from, size), stop, workers);
      if (absl::IsResourceExhausted(status) && size > 1) {
        most_questions_ = size / 2;  // nobody was told
        continue;
      }
      RETURN_IF_ERROR(status);
      from += size;
    }
    return absl::OkStatus();
  }

  std::string Save() const override {
    optimise::StateWriter writer;
    writer.Int(kStateVersion);
    writer.Int(Fingerprint(*objective_, options_, first_, count_));
    for (size_t i = 0; i < optimisers_.size(); ++i) {
      writer.Bytes(optimisers_[i]->Save());
      writer.Bytes(failures_[i]);
    }
    return writer.Take();
  }

  std::vector<StartProgress> progress() const override {
    std::vector<StartProgress> all;
    for (size_t i = 0; i < optimisers_.size(); ++i) {
      const optimise::Progress& progress = optimisers_[i]->progress();
      all.push_back({.start = first_ + static_cast<int64_t>(i),
                     .iteration = progress.iteration,
                     .objective = progress.value,
                     .gradient_norm = progress.gradient_norm,
                     .outcome = progress.outcome});
    }
    return all;
  }

  std::vector<StartResult> results() const override {
    std::vector<StartResult> all;
    for (size_t i = 0; i < optimisers_.size(); ++i) {
      const optimise::Progress& progress = optimisers_[i]->progress();
      all.push_back({.index = first_ + static_cast<int64_t>(i),
                     .outcome = progress.outcome,
                     .objective = progress.value,
                     .start_values = points_[i],
                     .values = objective_->ToNatural(progress.best),
                     .iterations = progress.iteration,
                     .evaluations = progress.evaluations,
                     .trace = progress.trace,
                     .gradient_norm = progress.gradient_norm,
                     .detail = DetailOf(i)});
    }
    return all;
  }

 private:
  // Of a start that diverged, with the reason of the last failure.
  std::string DetailOf(size_t i) const {
    const optimise::Progress& progress = optimisers_[i]->progress();
    if (progress.outcome != optimise::Outcome::kDiverged || failures_[i].empty()) {
      return progress.detail;
    }
    return absl::StrCat(progress.detail, " The last failure: ", failures_[i], ".");
  }

  optimise::OptimiserOptions OptionsOf(int64_t i) const {
    optimise::OptimiserOptions options = options_.optimiser;
    options.seed = StartSeed(options_.seed, first_ + i);
    options.num_parts = objective_->num_parts();
    return options;
  }

  // The given start as it was given, without a way there and back.
  std::vector<double> NaturalStart(int64_t i, absl::Span<const double> search) const {
    return first_ + i == 0 ? GivenStart(*objective_) : objective_->ToNatural(search);
  }

  size_t QuestionsAtOnce() const {
    if (answer_bytes_ < 0) return std::min(most_questions_, kFirstQuestions);
    const int64_t fitting = kMaxAnswerBytes / std::max<int64_t>(1, answer_bytes_);
    return std::max<int64_t>(1, std::min<int64_t>(most_questions_, fitting));
  }

  absl::Status AdvanceSome(absl::Span<const size_t> some, const StopSource& stop,
                           Workers& workers) {
    std::vector<const optimise::Question*> questions;
    for (const size_t i : some) questions.push_back(&optimisers_[i]->question());
    ASSIGN_OR_RETURN(std::vector<optimise::Answer> answers,
                     objective_->Evaluate(questions, stop, workers));
    if (answers.size() != some.size()) return absl::InternalError("answers without questions");
    for (size_t k = 0; k < some.size(); ++k) {
      answer_bytes_ = std::max(answer_bytes_, AnswerBytes(answers[k]));
      if (!answers[k].detail.empty()) failures_[some[k]] = answers[k].detail;
      optimisers_[some[k]]->Tell(std::move(answers[k]));
    }
    return absl::OkStatus();
  }

  const std::shared_ptr<const Objective> objective_;
  const FitOptions options_;
  const int64_t first_, count_;
  std::vector<std::unique_ptr<optimise::Optimiser>> optimisers_;  // [count]
  std::vector<std::vector<double>> points_;                       // [count], natural starts
  std::vector<std::string> failures_;  // [count], why the last evaluation that failed did
  int64_t answer_bytes_ = -1;          // the largest seen
  size_t most_questions_ = std::numeric_limits<int64_t>::max();  // that there was memory for
};

absl::StatusOr<std::unique_ptr<StartRange>> MakeRange(std::shared_ptr<const Objective> objective,
                                                      const FitOptions& options, int64_t first,
                                                      int64_t count) {
  if (first < 0 || count < 1 || first > options.starts - count) {
    return absl::InternalError(
        absl::StrCat("starts [", first, ", ", first, " + ", count, ") of ", options.starts));
  }
  return std::make_unique<StartRange>(std::move(objective), options, first, count);
}

}  // namespace

std::vector<double> DrawStarts(const Objective& objective, const FitOptions& options) {
  const std::vector<FreeElement>& elements = objective.elements();
  const optimise::Box& box = objective.box();
  const int64_t q = static_cast<int64_t>(elements.size());
  const std::vector<double> given = objective.ToSearch(GivenStart(objective));
  std::vector<double> all = given;
  if (options.starts == 1) return all;
  all.reserve(options.starts * q);
  const std::vector<double> cube =
      optimise::SampleUnitCube(options.sampler, options.starts - 1, q, options.seed);
  for (int64_t k = 0; k < (options.starts - 1) * q; ++k) {
    const int64_t j = k % q;
    all.push_back(DrawCoordinate(elements[j], box.lower[j], box.upper[j], given[j], cube[k]));
  }
  return all;
}

uint64_t StartSeed(uint64_t seed, int64_t index) {
  uint64_t z = seed + 0x9e3779b97f4a7c15 * (static_cast<uint64_t>(index) + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

absl::StatusOr<std::unique_ptr<Starts>> Starts::Create(std::shared_ptr<const Objective> objective,
                                                       const FitOptions& resolved, int64_t first,
                                                       int64_t count) {
  ASSIGN_OR_RETURN(std::unique_ptr<StartRange> range,
                   MakeRange(std::move(objective), resolved, first, count));
  RETURN_IF_ERROR(range->Begin());
  return range;
}

absl::StatusOr<std::unique_ptr<Starts>> Starts::Restore(std::shared_ptr<const Objective> objective,
                                                        const FitOptions& resolved, int64_t first,
                                                        int64_t count, std::string_view state) {
  ASSIGN_OR_RETURN(std::unique_ptr<StartRange> range,
                   MakeRange(std::move(objective), resolved, first, count));
  RETURN_IF_ERROR(range->Resume(state));
  return range;
}

}  // namespace costate::fit
