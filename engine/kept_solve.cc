#include "engine/kept_solve.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/base/stop_source.h"
#include "engine/bind.h"
#include "engine/differentiate.h"
#include "engine/gradient_options.h"
#include "engine/gradient_pass.h"
#include "engine/gradients/recording_budget.h"
#include "engine/map_rows.h"
#include "engine/prepare_loss.h"
#include "engine/resolve_options.h"
#include "engine/solved_pass.h"
#include "engine/solvers/stepper.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kDouble = static_cast<int64_t>(sizeof(double));

int64_t Bytes(const std::vector<double>& values) {
  return static_cast<int64_t>(values.capacity()) * kDouble;
}

int64_t Bytes(const SavedValues& saved) {
  return Bytes(saved.times) + Bytes(saved.states) + Bytes(saved.outputs) +
         Bytes(saved.terminal_state) + Bytes(saved.terminal_output);
}

// What passes count up from call to call; the other figures are sizes.
constexpr int64_t AdjointStats::* kCounts[] = {
    &AdjointStats::replayed_steps,  &AdjointStats::recomputed_steps,
    &AdjointStats::rhs_evaluations, &AdjointStats::vjp_evaluations,
    &AdjointStats::backward_steps,  &AdjointStats::backward_rejected};

absl::Status CheckMethod(GradientMethod method) {
  if (method == GradientMethod::kAuto ||
      GetGradientMethodInfo(method).family != GradientFamily::kDifference) {
    return absl::OkStatus();
  }
  return FieldError("gradient.method", GetGradientMethodInfo(method).name,
                    "forward or a method in reverse, such as backprop: differences of solves leave "
                    "nothing to keep");
}

// The times of a term and where they are on the wire; null without any.
struct TermTimes {
  const std::vector<double>* times = nullptr;
  const char* field = "";
};
TermTimes TimesOf(const LeastSquares& term) { return {&term.times, ".times"}; }
TermTimes TimesOf(const Linear& term) { return {&term.times, ".times"}; }
TermTimes TimesOf(const ExpressionLoss& term) { return {&term.times, ".expression.times"}; }
TermTimes TimesOf(const Terminal&) { return {}; }
TermTimes TimesOf(const IntegralLoss&) { return {}; }

// Monotone `saved`, not empty.
double Nearest(const std::vector<double>& saved, double t) {
  return *std::min_element(saved.begin(), saved.end(),
                           [t](double a, double b) { return std::fabs(a - t) < std::fabs(b - t); });
}

class KeptPasses : public KeptSolve {
 public:
  explicit KeptPasses(const KeepRequest& request)
      : model_(request.simulation.model),
        gradient_(request.gradient),
        wall_budget_(request.simulation.options.wall_budget) {}

  // Once, and first.
  absl::Status Solve(const KeepRequest& request, const Cancellation* cancellation);

  SolveResult Solution() const override;
  const Facts& facts() const override { return facts_; }
  int64_t stored_bytes() const override { return stored_bytes_.load(std::memory_order_relaxed); }
  absl::StatusOr<GradientResult> Differentiate(const Loss& loss,
                                               const Cancellation* cancellation) override;
  absl::StatusOr<VjpResult> ComputeVjp(const std::vector<Loss>& cotangents,
                                       const Cancellation* cancellation) override;

 private:
  struct Kept {
    AdjointOptions adjoint;  // with this trajectory's share of the budget
    std::unique_ptr<GradientPass> pass;
  };
  // The right to use the passes, for the length of a call.
  class Turn {
   public:
    explicit Turn(KeptPasses* kept) : kept_(kept) {}
    ~Turn() { kept_->End(); }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

   private:
    KeptPasses* const kept_;
  };

  absl::Status Begin(const Cancellation* cancellation);
  void End();

  absl::Status Prepare(const KeepRequest& request, const Cancellation* cancellation);
  absl::Status SolveAll();
  PassInput InputOf(int64_t trajectory) const;
  absl::Status CheckForwardRoom() const;
  absl::Status CheckTimes(const Loss& loss, std::string_view path) const;
  absl::StatusOr<absl::Duration> PrepareKernelsFor(int64_t num_cotangents) const;
  int64_t CountBytes() const;
  // As if a call had solved too, and no other had been there; `before` are the pass's at its start.
  GradientStats StatsOfCall(size_t trajectory, const AdjointStats& before) const;
  // Undoes what a call that is cut short does to the pass.
  void Restore(size_t trajectory);

  const std::shared_ptr<const Model> model_;
  const GradientOptions gradient_;
  const absl::Duration wall_budget_;
  // Set once, by Solve.
  BoundSimulation bound_;
  SolveOptions options_;
  Facts facts_;
  std::atomic<int64_t> stored_bytes_{0};

