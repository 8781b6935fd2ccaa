#include "engine/optimise/adam.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/optimise/progress_keeper.h"
#include "engine/optimise/random.h"
#include "engine/optimise/restore_as.h"

namespace costate::optimise {
namespace {

// Failed evaluations in a row after which there is no going on; each shortens the step to a
// quarter.
constexpr int64_t kMaxFailures = 25;
constexpr double kShorten = 0.25;
constexpr double kLargest = std::numeric_limits<double>::max();

class Adam final : public Optimiser {
 public:
  Adam(const OptimiserOptions& options, Box box, std::vector<double> start)
      : options_(options), box_(std::move(box)), keeper_(start), last_(start) {
    mean_.assign(start.size(), 0);
    square_.assign(start.size(), 0);
    question_.point = std::move(start);
    whole_ = true;
    Ask();
  }

  bool done() const override { return keeper_.done(); }
  const Question& question() const override { return question_; }
  const Progress& progress() const override { return keeper_.progress(); }
  void Tell(Answer answer) override;
  std::string Save() const override;
  bool Restore(StateReader& reader);

 private:
  bool batched() const {
    return options_.batch_size > 0 && options_.batch_size < options_.num_parts;
  }
  bool fixed(size_t j) const { return box_.lower[j] == box_.upper[j]; }

  void Ask();
  void ShortenStep();
  void JudgeEnd(const Answer& answer);
  std::vector<double> Clipped(std::vector<double> gradient) const;
  double Rate() const;
  void Step(const std::vector<double>& gradient);

  const OptimiserOptions options_;
  const Box box_;
  ProgressKeeper keeper_;
  Question question_;

