#include "engine/optimise/lbfgsb.h"

#include <Eigen/Core>
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/optimise/progress_keeper.h"
#include "engine/optimise/restore_as.h"

// The reverse communication of L-BFGS-B 3.0, as GNU Fortran passes arguments: by address, lengths
// of strings at the end.
extern "C" void setulb_(const int* n, const int* m, double* x, const double* l, const double* u,
                        const int* nbd, double* f, double* g, const double* factr,
                        const double* pgtol, double* wa, int* iwa, char* task, const int* iprint,
                        char* csave, int* lsave, int* isave, double* dsave, size_t task_length,
                        size_t csave_length);

namespace costate::optimise {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kMemory = 10;
constexpr double kShorten = 0.1;  // r above
// A component of the gradient, of max(1, |value|), above which the end of a search is tried again.
constexpr double kSteep = 1e-4;
constexpr size_t kSlopeOfStep = 14, kSquareOfStep = 15;  // in dsave: gdold and dtd

// Aligned alike wherever it lies, so that sums are taken in the same order.
using Doubles = std::vector<double, Eigen::aligned_allocator<double>>;

// All that setulb_ reads and writes.
struct Search {
  Doubles x, g, wa;
  double f = 0;
  std::vector<int> iwa;
  char task[60], csave[60];
  int lsave[4] = {}, isave[44] = {};
  double dsave[29] = {};
};

size_t WorkSize(size_t n) {
  constexpr size_t m = kMemory;
  return 2 * m * n + 5 * n + 11 * m * m + 8 * m;
}

void SetTask(Search& search, std::string_view task) {
  std::memset(search.task, ' ', sizeof(search.task));
  std::memcpy(search.task, task.data(), task.size());
}

class Lbfgsb final : public Optimiser {
 public:
  Lbfgsb(const OptimiserOptions& options, Box box, std::vector<double> start);

  bool done() const override { return keeper_.done(); }
  const Question& question() const override { return question_; }
  const Progress& progress() const override { return keeper_.progress(); }
  void Tell(Answer answer) override;
  std::string Save() const override;
  bool Restore(StateReader& reader);

 private:
  bool TaskIs(std::string_view task) const {
    return std::string_view(search_.task, 60).starts_with(task);
  }
  void Call();
  void Advance();
  void TellParabola();
  void FinishIteration();
  void JudgeEnd(double decrease, double expected, double step);
  bool Renew();
  void EndSearch();

  const OptimiserOptions options_;
  const Box box_;
  Doubles lower_, upper_;
  std::vector<int> bound_kinds_;  // [q], nbd of setulb_
  ProgressKeeper keeper_;
  Question question_;
  Search search_;