  std::mutex mutex_;
  std::condition_variable freed_;
  bool busy_ = false;  // guarded by mutex_
  // Of the call whose turn it is. Saved values of the passes do not change after Solve.
  StopSource stop_;
  std::vector<Kept> kept_;  // [B]
};

absl::Status KeptPasses::Solve(const KeepRequest& request, const Cancellation* cancellation) {
  const absl::Time start = absl::Now();
  RETURN_IF_ERROR(Begin(cancellation));
  const Turn turn(this);
  RETURN_IF_ERROR(Prepare(request, cancellation));
  absl::Status status = SolveAll();
  if (absl::IsResourceExhausted(status) && gradient_.method == GradientMethod::kAuto &&
      facts_.method == GradientMethod::kBackprop) {
    // The same bits in less memory.
    facts_.method = GradientMethod::kCheckpointed;
    absl::StrAppend(&facts_.method_reason,
                    "; checkpointed in the end, since its steps did not fit in the memory budget");
    status = SolveAll();
  }
  RETURN_IF_ERROR(status);
  for (const Kept& one : kept_) {
    facts_.terminations.push_back(one.pass->primal().termination);
    facts_.stats.push_back(one.pass->primal().stats);
  }
  bound_.compile = absl::ZeroDuration();
  facts_.timing.engine = absl::Now() - start - facts_.timing.compile;
  return absl::OkStatus();
}

absl::Status KeptPasses::Prepare(const KeepRequest& request, const Cancellation* cancellation) {
  RETURN_IF_ERROR(CheckMethod(request.gradient.method));
  if (request.simulation.options.save.kind == SaveAt::Kind::kSteps) {
    return FieldError("options.save", "every_steps", "times or the end");
  }
  ASSIGN_OR_RETURN(bound_, Bind(request.simulation, cancellation));
  ASSIGN_OR_RETURN(facts_.wrt, ResolveWrt(bound_.model->ir(), request.wrt));
  RETURN_IF_ERROR(CheckSpans(bound_, facts_.wrt));
  ASSIGN_OR_RETURN(ResolvedOptions resolved, ResolveOptions(request.simulation, bound_));
  options_ = std::move(resolved.options);
  facts_.resolution = std::move(resolved.resolution);
  RETURN_IF_ERROR(CheckSavedRoom(bound_, options_.save));
  const int64_t columns = NumColumns(facts_.wrt);
  RETURN_IF_ERROR(CheckGradientRoom(bound_.num_trajectories, "trajectories", columns));
  facts_.method =
      ChooseGradientMethod(request.gradient, bound_, options_, columns, &facts_.method_reason);
  RETURN_IF_ERROR(CheckGradientOptions(request.gradient, facts_.method, options_.scheme()));
  facts_.tangent_control = gradient_.tangent_control;
  facts_.num_columns = columns;
  facts_.num_values = bound_.model->rhs().num_states() + bound_.model->outputs().num_values();
  return facts_.method == GradientMethod::kForward ? CheckForwardRoom() : absl::OkStatus();
}

// Tangents of all trajectories are held together.
absl::Status KeptPasses::CheckForwardRoom() const {
  const double rows = static_cast<double>(std::max<size_t>(1, options_.save.times.size())) + 1;
  const double bytes = 8.0 * static_cast<double>(bound_.num_trajectories) * rows *
                       static_cast<double>(bound_.model->rhs().num_states()) *
                       static_cast<double>(NumColumns(facts_.wrt));
  if (bytes <= static_cast<double>(limits::kMaxSavedBytes)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the tangents to keep would take ", bytes, " bytes, over the limit of ",
                   limits::kMaxSavedBytes,
                   "; keep a method in reverse, or fewer trajectories, times or "
                   "columns"));
}

absl::Status KeptPasses::SolveAll() {
  ASSIGN_OR_RETURN(const absl::Duration compile, PrepareKernelsFor(1));
  facts_.timing.compile += compile;
  const int64_t batch = bound_.num_trajectories;
  kept_.clear();
  kept_.resize(batch);
  // Backprop stores what it has to; the others make do with what they are given.
  const bool shares = facts_.method != GradientMethod::kBackprop;
  int64_t left = RecordingBudget(gradient_.adjoint);
  for (int64_t b = 0; b < batch; ++b) {
    Kept& one = kept_[b];
    const int64_t share = shares ? left / (batch - b) : left;
    one.adjoint = gradient_.adjoint;
    one.adjoint.memory_budget = std::max<int64_t>(1, share);
    one.pass = MakeGradientPass(facts_.method, InputOf(b));
    RETURN_IF_ERROR(one.pass->Solve());
    left -= shares ? share : one.pass->stored_bytes();
  }
  stored_bytes_ = CountBytes();
  return absl::OkStatus();
}

