#include "engine/optimise/nlopt.h"

#include <nlopt.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/field_error.h"
#include "engine/optimise/progress_keeper.h"
#include "engine/optimise/random.h"

namespace costate::optimise {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Method {
  std::string_view name;
  nlopt_algorithm algorithm;
  bool is_global;  // needs finite bounds, and does not begin at the start
};

// Those without gradient that keep within bounds. Not NEWUOA, which knows no bounds, nor its
// bounded variant, whose trust-region steps may never end; not ORIG_DIRECT, which writes past its
// arrays when it is stopped; not the augmented Lagrangians, which are for constraints; not AGS,
// which is missing from builds without C++.
constexpr Method kMethods[] = {
    {"LN_BOBYQA", NLOPT_LN_BOBYQA, false},
    {"LN_COBYLA", NLOPT_LN_COBYLA, false},
    {"LN_NELDERMEAD", NLOPT_LN_NELDERMEAD, false},
    {"LN_PRAXIS", NLOPT_LN_PRAXIS, false},
    {"LN_SBPLX", NLOPT_LN_SBPLX, false},
    {"GN_CRS2_LM", NLOPT_GN_CRS2_LM, true},
    {"GN_DIRECT", NLOPT_GN_DIRECT, true},
    {"GN_DIRECT_L", NLOPT_GN_DIRECT_L, true},
    {"GN_DIRECT_L_NOSCAL", NLOPT_GN_DIRECT_L_NOSCAL, true},
    {"GN_DIRECT_L_RAND", NLOPT_GN_DIRECT_L_RAND, true},
    {"GN_DIRECT_L_RAND_NOSCAL", NLOPT_GN_DIRECT_L_RAND_NOSCAL, true},
    {"GN_DIRECT_NOSCAL", NLOPT_GN_DIRECT_NOSCAL, true},
    {"GN_ESCH", NLOPT_GN_ESCH, true},
    {"GN_ISRES", NLOPT_GN_ISRES, true},
    {"GN_MLSL", NLOPT_GN_MLSL, true},
    {"GN_MLSL_LDS", NLOPT_GN_MLSL_LDS, true},
};

const Method* FindMethod(std::string_view name) {
  for (const Method& method : kMethods) {
    if (method.name == name) return &method;
  }
  return nullptr;
}

std::string Names(bool local_only) {
  std::string names;
  for (const Method& method : kMethods) {
    if (local_only && method.is_global) continue;
    absl::StrAppend(&names, names.empty() ? "" : ", ", std::string(method.name));
  }
  return names;
}

// What a search is told where the value is infinite, since methods that model the objective cannot
// take that: clearly worse than the worst so far.
class Substitute {
 public:
  double operator()(double value) {
    if (!std::isfinite(value)) {
      if (!std::isfinite(best_)) return kNothingKnown;
      return worst_ + 10 * (worst_ - best_) + std::max(1.0, std::abs(worst_));
    }
    best_ = std::min(best_, value);
    worst_ = std::max(worst_, value);
    return value;
  }

 private:
  static constexpr double kNothingKnown = 1e100;
  double best_ = kInfinity, worst_ = -kInfinity;
};

// FNV-1a of the bits of points, one after the other.
uint64_t Chain(uint64_t hash, absl::Span<const double> point) {
  for (const double x : point) hash = (hash ^ std::bit_cast<uint64_t>(x)) * 0x100000001b3;
  return hash;
}

struct Ending {
  nlopt_result result = NLOPT_FAILURE;
  std::string message;
};

// An NLopt search on a thread of its own. Between Start or Tell and the return of that call the
// thread runs; at all other times it waits.
class SearchThread {
 public:
  SearchThread(const OptimiserOptions& options, const Method& method, Box box,
               std::vector<double> start, std::vector<double> replayed)
      : options_(options),
        method_(method),
        box_(std::move(box)),
        start_(std::move(start)),
        replayed_(std::move(replayed)) {
    thread_ = std::thread([this] { Run(); });
    AwaitTurn();
  }

