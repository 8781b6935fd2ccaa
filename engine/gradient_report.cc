#include "engine/gradient_report.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "engine/difference_pass.h"
#include "engine/gradients/growth.h"
#include "engine/gradients/random_signs.h"
#include "engine/gradients/recording_budget.h"
#include "engine/gradients/stop_check.h"
#include "engine/shifted_solve.h"
#include "engine/tangent_pass.h"

namespace costate {
namespace {

constexpr uint64_t kProbeSeed = 0x9e0be;
constexpr double kFinerControlled = 100;  // tolerances of the reference solve
constexpr double kFiner = 10;
constexpr double kTightestRtol = 1e-13;  // below it rounding decides
constexpr int64_t kMoreSteps = 8;        // a finer solve may take

const StepControl& ControlOf(const PassInput& input) { return input.options->control; }

bool IsAdaptive(const PassInput& input) {
  return ControlOf(input).kind == StepControl::Kind::kAdaptive;
}

// a - b; an empty one is zero.
std::vector<double> Minus(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> difference = a;
  difference.resize(std::max(a.size(), b.size()));
  for (size_t i = 0; i < b.size(); ++i) difference[i] -= b[i];
  return difference;
}

Cotangents Minus(const Cotangents& a, const Cotangents& b) {
  return {.states = Minus(a.states, b.states),
          .outputs = Minus(a.outputs, b.outputs),
          .terminal_state = Minus(a.terminal_state, b.terminal_state),
          .terminal_output = Minus(a.terminal_output, b.terminal_output),
          .params = Minus(a.params, b.params),
          .times = {}};
}

double Dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    if (a[i] != 0) sum += a[i] * b[i];
  }
  return sum;
}

std::vector<double> AbsoluteDifference(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> difference = Minus(a, b);
  for (double& x : difference) x = std::fabs(x);
  return difference;
}

// The least squares terms alone, each with the factor 1.
Loss SquaresOf(const Loss& loss) {
  Loss squares;
  for (const auto& term : loss.terms) {
    if (const auto* one = std::get_if<LeastSquares>(&term)) {
      squares.terms.emplace_back(*one);
      std::get<LeastSquares>(squares.terms.back()).half = false;
    }
  }
  return squares;
}

// Largest |y_i| over recorded states.
std::vector<double> LargestStates(const Recording& recording) {
  std::vector<double> largest(recording.num_states);
  for (size_t at = 0; at < recording.states.size(); ++at) {
    double& size = largest[at % recording.num_states];
    size = std::max(size, std::fabs(recording.states[at]));
  }
  return largest;
}

// The gradient by a pass of its own; empty where it has none.
absl::StatusOr<std::vector<double>> GradientBy(GradientMethod method, const Loss& loss,
                                               PassInput input, int64_t* calls) {
  input.want_times = false;
  const std::unique_ptr<GradientPass> pass = MakeGradientPass(method, input);
  RETURN_IF_ERROR(pass->Solve());
  PassGradients gradients;
  if (pass->primal().reached()) {
    const LossValue value =
        EvaluateLoss(loss, pass->primal().values, input.bound->one(input.trajectory).params);
    RETURN_IF_ERROR(pass->Differentiate(loss, value, &gradients));
  }
  *calls = KernelCalls(pass->primal().stats);
  if (!pass->primal().reached()) gradients.values.clear();
  return gradients.values;
}

}  // namespace

int64_t KernelCalls(const GradientStats& stats) {
  return stats.solve.rhs_evaluations + stats.adjoint.rhs_evaluations +
         stats.adjoint.vjp_evaluations + stats.tangents.jvp_evaluations;
}