PassInput KeptPasses::InputOf(int64_t trajectory) const {
  PassInput input;
  input.bound = &bound_;
  input.trajectory = trajectory;
  input.options = &options_;
  input.wrt = &facts_.wrt;
  input.control = gradient_.tangent_control;
  input.adjoint = &kept_[trajectory].adjoint;
  input.want_times = gradient_.want_times;
  input.stop = &stop_;
  return input;
}

absl::StatusOr<absl::Duration> KeptPasses::PrepareKernelsFor(int64_t num_cotangents) const {
  return PrepareGradientKernels(bound_, facts_.method,
                                static_cast<int64_t>(options_.save.times.size()), num_cotangents);
}

int64_t KeptPasses::CountBytes() const {
  // Copies of the options, and a stepper or kernels with their buffers, in each pass.
  constexpr int64_t kPass = 4096;
  const VectorField& field = bound_.model->rhs();
  const int64_t work = (GetMethodInfo(options_.method).stages + 8) * field.num_states() +
                       2 * field.num_params() + static_cast<int64_t>(options_.save.times.size()) +
                       static_cast<int64_t>(options_.control.grid.size());
  int64_t bytes = Bytes(bound_.params) + Bytes(bound_.y0);
  for (const Kept& one : kept_) {
    const PassPrimal& primal = one.pass->primal();
    bytes += kPass + work * kDouble + Bytes(primal.values) + Bytes(primal.grid) +
             one.pass->stored_bytes();
  }
  return bytes;
}

SolveResult KeptPasses::Solution() const {
  SolveResult result;
  for (size_t b = 0; b < kept_.size(); ++b) {
    const PassPrimal& primal = kept_[b].pass->primal();
    const SavedValues& saved = primal.values;
    Trajectory trajectory;
    trajectory.times = saved.times;
    trajectory.states = saved.states;
    const int64_t n = bound_.model->rhs().num_states();
    while (trajectory.num_reached < static_cast<int64_t>(saved.times.size()) &&
           !std::isnan(saved.states[trajectory.num_reached * n])) {
      ++trajectory.num_reached;
    }
    trajectory.termination = facts_.terminations[b];
    trajectory.stats = facts_.stats[b].solve;
    trajectory.grid = primal.grid;
    result.trajectories.push_back(std::move(trajectory));
    result.outputs.push_back(saved.outputs);
  }
  result.resolution = facts_.resolution;
  result.timing = facts_.timing;
  return result;
}

absl::Status KeptPasses::Begin(const Cancellation* cancellation) {
  // Cancellations come without a signal.
  constexpr std::chrono::milliseconds kLook(5);
  std::unique_lock<std::mutex> lock(mutex_);
  while (busy_) {
    freed_.wait_for(lock, kLook);
    RETURN_IF_ERROR(PollCancellation(cancellation, "another call used the kept solve"));
  }
  busy_ = true;
  stop_ = {cancellation, absl::Now() + wall_budget_};
  return absl::OkStatus();
}

void KeptPasses::End() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = {};
    busy_ = false;
  }
  freed_.notify_one();
}

void KeptPasses::Restore(size_t trajectory) {
  kept_[trajectory].pass->primal().termination = facts_.terminations[trajectory];
}

GradientStats KeptPasses::StatsOfCall(size_t trajectory, const AdjointStats& before) const {
  GradientStats stats = kept_[trajectory].pass->primal().stats;
  const AdjointStats& solve = facts_.stats[trajectory].adjoint;
  for (int64_t AdjointStats::* count : kCounts) {
    stats.adjoint.*count += solve.*count - before.*count;
  }
  return stats;
}