  ~SearchThread() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
      turn_ = Turn::kSearch;
    }
    changed_.notify_all();
    thread_.join();
  }

  bool ended() const { return ended_; }
  const Ending& ending() const { return ending_; }
  const std::vector<double>& point() const { return point_; }
  uint64_t chain() const { return chain_; }  // of all points asked for, point() included

  void Tell(double value) {
    {
      std::lock_guard lock(mutex_);
      value_ = value;
      turn_ = Turn::kSearch;
    }
    changed_.notify_all();
    AwaitTurn();
  }

 private:
  enum class Turn { kSearch, kCaller };

  void AwaitTurn() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return turn_ == Turn::kCaller; });
  }

  // On the thread: asks for the value at x, and waits for it.
  double Ask(const double* x) {
    if (stop_) return kInfinity;
    std::vector<double> point(x, x + start_.size());
    if (!AllFinite(point)) {
      nlopt_force_stop(search_);
      return kInfinity;
    }
    point_ = Clamp(point, box_);
    chain_ = Chain(chain_, point_);
    if (next_ < replayed_.size()) return substitute_(replayed_[next_++]);
    std::unique_lock lock(mutex_);
    turn_ = Turn::kCaller;
    changed_.notify_all();
    changed_.wait(lock, [this] { return turn_ == Turn::kSearch; });
    if (stop_) {
      nlopt_force_stop(search_);
      return kInfinity;
    }
    return substitute_(value_);
  }

  void Run() {
    // Its generator belongs to the thread and takes 32 bits.
    nlopt_srand(static_cast<unsigned long>(MixBits(options_.seed + 1) >> 32));
    search_ = nlopt_create(method_.algorithm, static_cast<unsigned>(start_.size()));
    nlopt_set_min_objective(
        search_,
        [](unsigned, const double* x, double*, void* self) {
          return static_cast<SearchThread*>(self)->Ask(x);
        },
        this);
    nlopt_set_lower_bounds(search_, box_.lower.data());
    nlopt_set_upper_bounds(search_, box_.upper.data());
    nlopt_set_ftol_rel(search_, options_.function_tolerance);
    nlopt_set_xtol_rel(search_, options_.step_tolerance);
    nlopt_set_xtol_abs1(search_, 0);  // MLSL of 2.7.1 reads it unset
    // The limit is kept by the caller; this one is for methods that plan by it.
    nlopt_set_maxeval(search_, static_cast<int>(std::clamp<int64_t>(options_.max_iterations, 1000,
                                                                    1'000'000'000)));
    std::vector<double> x = start_;
    double value = kInfinity;
    const nlopt_result result = nlopt_optimize(search_, x.data(), &value);
    const char* message = nlopt_get_errmsg(search_);
    ending_ = {result, message == nullptr ? nlopt_result_to_string(result) : message};
    nlopt_destroy(search_);
    std::lock_guard lock(mutex_);
    ended_ = true;
    turn_ = Turn::kCaller;
    changed_.notify_all();
  }

  const OptimiserOptions options_;
  const Method& method_;
  const Box box_;
  const std::vector<double> start_;
  const std::vector<double> replayed_;

  std::mutex mutex_;
  std::condition_variable changed_;
  Turn turn_ = Turn::kSearch;  // under mutex_
  bool stop_ = false;          // under mutex_

  // Handed over with the turn.
  double value_ = 0;
  std::vector<double> point_;
  uint64_t chain_ = 0xcbf29ce484222325;
  bool ended_ = false;
  Ending ending_;

  // Of the thread.
  nlopt_opt search_ = nullptr;
  size_t next_ = 0;
  Substitute substitute_;
  std::thread thread_;
};

// The free elements of a box: NLopt sees no others.
std::vector<size_t> FreeElements(const Box& box) {
  std::vector<size_t> free;
  for (size_t j = 0; j < box.lower.size(); ++j) {
    if (box.lower[j] < box.upper[j]) free.push_back(j);
  }
  return free;
}

std::vector<double> Pick(absl::Span<const double> values, const std::vector<size_t>& elements) {
  std::vector<double> picked;
  for (const size_t j : elements) picked.push_back(values[j]);
  return picked;
}

class Nlopt final : public Optimiser {
 public:
  Nlopt(const OptimiserOptions& options, const Method& method, Box box, std::vector<double> start)
      : options_(options),
        method_(method),
        box_(std::move(box)),
        free_(FreeElements(box_)),
        keeper_(start),
        start_(start) {
    question_.point = std::move(start);
    question_.wanted = Wanted::kValue;
  }

  // Begins the search, told what was told before.
  absl::Status Begin();

  bool done() const override { return keeper_.done(); }
  const Question& question() const override { return question_; }
  const Progress& progress() const override { return keeper_.progress(); }
  void Tell(Answer answer) override;
  std::string Save() const override;
  bool Restore(StateReader& reader);

 private:
  void ShowPoint();
  void JudgeEnding(const Ending& ending);

  const OptimiserOptions options_;
  const Method& method_;
  const Box box_;
  const std::vector<size_t> free_;
  ProgressKeeper keeper_;
  Question question_;
  std::vector<double> start_;  // [q]
  std::vector<double> told_;
  std::unique_ptr<SearchThread> search_;  // null once done, and where nothing is free
};

absl::Status Nlopt::Begin() {
  if (free_.empty()) return absl::OkStatus();
  if (static_cast<int64_t>(free_.size()) > kMaxNloptElements) {
    return FieldError(
        "nlopt_algorithm",
        absl::StrCat(std::string(method_.name), " for ", free_.size(), " free elements"),
        absl::StrCat("at most ", kMaxNloptElements, ", or the method lbfgsb"));
  }
  try {
    search_ = std::make_unique<SearchThread>(options_, method_,
                                             Box{Pick(box_.lower, free_), Pick(box_.upper, free_)},
                                             Pick(start_, free_), told_);
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no thread for a search of NLopt: ", error.what()));
  }
  if (!search_->ended()) {
    ShowPoint();
    return absl::OkStatus();
  }
  return FieldError("nlopt_algorithm", method_.name,
                    absl::StrCat("a method that takes these ", free_.size(),
                                 " free elements; NLopt says: ", search_->ending().message));
}

void Nlopt::ShowPoint() {
  for (size_t i = 0; i < free_.size(); ++i) question_.point[free_[i]] = search_->point()[i];
}

void Nlopt::Tell(Answer answer) {
  keeper_.CountEvaluation();
  const double value = std::isfinite(answer.value) ? answer.value : kInfinity;
  told_.push_back(value);
  if (told_.size() > 1) keeper_.NextIteration();
  keeper_.See(question_.point, value);
  const bool nothing_yet = !std::isfinite(keeper_.progress().value);
  if (told_.size() == 1 && nothing_yet && !method_.is_global) {
    keeper_.End(Outcome::kDiverged, "The objective is not finite at the start.");
  } else if (free_.empty()) {
    keeper_.End(Outcome::kConverged, "Every element is held fixed.");
  } else if (static_cast<int64_t>(told_.size()) >= options_.max_iterations) {
    keeper_.End(
        nothing_yet ? Outcome::kDiverged : Outcome::kMaxIterations,
        absl::StrFormat("The limit of %d evaluations was reached%s.", options_.max_iterations,
                        nothing_yet ? " and none was finite" : ""));
  }
  if (!done()) {
    search_->Tell(value);
    if (search_->ended()) {
      JudgeEnding(search_->ending());
    } else {
      ShowPoint();
    }
  }
  if (done()) search_.reset();
}

void Nlopt::JudgeEnding(const Ending& ending) {
  const int64_t finite =
      std::count_if(told_.begin(), told_.end(), [](double value) { return std::isfinite(value); });
  if (finite <= 1) {
    return keeper_.End(
        Outcome::kDiverged,
        absl::StrFormat("%d of %d values of the objective were finite.", finite, told_.size()));
  }
  switch (ending.result) {
    case NLOPT_FTOL_REACHED:
      return keeper_.End(Outcome::kConverged,
                         absl::StrFormat("The value changed by at most the tolerance %.3g.",
                                         options_.function_tolerance));
    case NLOPT_XTOL_REACHED:
      return keeper_.End(Outcome::kConverged,
                         absl::StrFormat("The point changed by at most the tolerance %.3g.",
                                         options_.step_tolerance));
    case NLOPT_SUCCESS:
    case NLOPT_STOPVAL_REACHED:
      return keeper_.End(Outcome::kConverged, "NLopt found its search complete.");
    case NLOPT_MAXEVAL_REACHED:
    case NLOPT_MAXTIME_REACHED:
      return keeper_.End(Outcome::kMaxIterations,
                         absl::StrFormat("NLopt ended after %d evaluations, near the limit %d.",
                                         told_.size(), options_.max_iterations));
    case NLOPT_FAILURE:
    case NLOPT_INVALID_ARGS:
    case NLOPT_OUT_OF_MEMORY:
    case NLOPT_ROUNDOFF_LIMITED:
    case NLOPT_FORCED_STOP:
    case NLOPT_NUM_FAILURES:
    case NLOPT_NUM_RESULTS:
      return keeper_.End(Outcome::kStalled,
                         absl::StrFormat("NLopt could not go on: %s.", ending.message));
  }
}

std::string Nlopt::Save() const {
  StateWriter writer;
  keeper_.Save(writer);
  writer.Doubles(start_);
  writer.Doubles(question_.point);
  writer.Doubles(told_);
  writer.Int(search_ == nullptr ? 0 : static_cast<int64_t>(search_->chain()));
  return writer.Take();
}

bool Nlopt::Restore(StateReader& reader) {
  const size_t q = box_.lower.size();
  if (!keeper_.Restore(reader, q)) return false;
  start_ = reader.Doubles();
  const std::vector<double> point = reader.Doubles();
  told_ = reader.Doubles();
  const auto chain = static_cast<uint64_t>(reader.Int());
  if (!reader.ok() || start_.size() != q || !IsWithin(start_, box_) || point.size() != q ||
      !IsWithin(point, box_)) {
    return false;
  }
  question_.point = point;
  if (done()) return true;
  if (static_cast<int64_t>(told_.size()) >= options_.max_iterations || !Begin().ok()) return false;
  return search_ == nullptr || (search_->chain() == chain && question_.point == point);
}

}  // namespace

absl::Status CheckNloptAlgorithm(std::string_view name) {
  if (FindMethod(name) != nullptr) return absl::OkStatus();
  return FieldError("nlopt_algorithm", name, absl::StrCat("one of ", Names(false)));
}

absl::StatusOr<std::unique_ptr<Optimiser>> MakeNlopt(const OptimiserOptions& options, Box box,
                                                     std::vector<double> start) {
  const Method& method = *FindMethod(options.nlopt_algorithm);
  if (method.is_global && (!AllFinite(box.lower) || !AllFinite(box.upper))) {
    return FieldError("nlopt_algorithm", method.name,
                      absl::StrCat("finite bounds of every free element, which global methods "
                                   "need, or one of ",
                                   Names(true)));
  }
  auto optimiser = std::make_unique<Nlopt>(options, method, std::move(box), std::move(start));
  if (absl::Status status = optimiser->Begin(); !status.ok()) return status;
  return optimiser;
}

std::unique_ptr<Optimiser> RestoreNlopt(const OptimiserOptions& options, Box box,
                                        StateReader& reader) {
  const Method& method = *FindMethod(options.nlopt_algorithm);
  auto optimiser = std::make_unique<Nlopt>(options, method, box,
                                           Clamp(std::vector<double>(box.lower.size()), box));
  if (!optimiser->Restore(reader)) return nullptr;
  return optimiser;
}

}  // namespace costate::optimise