SolveOptions Refined(SolveOptions options, double tolerance_factor,
                     const std::vector<double>& grid) {
  StepControl& control = options.control;
  options.max_steps = std::min(options.max_steps, limits::kMaxSteps / kMoreSteps) * kMoreSteps;
  if (control.kind == StepControl::Kind::kAdaptive) {
    const double rtol =
        std::max(control.rtol / tolerance_factor, std::min(control.rtol, kTightestRtol));
    for (double& atol : control.atol) atol /= tolerance_factor;
    control.rtol = rtol;
    return options;
  }
  std::vector<double> halved;
  for (size_t i = 0; i + 1 < grid.size(); ++i) {
    halved.push_back(grid[i]);
    const double middle = grid[i] + (grid[i + 1] - grid[i]) / 2;
    if (middle != grid[i] && middle != grid[i + 1]) halved.push_back(middle);
  }
  if (!grid.empty()) halved.push_back(grid.back());
  return OnGrid(std::move(options), std::move(halved));
}

GradientChecks::GradientChecks(const CheckedGradient& checked)
    : checked_(checked), options_(*checked.input->options), input_(*checked.input) {
  options_.return_grid = true;
  input_.options = &options_;
}

absl::StatusOr<std::unique_ptr<GradientChecks>> GradientChecks::Create(
    const CheckedGradient& checked) {
  std::unique_ptr<GradientChecks> checks(new GradientChecks(checked));
  // The companions keep a reference to what the problem's spans refer to: the bound simulation.
  RETURN_IF_ERROR(checks->AddProbes());
  return checks;
}

absl::Status GradientChecks::AddProbes() {
  problem_ = input_.bound->one(input_.trajectory);
  ASSIGN_OR_RETURN(stiffness_, StiffnessCompanion::Create(problem_, options_.method,
                                                          ReportThresholds().stability_fraction));
  input_.companions.push_back(stiffness_.get());
  const bool reverse = family() == GradientFamily::kDiscreteAdjoint ||
                       family() == GradientFamily::kContinuousAdjoint;
  if (!reverse) return absl::OkStatus();
  const int64_t columns = NumColumns(*input_.wrt);
  const int64_t lanes = problem_.field->simd_lanes();
  std::vector<double> directions;
  report_.tangents_are_probes = columns > lanes;
  if (report_.tangents_are_probes) {
    const std::vector<double> sizes = ColumnSizes(input_);
    RandomBits bits(kProbeSeed);
    for (int64_t i = 0; i < lanes * columns; ++i) {
      directions.push_back(bits.Sign() * sizes[i % columns]);
    }
  } else {
    directions = UnitDirections(columns);
  }
  const int64_t count = static_cast<int64_t>(directions.size()) / columns;
  ASSIGN_OR_RETURN(probe_seeds_, MakeSeeds(input_, count, directions));
  probe_options_ = options_;
  probe_options_.save = SaveAt{};  // nothing on the way
  ASSIGN_OR_RETURN(probes_, TangentCompanion::Create(problem_, probe_options_, probe_seeds_,
                                                     TangentControl::kPrimalOnly));
  input_.companions.push_back(probes_.get());
  return absl::OkStatus();
}

bool GradientChecks::controlled() const {
  return checked_.method == GradientMethod::kForward &&
         checked_.input->control == TangentControl::kFull && IsAdaptive(input_);
}

void GradientChecks::AddCost(Check check, int64_t kernel_calls) {
  const double plain = static_cast<double>(std::max<int64_t>(1, plain_calls_));
  report_.checks.push_back({check, static_cast<double>(kernel_calls) / plain});
}

absl::Status GradientChecks::ComparePlain(const PassPrimal& primal) {
  ShiftedSolve solve(*checked_.input, options_);
  ASSIGN_OR_RETURN(plain_, solve.At({}));
  plain_calls_ = solve.rhs_evaluations();
  report_.same_steps = plain_.grid == primal.grid;
  if (plain_.reached()) {
    report_.plain_loss = EvaluateLoss(*checked_.loss, plain_.values, problem_.params).value;
  }
  AddCost(Check::kLossMismatch, plain_calls_);
  return absl::OkStatus();
}