absl::Status KeptPasses::CheckTimes(const Loss& loss, std::string_view path) const {
  const bool at_times = options_.save.kind == SaveAt::Kind::kTimes;
  const std::vector<double>& saved = options_.save.times;
  const bool descends = bound_.t1[0] < bound_.t0[0];
  const auto before = [descends](double a, double b) { return descends ? a > b : a < b; };
  for (size_t i = 0; i < loss.terms.size(); ++i) {
    const std::string field = absl::StrCat(std::string(path), ".terms[", i, "]");
    if (std::holds_alternative<IntegralLoss>(loss.terms[i])) {
      return FieldError(absl::StrCat(field, ".integral"), "a running loss",
                        "another loss: this one is solved along with the model, so it needs a "
                        "solve of its own");
    }
    const TermTimes term =
        std::visit([](const auto& concrete) { return TimesOf(concrete); }, loss.terms[i]);
    if (term.times == nullptr) continue;
    for (size_t j = 0; j < term.times->size(); ++j) {
      const double t = (*term.times)[j];
      if (at_times && std::binary_search(saved.begin(), saved.end(), t, before)) continue;
      return FieldError(
          absl::StrCat(field, term.field, "[", j, "]"), absl::StrCat(t),
          at_times && !saved.empty()
              ? absl::StrCat("a saved time of the kept solve, of which the nearest is ",
                             Nearest(saved, t))
              : std::string("a terminal term: the kept solve saved its end alone"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<GradientResult> KeptPasses::Differentiate(const Loss& loss,
                                                         const Cancellation* cancellation) {
  const absl::Time start = absl::Now();
  RETURN_IF_ERROR(ValidateLossForAll(loss, bound_));
  RETURN_IF_ERROR(CheckTimes(loss, "loss"));
  RETURN_IF_ERROR(Begin(cancellation));
  const Turn turn(this);
  GradientResult result;
  ASSIGN_OR_RETURN(result.timing.compile, PrepareKernelsFor(1));
  // Without running losses it changes neither.
  ASSIGN_OR_RETURN(const PreparedLoss prepared, PrepareLoss(loss, &bound_, &options_));
  result.timing.compile += prepared.compile;
  result.trajectories.reserve(kept_.size());
  for (size_t b = 0; b < kept_.size(); ++b) {
    Kept& one = kept_[b];
    const PassInput input = InputOf(static_cast<int64_t>(b));
    const AdjointStats before = one.pass->primal().stats.adjoint;
    LossValue value;
    auto trajectory = DifferentiateSolved(prepared.loss, input, one.pass.get(), &value);
    Restore(b);
    RETURN_IF_ERROR(trajectory.status());
    trajectory->stats = StatsOfCall(b, before);
    trajectory->saved = one.pass->primal().values;
    trajectory->grid = one.pass->primal().grid;
    result.trajectories.push_back(*std::move(trajectory));
  }
  result.wrt = facts_.wrt;
  result.method = facts_.method;
  result.method_reason = facts_.method_reason;
  result.tangent_control = gradient_.tangent_control;
  result.resolution = facts_.resolution;
  stored_bytes_ = CountBytes();
  result.timing.engine = absl::Now() - start - result.timing.compile;
  return result;
}

absl::StatusOr<VjpResult> KeptPasses::ComputeVjp(const std::vector<Loss>& cotangents,
                                                 const Cancellation* cancellation) {
  const absl::Time start = absl::Now();
  if (bound_.batched) {
    return FieldError("kept_solve", absl::StrCat("a batch of ", bound_.num_trajectories),
                      "one trajectory without batch axes");
  }
  RETURN_IF_ERROR(ValidateCotangents(cotangents, bound_));
  for (size_t v = 0; v < cotangents.size(); ++v) {
    RETURN_IF_ERROR(CheckTimes(cotangents[v], absl::StrCat("cotangents[", v, "]")));
  }
  const int64_t count = static_cast<int64_t>(cotangents.size());
  RETURN_IF_ERROR(CheckGradientRoom(count, "cotangents", NumColumns(facts_.wrt)));
  RETURN_IF_ERROR(Begin(cancellation));
  const Turn turn(this);
  VjpResult result;
  result.wrt = facts_.wrt;
  ASSIGN_OR_RETURN(result.timing.compile, PrepareKernelsFor(count));
  Kept& one = kept_[0];
  const AdjointStats before = one.pass->primal().stats.adjoint;
  const absl::Status status = PullBackSolved(cotangents, InputOf(0), one.pass.get(), &result);
  result.primal.termination = one.pass->primal().termination;
  Restore(0);
  RETURN_IF_ERROR(status);
  result.primal.loss = kNaN;
  result.primal.stats = StatsOfCall(0, before);
  result.primal.saved = one.pass->primal().values;
  result.primal.grid = one.pass->primal().grid;
  result.method = facts_.method;
  result.method_reason = facts_.method_reason;
  result.tangent_control = gradient_.tangent_control;
  result.resolution = facts_.resolution;
  stored_bytes_ = CountBytes();
  result.timing.engine = absl::Now() - start - result.timing.compile;
  return result;
}

}  // namespace

absl::StatusOr<std::unique_ptr<KeptSolve>> KeepSimulation(const KeepRequest& request,
                                                          const Cancellation* cancellation) {
  auto kept = std::make_unique<KeptPasses>(request);
  RETURN_IF_ERROR(kept->Solve(request, cancellation));
  return kept;
}

}  // namespace costate