  // The last iterate: its point, value and gradient. Infinite value: none yet.
  std::vector<double> x_, g_;
  double f_ = kInfinity;
  enum class Trials { kNone, kInfinite, kFinite };
  Trials trials_ = Trials::kNone;  // since; finite if any was
  bool renewed_ = false;           // whether the search began anew since it last found a decrease
};

Lbfgsb::Lbfgsb(const OptimiserOptions& options, Box box, std::vector<double> start)
    : options_(options),
      box_(std::move(box)),
      lower_(box_.lower.begin(), box_.lower.end()),
      upper_(box_.upper.begin(), box_.upper.end()),
      keeper_(start) {
  const size_t q = start.size();
  for (size_t j = 0; j < q; ++j) {
    const bool below = std::isfinite(lower_[j]), above = std::isfinite(upper_[j]);
    bound_kinds_.push_back(below ? (above ? 2 : 1) : (above ? 3 : 0));
  }
  search_.x.assign(start.begin(), start.end());
  search_.g.assign(q, 0);
  search_.wa.assign(WorkSize(q), 0);
  search_.iwa.assign(3 * q, 0);
  std::memset(search_.csave, ' ', sizeof(search_.csave));
  SetTask(search_, "START");
  Call();  // asks for the start
  question_.point = std::move(start);
  question_.wanted = Wanted::kGradient;
}

void Lbfgsb::Call() {
  const int n = static_cast<int>(search_.x.size());
  const int memory = kMemory, silent = -1;
  const double off = 0;  // its own tests
  Search& s = search_;
  setulb_(&n, &memory, s.x.data(), lower_.data(), upper_.data(), bound_kinds_.data(), &s.f,
          s.g.data(), &off, &off, s.wa.data(), s.iwa.data(), s.task, &silent, s.csave, s.lsave,
          s.isave, s.dsave, sizeof(s.task), sizeof(s.csave));
  // Processor times, which would make states differ from run to run.
  std::fill(s.dsave + 5, s.dsave + 10, 0.0);
}

void Lbfgsb::Tell(Answer answer) {
  keeper_.CountEvaluation();
  const bool complete = IsComplete(answer, Wanted::kGradient, question_.point.size());
  if (!std::isfinite(f_)) {
    if (!complete) {
      return keeper_.End(Outcome::kDiverged, "The objective is not finite at the start.");
    }
    x_ = question_.point;
  }
  if (complete) {
    search_.f = answer.value;
    std::copy(answer.gradient.begin(), answer.gradient.end(), search_.g.begin());
    keeper_.See(question_.point, answer.value);
    trials_ = Trials::kFinite;
  } else {
    if (trials_ == Trials::kNone) trials_ = Trials::kInfinite;
    if (question_.point == x_) return EndSearch();
    TellParabola();
  }
  if (!std::isfinite(f_)) {
    f_ = search_.f;
    g_ = answer.gradient;
    trials_ = Trials::kNone;
    keeper_.SetGradientNorm(FreeGradientNorm(g_, x_, box_));
    JudgeEnd(kInfinity, kInfinity, kInfinity);
  }
  if (!done()) Advance();
}

void Lbfgsb::TellParabola() {
  double slope = 0, square = 0;
  for (size_t j = 0; j < x_.size(); ++j) {
    const double e = question_.point[j] - x_[j];
    slope += g_[j] * e;
    square += e * e;
  }
  search_.f = f_ - slope * (1 / (2 * kShorten) - 1);
  for (size_t j = 0; j < x_.size(); ++j) {
    search_.g[j] =
        square > 0 ? slope * (1 - 1 / kShorten) * (question_.point[j] - x_[j]) / square : 0;
  }
}

// To the next question, or the end.
void Lbfgsb::Advance() {
  for (Call(); !TaskIs("FG"); Call()) {
    if (TaskIs("NEW_X")) {
      FinishIteration();
    } else if (!Renew()) {
      EndSearch();
    }
    if (done()) return;
  }
  for (size_t j = 0; j < search_.x.size(); ++j) {
    search_.x[j] = std::clamp(search_.x[j], lower_[j], upper_[j]);
  }
  question_.point.assign(search_.x.begin(), search_.x.end());
  // Overflow of its products shows in its points.
  if (!AllFinite(question_.point)) EndSearch();
}

// search_ stands at a new iterate, on the way along d from the last one to the minimum of the
// quadratic model. A line search that went a small part of it brings little, which is no end.
void Lbfgsb::FinishIteration() {
  const double decrease = f_ - search_.f;
  // As the model has it, over all of d: -g'd / 2. dsave holds d'd and g'd.
  const double expected = -search_.dsave[kSlopeOfStep] / 2;
  const double step = std::sqrt(search_.dsave[kSquareOfStep]);
  x_.assign(search_.x.begin(), search_.x.end());
  g_.assign(search_.g.begin(), search_.g.end());
  f_ = search_.f;
  trials_ = Trials::kNone;
  keeper_.NextIteration();
  keeper_.SetGradientNorm(FreeGradientNorm(g_, x_, box_));
  JudgeEnd(decrease, expected, step);
}

void Lbfgsb::JudgeEnd(double decrease, double expected, double step) {
  const double norm = keeper_.progress().gradient_norm;
  if (IsStationary(g_, x_, box_, options_.gradient_tolerance)) {
    return keeper_.End(Outcome::kConverged,
                       absl::StrFormat("The gradient norm is %.3g, at most the tolerance %.3g.",
                                       norm, options_.gradient_tolerance));
  }
  const double least = options_.function_tolerance * std::abs(f_);
  double reach = 0;
  for (const double x : x_) reach = std::hypot(reach, x);
  const bool falls = decrease > 0 && std::max(decrease, expected) > least;
  const bool moves = step > options_.step_tolerance * reach;
  if (!(falls && moves) && !Renew()) {
    return keeper_.End(
        Outcome::kConverged,
        falls ? absl::StrFormat("The step was %.3g of the point, at most the tolerance %.3g.",
                                step / reach, options_.step_tolerance)
              : absl::StrFormat("The value changed by %.3g of itself, at most the tolerance %.3g.",
                                decrease / std::abs(f_), options_.function_tolerance));
  }
  if (decrease > least) renewed_ = false;
  if (keeper_.progress().iteration >= options_.max_iterations) {
    keeper_.End(
        Outcome::kMaxIterations,
        absl::StrFormat("The limit of %d iterations was reached; the gradient norm is %.3g.",
                        options_.max_iterations, norm));
  }
}

// Forgets all steps where the slope is too steep for an end: they may be those of a curvature that
// was met far away, by which all steps are too short. Once, until it finds a decrease.
bool Lbfgsb::Renew() {
  const double steep = kSteep * std::max(1.0, std::abs(f_));
  if (renewed_ || IsStationary(g_, x_, box_, steep)) return false;
  renewed_ = true;
  SetTask(search_, "START");
  std::copy(x_.begin(), x_.end(), search_.x.begin());
  std::fill(search_.wa.begin(), search_.wa.end(), 0.0);
  Call();  // asks for this point
  search_.f = f_;
  std::copy(g_.begin(), g_.end(), search_.g.begin());
  return true;
}

// The search has ended by itself: its tests are off, so it found nothing lower, or stands still.
void Lbfgsb::EndSearch() {
  const double norm = keeper_.progress().gradient_norm;
  if (trials_ == Trials::kInfinite) {
    return keeper_.End(Outcome::kDiverged,
                       "The objective is not finite at any point tried around the last one.");
  }
  keeper_.End(
      Outcome::kStalled,
      absl::StrFormat("The line search found no lower value; the gradient norm is %.3g.", norm));
}

// ---- state ----------------------------------------------------------------------------------

template <typename Ints>
void WriteInts(StateWriter& writer, const Ints& values) {
  writer.Ints(std::vector<int64_t>(std::begin(values), std::end(values)));
}

template <typename Ints>
bool ReadInts(StateReader& reader, Ints& values) {
  const std::vector<int64_t> read = reader.Ints();
  if (read.size() != std::size(values)) return false;
  for (size_t i = 0; i < read.size(); ++i) {
    if (read[i] < std::numeric_limits<int>::min() || read[i] > std::numeric_limits<int>::max()) {
      return false;
    }
    std::begin(values)[i] = static_cast<int>(read[i]);
  }
  return true;
}

template <typename Values>
bool ReadDoubles(StateReader& reader, Values&& values) {
  const std::vector<double> read = reader.Doubles();
  if (read.size() != std::size(values)) return false;
  std::copy(read.begin(), read.end(), std::begin(values));
  return true;
}

bool ReadText(StateReader& reader, char (&text)[60]) {
  const std::string read = reader.Bytes();
  if (read.size() != sizeof(text)) return false;
  std::copy(read.begin(), read.end(), text);
  return true;
}

std::string Lbfgsb::Save() const {
  StateWriter writer;
  keeper_.Save(writer);
  writer.Doubles(question_.point);
  writer.Doubles(x_);
  writer.Doubles(g_);
  writer.Double(f_);
  writer.Int(static_cast<int64_t>(trials_));
  writer.Int(renewed_);
  writer.Doubles(search_.x);
  writer.Doubles(search_.g);
  writer.Doubles(search_.wa);
  writer.Double(search_.f);
  WriteInts(writer, search_.iwa);
  writer.Bytes(std::string_view(search_.task, sizeof(search_.task)));
  writer.Bytes(std::string_view(search_.csave, sizeof(search_.csave)));
  WriteInts(writer, search_.lsave);
  WriteInts(writer, search_.isave);
  writer.Doubles(search_.dsave);
  return writer.Take();
}

bool Lbfgsb::Restore(StateReader& reader) {
  const size_t q = search_.x.size();
  if (!keeper_.Restore(reader, q)) return false;
  question_.point = reader.Doubles();
  x_ = reader.Doubles();
  g_ = reader.Doubles();
  f_ = reader.Double();
  const int64_t trials = reader.Int();
  if (trials < 0 || trials > static_cast<int64_t>(Trials::kFinite)) return false;
  trials_ = static_cast<Trials>(trials);
  renewed_ = reader.Int() != 0;
  const size_t expected = std::isfinite(f_) ? q : 0;
  if (question_.point.size() != q || !IsWithin(question_.point, box_) || x_.size() != expected ||
      g_.size() != expected) {
    return false;
  }
  // Where its parts lie in the work array: as for any state of this number of elements.
  const std::vector<int> parts(search_.isave, search_.isave + 16);
  if (!ReadDoubles(reader, search_.x) || !ReadDoubles(reader, search_.g) ||
      !ReadDoubles(reader, search_.wa)) {
    return false;
  }
  search_.f = reader.Double();
  if (!ReadInts(reader, search_.iwa) || !ReadText(reader, search_.task) ||
      !ReadText(reader, search_.csave) || !ReadInts(reader, search_.lsave) ||
      !ReadInts(reader, search_.isave) || !ReadDoubles(reader, search_.dsave)) {
    return false;
  }
  return reader.ok() && std::equal(parts.begin(), parts.end(), search_.isave);
}

}  // namespace

std::unique_ptr<Optimiser> MakeLbfgsb(const OptimiserOptions& options, Box box,
                                      std::vector<double> start) {
  return std::make_unique<Lbfgsb>(options, std::move(box), std::move(start));
}

std::unique_ptr<Optimiser> RestoreLbfgsb(const OptimiserOptions& options, Box box,
                                         StateReader& reader) {
  return RestoreAs<Lbfgsb>(options, std::move(box), reader);
}

}  // namespace costate::optimise
