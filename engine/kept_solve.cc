#include "engine/kept_solve.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/differentiate.h"
#include "engine/gradient_options.h"
#include "engine/map_rows.h"
#include "engine/prepare_loss.h"
#include "engine/resolve_options.h"
#include "engine/solved_pass.h"
#include "engine/solvers/stepper.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kDouble = static_cast<int64_t>(sizeof(double));

// How often a call that waits for another looks at its cancellation.
constexpr absl::Duration kLook = absl::Milliseconds(5);

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

}  // namespace

// The right to use the passes, for the length of a call.
class KeptSolve::Turn {
 public:
  explicit Turn(KeptSolve* kept) : kept_(kept) {}
  ~Turn() { kept_->End(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  KeptSolve* const kept_;
};

KeptSolve::KeptSolve(const KeepRequest& request)
    : model_(request.simulation.model),
      gradient_(request.gradient),
      wall_budget_(request.simulation.options.wall_budget) {}

KeptSolve::~KeptSolve() = default;

absl::StatusOr<std::unique_ptr<KeptSolve>> KeptSolve::Create(const KeepRequest& request,
                                                             const Cancellation* cancellation) {
  const absl::Time start = absl::Now();
  auto kept = std::unique_ptr<KeptSolve>(new KeptSolve(request));
  RETURN_IF_ERROR(kept->Begin(cancellation));
  const Turn turn(kept.get());
  RETURN_IF_ERROR(kept->Prepare(request, cancellation));
  absl::Status status = kept->SolveAll();
  if (absl::IsResourceExhausted(status) && request.gradient.method == GradientMethod::kAuto &&
      kept->method_ == GradientMethod::kBackprop) {
    // The same bits in less memory.
    kept->method_ = GradientMethod::kCheckpointed;
    absl::StrAppend(&kept->method_reason_,
                    "; checkpointed in the end, since its steps did not fit in the memory budget");
    status = kept->SolveAll();
  }
  RETURN_IF_ERROR(status);
  kept->bound_.compile = absl::ZeroDuration();
  kept->timing_.engine = absl::Now() - start - kept->timing_.compile;
  return kept;
}

absl::Status KeptSolve::Prepare(const KeepRequest& request, const Cancellation* cancellation) {
  RETURN_IF_ERROR(CheckMethod(request.gradient.method));
  if (request.simulation.options.save.kind == SaveAt::Kind::kSteps) {
    return FieldError("options.save", "every_steps", "times or the end");
  }
  ASSIGN_OR_RETURN(bound_, Bind(request.simulation, cancellation));
  ASSIGN_OR_RETURN(wrt_, ResolveWrt(bound_.model->ir(), request.wrt));
  RETURN_IF_ERROR(CheckSpans(bound_, wrt_));
  ASSIGN_OR_RETURN(ResolvedOptions resolved, ResolveOptions(request.simulation, bound_));
  options_ = std::move(resolved.options);
  resolution_ = std::move(resolved.resolution);
  RETURN_IF_ERROR(CheckSavedRoom(bound_, options_.save));
  const int64_t columns = NumColumns(wrt_);
  RETURN_IF_ERROR(CheckGradientRoom(bound_.num_trajectories, "trajectories", columns));
  method_ = ChooseGradientMethod(request.gradient, bound_, options_, columns, &method_reason_);
  RETURN_IF_ERROR(CheckGradientOptions(request.gradient, method_));
  return method_ == GradientMethod::kForward ? CheckForwardRoom() : absl::OkStatus();
}

// Tangents of all trajectories are held together.
absl::Status KeptSolve::CheckForwardRoom() const {
  const double rows = static_cast<double>(std::max<size_t>(1, options_.save.times.size())) + 1;
  const double bytes = 8.0 * static_cast<double>(bound_.num_trajectories) * rows *
                       static_cast<double>(bound_.model->rhs().num_states()) *
                       static_cast<double>(NumColumns(wrt_));
  if (bytes <= static_cast<double>(limits::kMaxSavedBytes)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the tangents to keep would take ", bytes, " bytes, over the limit of ",
                   limits::kMaxSavedBytes,
                   "; keep a method in reverse, or fewer trajectories, times or "
                   "columns"));
}

absl::Status KeptSolve::SolveAll() {
  ASSIGN_OR_RETURN(const absl::Duration compile, PrepareKernelsFor(1));
  timing_.compile += compile;
  const int64_t batch = bound_.num_trajectories;
  kept_.clear();
  kept_.resize(batch);
  // Backprop stores what it has to; the others make do with what they are given.
  const bool shares = method_ != GradientMethod::kBackprop;
  int64_t left = std::min(gradient_.adjoint.memory_budget, limits::kMaxRecordingBytes);
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t share = shares ? left / (batch - b) : left;
    RETURN_IF_ERROR(SolveOne(b, std::max<int64_t>(1, share)));
    left -= shares ? share : kept_[b].pass->stored_bytes();
  }
  stored_bytes_ = CountBytes();
  return absl::OkStatus();
}

