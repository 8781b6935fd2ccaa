#include "server/handlers/gradient_cost.h"

#include <algorithm>
#include <cstdint>
#include <variant>

#include "engine/tensor_index.h"
#include "server/limits.h"

namespace costate {
namespace {

// All factors below are in plain solves of the same problem.

// Reverse passes: forward solve, then a transposed product per stage.
constexpr double kReverse = 4;
// The same, with steps recomputed: a few slots may need each step several times.
constexpr double kRecomputed = 7;
// A solve backwards of state and adjoint, over dense output or with the state.
constexpr double kContinuous = 8;
// Solves that measure the noise of the loss, from which steps of differences follow (More and Wild
// 2012).
constexpr double kNoise = 7;
// A plain solve at a hundredth of the tolerance, with an explicit method of order 5.
constexpr double kTightSolve = 2.5;
// A gradient at a tenth of the tolerance, over one at the tolerance.
constexpr double kRefined = 1.6;
// Lanczos on the flow map: a tangent and a cotangent for each of up to five vectors.
constexpr double kGrowth = 30;
// Tangents of the gradient: forward over reverse.
constexpr double kHessianProduct = 8;

double PlainCost(const Simulation& simulation) { return Engine::EstimateCost(simulation, 0); }

double MethodCost(const Simulation& simulation, GradientMethod method, int64_t columns) {
  const double solve = PlainCost(simulation);
  const double forward = Engine::EstimateCost(simulation, columns);
  switch (method) {
    case GradientMethod::kAuto:
      return std::min(forward, kRecomputed * solve);
    case GradientMethod::kForward:
      return forward;
    case GradientMethod::kBackprop:
      return kReverse * solve;
    case GradientMethod::kCheckpointed:
    case GradientMethod::kSegmented:
    case GradientMethod::kReversible:
      return kRecomputed * solve;
    case GradientMethod::kBacksolve:
    case GradientMethod::kInterpolating:
    case GradientMethod::kQuadrature:
    case GradientMethod::kGauss:
      return kContinuous * solve;
    case GradientMethod::kFiniteDifference:
    case GradientMethod::kComplexStep:
      return (1 + kNoise + 2 * static_cast<double>(columns)) * solve;
  }
  return forward;
}

double ReportCost(const Simulation& simulation, const ReportOptions& report, double gradient,
                  int64_t columns) {
  if (!report.wanted) return 0;
  const double solve = PlainCost(simulation);
  double cost = (1 + kTightSolve) * solve + Engine::EstimateCost(simulation, 1);
  if (report.tolerance_refinement) cost += kRefined * gradient;
  if (report.second_method) {
    cost += std::min(kContinuous * solve, Engine::EstimateCost(simulation, columns));
  }
  if (report.directional_difference) cost += (2 + kNoise) * kTightSolve * solve;
  if (report.growth) cost += kGrowth * solve;
  if (report.linear_range) cost += 4 * solve;
  const int64_t trajectories = std::max<int64_t>(1, ExpectBatch(simulation).trajectories);
  return cost * static_cast<double>(NumReports(report, trajectories)) /
         static_cast<double>(trajectories);
}

}  // namespace

double EstimateGradientCost(const GradientRequest& request, int64_t columns) {
  const double gradient = MethodCost(request.simulation, request.gradient.method, columns);
  return gradient + ReportCost(request.simulation, request.gradient.report, gradient, columns);
}

double EstimateKeepCost(const KeepRequest& request, int64_t columns) {
  return MethodCost(request.simulation, request.gradient.method, columns);
}

double EstimateVjpCost(const VjpRequest& request, int64_t columns) {
  return static_cast<double>(std::max<size_t>(request.cotangents.size(), 1)) *
         MethodCost(request.simulation, request.gradient.method, columns);
}

double EstimateHvpCost(const HvpRequest& request, int64_t vectors) {
  return (kReverse + kHessianProduct * static_cast<double>(vectors)) *
         PlainCost(request.simulation);
}

double EstimateCheckCost(const CheckRequest& request, int64_t columns) {
  double cost = 0;
  for (const GradientMethod method : request.methods) {
    cost += MethodCost(request.gradient.simulation, method, columns);
  }
  return cost;
}

double EstimateLossCompileCost(const Loss& loss) {
  // An instruction has about this many characters of text.
  constexpr double kBytesPerInstruction = 4;
  double bytes = 0;
  for (const auto& term : loss.terms) {
    if (const auto* integral = std::get_if<IntegralLoss>(&term))
      bytes += integral->integrand.size();
    if (const auto* expression = std::get_if<ExpressionLoss>(&term))
      bytes += expression->text.size();
  }
  return bytes / kBytesPerInstruction * limits::kCompileCostPerInstruction;
}

}  // namespace costate