absl::Status GradientChecks::CompareBetter() {
  ShiftedSolve solve(
      *checked_.input,
      Refined(*checked_.input->options, controlled() ? kFinerControlled : kFiner, plain_.grid));
  ASSIGN_OR_RETURN(better_, solve.At({}));
  AddCost(Check::kNoiseFloor, solve.rhs_evaluations());
  return absl::OkStatus();
}

// c(y) - c(y - dy) for the better solve and for the plain one.
absl::Status GradientChecks::PullBackDifferences(GradientPass& pass, const LossValue& value) {
  if (family() == GradientFamily::kDifference || std::isnan(value.value)) return absl::OkStatus();
  std::vector<Cotangents> differences;
  for (const PassPrimal* other : {&better_, &plain_}) {
    if (!other->reached()) continue;
    const LossValue there = EvaluateLoss(*checked_.loss, other->values, problem_.params);
    differences.push_back(Minus(value.cotangents, there.cotangents));
  }
  const int64_t before = KernelCalls(pass.primal().stats);
  PassGradients floors;
  RETURN_IF_ERROR(pass.PullBack(differences, &floors));
  report_.checks.back().solves += static_cast<double>(KernelCalls(pass.primal().stats) - before) /
                                  static_cast<double>(std::max<int64_t>(1, plain_calls_));
  const int64_t columns = NumColumns(*input_.wrt);
  auto next = floors.values.begin();
  for (auto [other, floor] :
       {std::pair(&better_, &report_.noise_floor), std::pair(&plain_, &report_.plain_difference)}) {
    if (!other->reached()) continue;
    floor->assign(next, next + columns);
    next += columns;
    for (double& x : *floor) x = std::fabs(x);
  }
  return absl::OkStatus();
}

void GradientChecks::CompareWithData(const SavedValues& saved, const SavedValues& better) {
  const Loss squares = SquaresOf(*checked_.loss);
  if (squares.terms.empty()) return;
  const LossValue here = EvaluateLoss(squares, saved, problem_.params);
  report_.residual_norm = std::sqrt(here.value);
  if (!better_.reached()) return;
  // The cotangents are 2 (v - data) / sigma^2, so the data drop out.
  const LossValue there = EvaluateLoss(squares, better, problem_.params);
  const Cotangents c = Minus(here.cotangents, there.cotangents);
  report_.saved_error_norm =
      std::sqrt(0.5 * (Dot(c.states, Minus(saved.states, better.states)) +
                       Dot(c.outputs, Minus(saved.outputs, better.outputs))));
}

void GradientChecks::ReadTangents(const GradientStats& stats) {
  TangentStats tangents = stats.tangents;
  if (probes_ != nullptr) {
    Trajectory trajectory;
    tangents = std::move(*probes_).Take(std::move(trajectory)).stats;
    tangent_calls_ = tangents.jvp_evaluations;
  } else if (family() == GradientFamily::kTangent) {
    tangent_calls_ = 0;  // the columns' own
  } else {
    return;
  }
  report_.transient = tangents.amplification;
  report_.transient_time = tangents.amplification_time;
  if (!IsAdaptive(input_)) return;  // no estimates
  report_.tangent_error_max = tangents.max_error_ratio;
  report_.tangent_error_quantile90 = tangents.error_ratio_quantile90;
  report_.tangent_error_share = tangents.share_above_one;
  report_.tangents_controlled = controlled();
}

absl::Status GradientChecks::Refine(const std::vector<double>& gradient) {
  const SolveOptions options = Refined(*checked_.input->options, kFiner, plain_.grid);
  AdjointOptions adjoint;
  if (checked_.input->adjoint != nullptr) adjoint = *checked_.input->adjoint;
  if (adjoint.backward_rtol.has_value()) *adjoint.backward_rtol /= kFiner;
  if (adjoint.backward_atol.has_value()) *adjoint.backward_atol /= kFiner;
  PassInput input = *checked_.input;
  input.options = &options;
  input.adjoint = &adjoint;
  int64_t calls = 0;
  ASSIGN_OR_RETURN(const std::vector<double> better,
                   GradientBy(checked_.method, *checked_.loss, input, &calls));
  if (!better.empty()) report_.refinement_difference = AbsoluteDifference(gradient, better);
  AddCost(Check::kToleranceRefinement, calls);
  return absl::OkStatus();
}