  std::vector<double> last_;           // [q], the last point with an answer
  std::vector<double> mean_, square_;  // [q], of gradients
  int64_t steps_ = 0;
  int64_t failures_ = 0;  // in a row
  // Minibatches: parts passed of which epoch, and whether the question is of all parts.
  int64_t epoch_ = 0, passed_ = 0;
  bool whole_ = true;
};

void Adam::Ask() {
  question_.wanted = whole_ && batched() ? Wanted::kValue : Wanted::kGradient;
  question_.parts.clear();
  if (whole_) return;
  const std::vector<int64_t> order =
      RandomStream(options_.seed, static_cast<uint64_t>(epoch_)).Permutation(options_.num_parts);
  const int64_t count = std::min(options_.batch_size, options_.num_parts - passed_);
  question_.parts.assign(order.begin() + passed_, order.begin() + passed_ + count);
  std::sort(question_.parts.begin(), question_.parts.end());
}

void Adam::Tell(Answer answer) {
  keeper_.CountEvaluation();
  if (!IsComplete(answer, question_.wanted, question_.point.size())) return ShortenStep();
  failures_ = 0;
  last_ = question_.point;
  if (whole_) keeper_.See(question_.point, answer.value);
  if (question_.wanted == Wanted::kGradient) {
    keeper_.SetGradientNorm(FreeGradientNorm(answer.gradient, question_.point, box_));
  }
  if (whole_) JudgeEnd(answer);
  if (done()) return;
  if (question_.wanted == Wanted::kGradient) {
    Step(Clipped(std::move(answer.gradient)));
    passed_ += batched() ? static_cast<int64_t>(question_.parts.size()) : 0;
  }
  if (batched()) {
    const bool epoch_ended = passed_ == options_.num_parts;
    if (epoch_ended) {
      ++epoch_;
      passed_ = 0;
    }
    whole_ = epoch_ended || keeper_.progress().iteration >= options_.max_iterations;
  }
  Ask();
}

// Back towards the last point with an answer.
void Adam::ShortenStep() {
  if (keeper_.progress().evaluations == 1) {
    return keeper_.End(Outcome::kDiverged, "The objective is not finite at the start.");
  }
  ++failures_;
  if (failures_ >= kMaxFailures || question_.point == last_) {
    return keeper_.End(
        Outcome::kDiverged,
        absl::StrFormat("The objective was not finite at the last %d points tried.", failures_));
  }
  if (keeper_.progress().iteration >= options_.max_iterations) {
    return keeper_.End(Outcome::kMaxIterations,
                       absl::StrFormat("The limit of %d iterations was reached; the objective is "
                                       "not finite at the last point.",
                                       options_.max_iterations));
  }
  for (size_t j = 0; j < last_.size(); ++j) {
    question_.point[j] = last_[j] + kShorten * (question_.point[j] - last_[j]);
  }
  question_.point = Clamp(question_.point, box_);
  keeper_.NextIteration();
}

// After an answer of all parts.
void Adam::JudgeEnd(const Answer& answer) {
  const double norm = keeper_.progress().gradient_norm;
  if (!answer.gradient.empty() &&
      IsStationary(answer.gradient, question_.point, box_, options_.gradient_tolerance)) {
    return keeper_.End(Outcome::kConverged,
                       absl::StrFormat("The gradient norm is %.3g, at most the tolerance %.3g.",
                                       norm, options_.gradient_tolerance));
  }
  if (keeper_.progress().iteration >= options_.max_iterations) {
    keeper_.End(
        Outcome::kMaxIterations,
        absl::StrFormat("The limit of %d iterations was reached; the gradient norm is %.3g.",
                        options_.max_iterations, norm));
  }
}

// Without what is held fixed, and no longer than clip_norm.
std::vector<double> Adam::Clipped(std::vector<double> gradient) const {
  double norm = 0;
  for (size_t j = 0; j < gradient.size(); ++j) {
    if (fixed(j)) gradient[j] = 0;
    norm = std::hypot(norm, gradient[j]);
  }
  if (!options_.clip_norm || norm <= *options_.clip_norm) return gradient;
  for (double& g : gradient) g = std::isfinite(norm) ? g * (*options_.clip_norm / norm) : 0;
  return gradient;
}

double Adam::Rate() const {
  const Schedule& schedule = options_.schedule;
  const auto step = static_cast<double>(steps_);
  const double last = static_cast<double>(std::max<int64_t>(options_.max_iterations - 1, 1));
  const double progress = std::min((step - 1) / last, 1.0);
  double rate = options_.learning_rate;
  switch (schedule.kind) {
    case Schedule::Kind::kConstant:
      break;
    case Schedule::Kind::kExponential:
      rate *= std::pow(schedule.decay, progress);
      break;
    case Schedule::Kind::kCosine:
      rate *=
          schedule.decay + (1 - schedule.decay) * (1 + std::cos(std::numbers::pi * progress)) / 2;
      break;
  }
  const auto warmup = static_cast<double>(schedule.warmup);
  return steps_ < schedule.warmup ? rate * step / warmup : rate;
}

void Adam::Step(const std::vector<double>& gradient) {
  ++steps_;
  const double rate = Rate();
  const double decay = options_.algorithm == Algorithm::kAdamW ? options_.weight_decay : 0;
  const double mean_share = 1 - std::pow(options_.beta1, static_cast<double>(steps_));
  const double square_share = 1 - std::pow(options_.beta2, static_cast<double>(steps_));
  std::vector<double>& x = question_.point;
  for (size_t j = 0; j < x.size(); ++j) {
    const double g = gradient[j];
    mean_[j] = options_.beta1 * mean_[j] + (1 - options_.beta1) * g;
    square_[j] = std::min(options_.beta2 * square_[j] + (1 - options_.beta2) * g * g, kLargest);
    const double mean = mean_[j] / mean_share;
    const double root = std::sqrt(square_[j] / square_share);
    x[j] -= rate * (mean / (root + options_.epsilon) + decay * x[j]);
  }
  x = Clamp(x, box_);
  keeper_.NextIteration();
}

std::string Adam::Save() const {
  StateWriter writer;
  keeper_.Save(writer);
  writer.Doubles(question_.point);
  writer.Doubles(last_);
  writer.Doubles(mean_);
  writer.Doubles(square_);
  for (const int64_t v : {steps_, failures_, epoch_, passed_, int64_t{whole_}}) writer.Int(v);
  return writer.Take();
}

bool Adam::Restore(StateReader& reader) {
  const size_t q = box_.lower.size();
  if (!keeper_.Restore(reader, q)) return false;
  question_.point = reader.Doubles();
  last_ = reader.Doubles();
  mean_ = reader.Doubles();
  square_ = reader.Doubles();
  for (int64_t* v : {&steps_, &failures_, &epoch_, &passed_}) *v = reader.Int();
  whole_ = reader.Int() != 0;
  if (!reader.ok() || question_.point.size() != q || last_.size() != q || mean_.size() != q ||
      square_.size() != q || !IsWithin(question_.point, box_) || !IsWithin(last_, box_) ||
      !AllFinite(mean_) || !AllFinite(square_)) {
    return false;
  }
  const bool counts_right = steps_ >= 0 && failures_ >= 0 && failures_ <= kMaxFailures &&
                            epoch_ >= 0 && passed_ >= 0 && (whole_ || batched()) &&
                            (passed_ == 0 || passed_ < options_.num_parts);
  if (!counts_right) return false;
  Ask();
  return true;
}

}  // namespace

std::unique_ptr<Optimiser> MakeAdam(const OptimiserOptions& options, Box box,
                                    std::vector<double> start) {
  return std::make_unique<Adam>(options, std::move(box), std::move(start));
}

std::unique_ptr<Optimiser> RestoreAdam(const OptimiserOptions& options, Box box,
                                       StateReader& reader) {
  return RestoreAs<Adam>(options, std::move(box), reader);
}

}  // namespace costate::optimise
