#include "engine/analyze_stability.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/base/stop_source.h"
#include "engine/bind.h"
#include "engine/map_rows.h"
#include "engine/resolve_options.h"
#include "engine/solvers/integrate.h"
#include "engine/stability/advice.h"
#include "engine/stability/spectrum.h"
#include "engine/stability/step_sampler.h"

namespace costate {
namespace {

using stability::Complex;
using stability::SpectrumSolver;
using stability::StepSampler;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kPoints = 50;
constexpr int64_t kPointsOfLargeSystems = 10;
constexpr int64_t kOuterEigenvalues = 20;
// Small systems: eigenvalues at so many steps cost next to nothing and make shares exact or nearly.
constexpr int64_t kManySteps = 1000;
constexpr int64_t kSmallStates = 20;

int64_t NumPoints(const StabilityRequest& request) {
  if (request.num_points != 0) return request.num_points;
  const int64_t n = request.simulation.model->rhs().num_states();
  return n <= stability::kMaxDenseStates ? kPoints : kPointsOfLargeSystems;
}

int64_t NumOuter(const StabilityRequest& request) {
  return request.num_eigenvalues == 0 ? kOuterEigenvalues : request.num_eigenvalues;
}

// Steps whose eigenvalues are computed.
int64_t NumSteps(const StabilityRequest& request) {
  const int64_t points = NumPoints(request);
  const int64_t n = request.simulation.model->rhs().num_states();
  return n <= kSmallStates ? std::max(points, kManySteps) : points;
}

absl::Status CheckCounts(const StabilityRequest& request) {
  if (request.num_eigenvalues < 0 || request.num_eigenvalues > limits::kMaxEigenvalues) {
    return FieldError("num_eigenvalues", absl::StrCat(request.num_eigenvalues),
                      absl::StrCat("1 to ", limits::kMaxEigenvalues));
  }
  if (request.num_points < 0 || request.num_points > limits::kMaxAnalysedPoints) {
    return FieldError("num_points", absl::StrCat(request.num_points),
                      absl::StrCat("1 to ", limits::kMaxAnalysedPoints));
  }
  return absl::OkStatus();
}

absl::StatusOr<BoundSimulation> BindOne(const Simulation& simulation,
                                        const Cancellation* cancellation) {
  ASSIGN_OR_RETURN(BoundSimulation bound, Bind(simulation, cancellation));
  if (!bound.batched) return bound;
  return FieldError("simulation", absl::StrCat("a batch of ", bound.num_trajectories),
                    "one trajectory without batch axes");
}

// Eigenvalues at the sampled steps.
absl::Status AddSpectra(const BoundSimulation& bound, const StabilityRequest& request,
                        std::vector<StepSampler::Sample> samples, const StopSource& stop,
                        stability::AnalysisInput* input, bool* converged) {
  ASSIGN_OR_RETURN(const std::unique_ptr<SpectrumSolver> solver,
                   SpectrumSolver::Create(bound.model->rhs(), NumOuter(request)));
  for (StepSampler::Sample& sample : samples) {
    ASSIGN_OR_RETURN(stability::Spectrum spectrum,
                     solver->Solve(sample.t, sample.y, bound.params, stop));
    *converged = *converged && spectrum.converged;
    input->steps.push_back(
        {sample.t, sample.h, std::move(spectrum.eigenvalues), spectrum.complete});
    sample.y = {};
  }
  return absl::OkStatus();
}

void AddPoints(const StabilityRequest& request, const stability::AnalysisInput& input,
               StabilityResult* result) {
  size_t most = 0;
  for (const int64_t index : result->analysis.points) {
    most = std::max(most, input.steps[index].eigenvalues.size());
  }
  if (request.num_eigenvalues > 0) {
    most = std::min(most, static_cast<size_t>(request.num_eigenvalues));
  }
  result->num_eigenvalues = static_cast<int64_t>(most);
  for (const int64_t index : result->analysis.points) {
    const stability::StepSpectrum& step = input.steps[index];
    result->times.push_back(step.t);
    result->steps.push_back(step.h);
    for (size_t k = 0; k < most; ++k) {
      result->eigenvalues.push_back(k < step.eigenvalues.size() ? step.eigenvalues[k]
                                                                : Complex(kNaN, kNaN));
    }
  }
  result->largest_stable_steps = result->analysis.largest_stable_steps;
}

}  // namespace

absl::StatusOr<StabilityResult> AnalyzeStabilityOfSimulation(const StabilityRequest& request,
                                                             const Cancellation* cancellation) {
  const absl::Time start = absl::Now();
  RETURN_IF_ERROR(CheckCounts(request));
  if (request.scheme.has_value()) {
    RETURN_IF_ERROR(WithFieldPrefix("method", ValidateScheme(*request.scheme)));
  }
  // A quarter more for the eigenvalues of what was reached when the solve itself spent the budget.
  const StopSource stop = {cancellation, start + 1.25 * request.simulation.options.wall_budget};
  ASSIGN_OR_RETURN(const BoundSimulation bound, BindOne(request.simulation, cancellation));
  ASSIGN_OR_RETURN(ResolvedOptions resolved, ResolveOptions(request.simulation, bound, SaveAt()));
  const VectorField& rhs = bound.model->rhs();
  const bool whole = stability::TakesWholeJacobian(rhs.num_states(), NumOuter(request));
  const int lanes = whole && rhs.num_states() > 1 ? rhs.simd_lanes() : 1;
  ASSIGN_OR_RETURN(
      const absl::Duration prepared,
      PrepareKernels({{&rhs, MapKernel::kValue, 1}, {&rhs, MapKernel::kTangentBlock, lanes}},
                     cancellation));
  StabilityResult result;
  StepSampler sampler(rhs.num_states(), NumSteps(request));
  IntegrateHooks hooks;
  hooks.cancellation = cancellation;
  hooks.companions = {&sampler};
  ASSIGN_OR_RETURN(std::vector<Trajectory> trajectories,
                   Integrate(bound.all(), resolved.options, hooks));
  result.termination = trajectories[0].termination;
  result.stats = trajectories[0].stats;
  result.scheme = request.scheme.value_or(resolved.options.scheme());

  stability::AnalysisInput input;
  input.scheme = result.scheme;
  input.num_steps = sampler.num_steps();
  input.span = std::fabs(result.termination.t - bound.t0[0]);
  input.num_points = NumPoints(request);
  // A cancelled solve says so itself.
  if (cancellation == nullptr || !cancellation->cancelled()) {
    RETURN_IF_ERROR(
        AddSpectra(bound, request, std::move(sampler).Take(), stop, &input, &result.converged));
  }
  result.analysis = stability::Analyze(input);
  result.analysed_steps = static_cast<int64_t>(input.steps.size());
  result.advice = stability::Advise(input, result.analysis,
                                    resolved.options.control.kind == StepControl::Kind::kAdaptive);
  if (result.termination.reason != Termination::Reason::kReachedEnd) {
    absl::StrAppend(&result.advice, " The solve ended early, at t = ", result.termination.t,
                    ": what it reached was judged.");
  }
  AddPoints(request, input, &result);
  result.resolution = std::move(resolved.resolution);
  result.timing.compile = bound.compile + prepared;
  result.timing.engine = absl::Now() - start - result.timing.compile;
  return result;
}

double EstimateSpectrumCost(const StabilityRequest& request) {
  const double n = static_cast<double>(request.simulation.model->rhs().num_states());
  const double steps = static_cast<double>(NumSteps(request));
  constexpr double kJudged = 3e4;  // one eigenvalue against the region
  if (stability::TakesWholeJacobian(request.simulation.model->rhs().num_states(),
                                    NumOuter(request))) {
    // Columns of the Jacobian, and the QR iteration: Golub, Van Loan, "Matrix Computations", 7.5.
    return steps * (n * n + 10 * n * n * n) + kJudged * n * static_cast<double>(NumPoints(request));
  }
  constexpr double kRestarts = 10;
  const double m = static_cast<double>(
      stability::ArnoldiDimension(request.simulation.model->rhs().num_states(), {}));
  return steps * kRestarts * m * n * (m + 10) +
         kJudged * m * static_cast<double>(NumPoints(request));
}

double EstimateSpectrumBytes(const StabilityRequest& request) {
  constexpr double kDouble = 8;
  const int64_t states = request.simulation.model->rhs().num_states();
  const double n = static_cast<double>(states);
  const double steps = static_cast<double>(NumSteps(request));
  const stability::ArnoldiOptions options = {.largest = NumOuter(request)};
  const bool whole = stability::TakesWholeJacobian(states, NumOuter(request));
  const double vectors =
      whole ? 3 * n : 2 * static_cast<double>(stability::ArnoldiDimension(states, options));
  const double eigenvalues =
      whole ? n : static_cast<double>(options.largest + options.rightmost + 2);
  return kDouble * (2 * steps * n + vectors * n + 4 * steps * eigenvalues);
}

}  // namespace costate