absl::Status GradientChecks::CompareMethods(const std::vector<double>& gradient,
                                            const std::vector<double>& grid) {
  // No method of another family takes derivatives of these.
  if (GetMethodInfo(options_.scheme()).carried > 1) return absl::OkStatus();
  const bool continuous = family() == GradientFamily::kContinuousAdjoint;
  report_.second_method = continuous ? GradientMethod::kBackprop : GradientMethod::kGauss;
  const StepControl& control = options_.control;
  AdjointOptions adjoint;
  adjoint.memory_budget = checked_.input->adjoint->memory_budget;
  if (IsAdaptive(input_) && !continuous) {
    adjoint.backward_rtol = control.rtol;
    adjoint.backward_atol = *std::min_element(control.atol.begin(), control.atol.end());
  }
  const SolveOptions options = OnGrid(*checked_.input->options, grid);
  PassInput input = *checked_.input;
  input.options = &options;
  input.adjoint = &adjoint;
  int64_t calls = 0;
  ASSIGN_OR_RETURN(const std::vector<double> other,
                   GradientBy(report_.second_method, *checked_.loss, input, &calls));
  if (!other.empty()) report_.second_method_difference = AbsoluteDifference(gradient, other);
  AddCost(Check::kSecondMethod, calls);
  return absl::OkStatus();
}

// Directional difference and linear range share their solves.
absl::Status GradientChecks::CompareDifferences(const std::vector<double>& gradient) {
  const std::vector<double> sizes = ColumnSizes(input_);
  const double columns = static_cast<double>(sizes.size());
  RandomBits bits(kProbeSeed + 1);
  std::vector<double> direction;
  for (size_t q = 0; q < sizes.size(); ++q) {
    const double entry = bits.Sign() * sizes[q] / std::sqrt(columns);
    direction.push_back(FreeSide(input_, static_cast<int64_t>(q)) == 0 ? entry : 0.0);
  }
  ShiftedSolve solve(*checked_.input,
                     Refined(*checked_.input->options, kFinerControlled, plain_.grid));
  ASSIGN_OR_RETURN(const DirectionalEstimate estimate,
                   DifferentiateAlong(*checked_.loss, &solve, direction));
  const LineDerivative& line = estimate.line;
  if (checked_.wanted->directional_difference) {
    report_.directional_derivative = Dot(direction, gradient);
    report_.directional_difference = line.value;
    report_.directional_noise = line.error;
    AddCost(Check::kDirectionalDifference, solve.rhs_evaluations());
  }
  if (checked_.wanted->linear_range) {
    // Truncation of a central difference over [-x, x] is f''' x^2 / 6: 1 % of f' at the range.
    report_.linear_range =
        std::sqrt(0.06 * std::fabs(line.value) / line.third) / std::sqrt(columns);
    AddCost(Check::kLinearRange,
            checked_.wanted->directional_difference ? 0 : solve.rhs_evaluations());
  }
  return absl::OkStatus();
}