absl::Status KeptSolve::SolveOne(int64_t trajectory, int64_t budget) {
  Kept& one = kept_[trajectory];
  one.adjoint = gradient_.adjoint;
  one.adjoint.memory_budget = budget;
  one.pass = MakeGradientPass(method_, InputOf(trajectory));
  RETURN_IF_ERROR(one.pass->Solve());
  one.termination = one.pass->primal().termination;
  one.stats = one.pass->primal().stats;
  return absl::OkStatus();
}

PassInput KeptSolve::InputOf(int64_t trajectory) const {
  PassInput input;
  input.bound = &bound_;
  input.trajectory = trajectory;
  input.options = &options_;
  input.wrt = &wrt_;
  input.control = gradient_.tangent_control;
  input.adjoint = &kept_[trajectory].adjoint;
  input.want_times = gradient_.want_times;
  input.stop = &stop_;
  return input;
}

absl::StatusOr<absl::Duration> KeptSolve::PrepareKernelsFor(int64_t num_cotangents) const {
  return PrepareGradientKernels(bound_, method_, static_cast<int64_t>(options_.save.times.size()),
                                num_cotangents);
}

int64_t KeptSolve::CountBytes() const {
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

SolveResult KeptSolve::solution() const {
  SolveResult result;
  for (const Kept& one : kept_) {
    const SavedValues& saved = one.pass->primal().values;
    Trajectory trajectory;
    trajectory.times = saved.times;
    trajectory.states = saved.states;
    const int64_t n = bound_.model->rhs().num_states();
    while (trajectory.num_reached < static_cast<int64_t>(saved.times.size()) &&
           !std::isnan(saved.states[trajectory.num_reached * n])) {
      ++trajectory.num_reached;
    }
    trajectory.termination = one.termination;
    trajectory.stats = one.stats.solve;
    trajectory.grid = one.pass->primal().grid;
    result.trajectories.push_back(std::move(trajectory));
    result.outputs.push_back(saved.outputs);
  }
  result.resolution = resolution_;
  result.timing = timing_;
  return result;
}

absl::Status KeptSolve::Begin(const Cancellation* cancellation) {
  const auto free = [](bool* busy) { return !*busy; };
  bool* const busy = &busy_;
  while (!mutex_.LockWhenWithTimeout(absl::Condition(+free, busy), kLook)) {
    mutex_.Unlock();
    RETURN_IF_ERROR(PollCancellation(cancellation, "another call used the kept solve"));
  }
  busy_ = true;
  mutex_.Unlock();
  stop_ = {cancellation, absl::Now() + wall_budget_};
  return absl::OkStatus();
}

void KeptSolve::End() {
  stop_ = {};
  absl::MutexLock lock(&mutex_);
  busy_ = false;
}

void KeptSolve::Restore(Kept* kept) { kept->pass->primal().termination = kept->termination; }

GradientStats KeptSolve::StatsOfCall(const Kept& kept, const AdjointStats& before) {
  GradientStats stats = kept.pass->primal().stats;
  for (int64_t AdjointStats::* count : kCounts) {
    stats.adjoint.*count += kept.stats.adjoint.*count - before.*count;
  }
  return stats;
}

absl::Status KeptSolve::CheckTimes(const Loss& loss, std::string_view path) const {
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

absl::StatusOr<GradientResult> KeptSolve::Differentiate(const Loss& loss,
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
    Restore(&one);
    RETURN_IF_ERROR(trajectory.status());
    trajectory->stats = StatsOfCall(one, before);
    trajectory->saved = one.pass->primal().values;
    trajectory->grid = one.pass->primal().grid;
    result.trajectories.push_back(*std::move(trajectory));
  }
  result.wrt = wrt_;
  result.method = method_;
  result.method_reason = method_reason_;
  result.tangent_control = gradient_.tangent_control;
  result.resolution = resolution_;
  stored_bytes_ = CountBytes();
  result.timing.engine = absl::Now() - start - result.timing.compile;
  return result;
}

absl::StatusOr<VjpResult> KeptSolve::ComputeVjp(const std::vector<Loss>& cotangents,
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
  RETURN_IF_ERROR(CheckGradientRoom(count, "cotangents", NumColumns(wrt_)));
  RETURN_IF_ERROR(Begin(cancellation));
  const Turn turn(this);
  VjpResult result;
  result.wrt = wrt_;
  ASSIGN_OR_RETURN(result.timing.compile, PrepareKernelsFor(count));
  Kept& one = kept_[0];
  const AdjointStats before = one.pass->primal().stats.adjoint;
  const absl::Status status = PullBackSolved(cotangents, InputOf(0), one.pass.get(), &result);
  result.primal.termination = one.pass->primal().termination;
  Restore(&one);
  RETURN_IF_ERROR(status);
  result.primal.loss = kNaN;
  result.primal.stats = StatsOfCall(one, before);
  result.primal.saved = one.pass->primal().values;
  result.primal.grid = one.pass->primal().grid;
  result.method = method_;
  result.method_reason = method_reason_;
  result.tangent_control = gradient_.tangent_control;
  result.resolution = resolution_;
  stored_bytes_ = CountBytes();
  result.timing.engine = absl::Now() - start - result.timing.compile;
  return result;
}

}  // namespace costate