absl::Status GradientChecks::MeasureGrowth(const std::vector<double>& grid) {
  if (grid.size() < 2 || GetMethodInfo(options_.scheme()).carried > 1) return absl::OkStatus();
  const int64_t room =
      RecordingBudget(input_.adjoint == nullptr ? AdjointOptions() : *input_.adjoint);
  Recorder recorder(options_.scheme(), problem_.field->num_states(), room);
  ShiftedSolve solve(*checked_.input, OnGrid(options_, grid));
  const absl::StatusOr<PassPrimal> recorded = solve.At({}, {&recorder});
  if (absl::IsResourceExhausted(recorded.status())) return absl::OkStatus();  // not computed
  RETURN_IF_ERROR(recorded.status());
  if (!recorded->reached()) return absl::OkStatus();
  const Recording& recording = recorder.recording();
  std::vector<double> scale = LargestStates(recording);
  const std::vector<double>& atol = options_.control.atol;
  for (size_t i = 0; i < scale.size(); ++i) {
    if (IsAdaptive(input_) && options_.control.rtol > 0) {
      scale[i] += atol[atol.size() == 1 ? 0 : i] / options_.control.rtol;
    }
    if (scale[i] == 0) scale[i] = 1;
  }
  StopCheck stop(input_.stop);
  ASSIGN_OR_RETURN(const GrowthEstimate estimate,
                   EstimateGrowth(*problem_.field, recording, problem_.params, scale, &stop));
  report_.growth = estimate.sigma;
  report_.lyapunov = std::log(estimate.sigma) / std::fabs(problem_.t1[0] - problem_.t0[0]);
  AddCost(Check::kGrowth,
          solve.rhs_evaluations() + estimate.jvp_evaluations + estimate.vjp_evaluations);
  return absl::OkStatus();
}

absl::Status GradientChecks::RunRequested(const std::vector<double>& gradient,
                                          const std::vector<double>& grid) {
  const ReportOptions& wanted = *checked_.wanted;
  if (wanted.tolerance_refinement) RETURN_IF_ERROR(Refine(gradient));
  if (wanted.second_method) RETURN_IF_ERROR(CompareMethods(gradient, grid));
  if (wanted.directional_difference || wanted.linear_range) {
    RETURN_IF_ERROR(CompareDifferences(gradient));
  }
  const bool alarming = report_.transient > ReportThresholds().growth_alert;
  if (wanted.growth || alarming) RETURN_IF_ERROR(MeasureGrowth(grid));
  return absl::OkStatus();
}

void GradientChecks::Conclude(const GradientResult::PerTrajectory& result) {
  ReportContext context;
  context.gradient = result.gradient;
  context.column_values = ColumnSizes(input_);
  context.termination = result.termination.reason;
  context.detail = result.termination.detail;
  context.method = checked_.method;
  context.solver = options_.method;
  if (IsAdaptive(input_)) context.rtol = options_.control.rtol;
  Judge(context, &report_);
}

absl::Status GradientChecks::RunAll(GradientPass& pass, const LossValue& value,
                                    const GradientResult::PerTrajectory& result) {
  const PassPrimal& primal = pass.primal();
  const std::vector<double> grid = primal.grid;
  ReadTangents(result.stats);
  report_.stiffness_share = stiffness_->share();
  RETURN_IF_ERROR(ComparePlain(primal));
  AddCost(Check::kStiffness, stiffness_->jvp_evaluations());
  if (tangent_calls_.has_value()) AddCost(Check::kTangentError, *tangent_calls_);
  RETURN_IF_ERROR(CompareBetter());
  RETURN_IF_ERROR(PullBackDifferences(pass, value));
  if (better_.reached()) CompareWithData(primal.values, better_.values);
  return RunRequested(result.gradient, grid);
}

absl::Status GradientChecks::Run(GradientPass& pass, const LossValue& value,
                                 GradientResult::PerTrajectory* result) {
  PassPrimal& primal = pass.primal();
  report_.loss = result->loss;
  if (!std::isnan(result->stats.adjoint.reconstruction_error)) {
    report_.reconstruction_error = result->stats.adjoint.reconstruction_error;
    AddCost(Check::kReconstruction, 0);
  }
  absl::Status stopped;
  if (primal.reached()) stopped = RunAll(pass, value, *result);
  if (absl::IsInternal(stopped)) return stopped;
  Conclude(*result);
  if (!stopped.ok()) {  // the gradient stands, with fewer checks
    report_.advice.push_back(
        absl::StrCat("Not all checks could be made: ", stopped.message(), "."));
  }
  if (!checked_.input->options->return_grid) primal.grid.clear();
  result->report = std::move(report_);
  return absl::OkStatus();
}

}  // namespace costate
