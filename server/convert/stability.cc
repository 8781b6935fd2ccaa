#include "server/convert/stability.h"

#include <cstdint>
#include <vector>

#include "server/convert/array.h"
#include "server/convert/options.h"

namespace costate {
namespace {

constexpr double kCustomaryCoupling = 0.999;
constexpr int64_t kPoints = 400;

// [size, 2] of real and imaginary parts.
std::vector<double> Parts(const std::vector<stability::Complex>& values) {
  std::vector<double> parts;
  parts.reserve(2 * values.size());
  for (const stability::Complex z : values) {
    parts.push_back(z.real());
    parts.push_back(z.imag());
  }
  return parts;
}

void ModeToProto(const stability::Mode& mode, v1::StabilityMode* proto) {
  proto->set_t(mode.t);
  proto->set_step(mode.h);
  proto->set_real(mode.lambda.real());
  proto->set_imag(mode.lambda.imag());
}

void VectorToProto(const std::vector<double>& values, v1::Array* proto) {
  ArrayToProto(values, {static_cast<int64_t>(values.size())}, proto);
}

void AnalysisToProto(const stability::Analysis& analysis, v1::AnalyzeStabilityResponse* proto) {
  proto->set_share_outside(analysis.share_outside);
  proto->set_largest_stable_step(analysis.largest_stable_step);
  proto->set_stiffness_ratio(analysis.stiffness_ratio);
  proto->set_growth(analysis.growth);
  proto->set_complete(analysis.complete);
  if (analysis.worst.has_value()) ModeToProto(*analysis.worst, proto->mutable_worst());
  if (analysis.limiting.has_value()) ModeToProto(*analysis.limiting, proto->mutable_limiting());
  if (!analysis.reconstruction.has_value()) return;
  v1::StabilityReconstruction* reconstruction = proto->mutable_reconstruction();
  reconstruction->set_reverse_growth(analysis.reconstruction->reverse_growth);
  reconstruction->set_worst_step(analysis.reconstruction->worst_step);
  reconstruction->set_digits_left(analysis.reconstruction->digits_left);
  reconstruction->set_checkpoint_every(analysis.reconstruction->checkpoint_every);
}

}  // namespace

Scheme SchemeFromProto(const v1::StabilityMethod& proto) {
  Scheme scheme(MethodFromProto(proto.base()));
  if (proto.has_eta()) scheme.eta = proto.eta();
  switch (proto.wrapper()) {
    case v1::StabilityMethod::WRAPPER_REVERSIBLE:
      scheme.coupling = proto.has_coupling() ? proto.coupling() : kCustomaryCoupling;
      break;
    case v1::StabilityMethod::WRAPPER_ALF:
      scheme.method = Method::kAlf;
      break;
    case v1::StabilityMethod::WRAPPER_REVERSIBLE_HEUN:
      scheme.method = Method::kReversibleHeun;
      break;
    case v1::StabilityMethod::WRAPPER_LEAPFROG_MIDPOINT:
      scheme.method = Method::kLeapfrogMidpoint;
      break;
    case v1::StabilityMethod::WRAPPER_UNSPECIFIED:
    case v1::StabilityMethod_Wrapper_StabilityMethod_Wrapper_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::StabilityMethod_Wrapper_StabilityMethod_Wrapper_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return scheme;
}

void SchemeToProto(const Scheme& scheme, v1::StabilityMethod* proto) {
  proto->set_base(MethodToProto(scheme.method));
  if (scheme.method == Method::kAlf) proto->set_eta(scheme.eta);
  if (!scheme.coupling.has_value()) return;
  proto->set_wrapper(v1::StabilityMethod::WRAPPER_REVERSIBLE);
  proto->set_coupling(*scheme.coupling);
}

stability::RegionRequest RegionRequestFromProto(const v1::ComputeStabilityRegionRequest& proto) {
  stability::RegionRequest request;
  request.scheme = SchemeFromProto(proto.method());
  request.want_raster = proto.want_raster();
  request.order_star = proto.order_star();
  const v1::ComplexWindow& window = proto.window();
  request.real_points = window.real_points() == 0 ? kPoints : window.real_points();
  request.imag_points = window.imag_points() == 0 ? kPoints : window.imag_points();
  // All zero: samples alone were asked for.
  if (window.real_min() != 0 || window.real_max() != 0 || window.imag_min() != 0 ||
      window.imag_max() != 0) {
    request.window = stability::Rectangle{window.real_min(), window.real_max(), window.imag_min(),
                                          window.imag_max()};
  }
  return request;
}

void RegionToProto(const stability::RegionRequest& request, const stability::Region& region,
                   v1::ComputeStabilityRegionResponse* proto) {
  if (!region.raster.empty()) {
    ArrayToProto(region.raster, {region.imag_points, region.real_points},
                 proto->mutable_spectral_radius());
  }
  for (const stability::Curve& curve : region.boundary) {
    ArrayToProto(Parts(curve.points), {static_cast<int64_t>(curve.points.size()), 2},
                 proto->add_boundary());
  }
  proto->set_real_interval_left(region.real_interval_left);
  proto->set_imag_interval(region.imag_interval);
  proto->set_area(region.area);
  v1::ComplexWindow* window = proto->mutable_window();
  window->set_real_min(region.window.real_min);
  window->set_real_max(region.window.real_max);
  window->set_imag_min(region.window.imag_min);
  window->set_imag_max(region.window.imag_max);
  window->set_real_points(region.real_points);
  window->set_imag_points(region.imag_points);
  SchemeToProto(request.scheme, proto->mutable_method());
}

void StabilityResultToProto(const StabilityResult& result, const ModelInWords& words,
                            v1::AnalyzeStabilityResponse* proto) {
  VectorToProto(result.times, proto->mutable_times());
  VectorToProto(result.steps, proto->mutable_steps());
  VectorToProto(result.largest_stable_steps, proto->mutable_largest_stable_steps());
  ArrayToProto(Parts(result.eigenvalues),
               {static_cast<int64_t>(result.times.size()), result.num_eigenvalues, 2},
               proto->mutable_eigenvalues());
  AnalysisToProto(result.analysis, proto);
  proto->set_advice(result.advice);
  proto->set_analysed_steps(result.analysed_steps);
  proto->set_converged(result.converged);
  TerminationToProto(result.termination, words, proto->mutable_termination());
  SolveOptionsToProto(result.resolution.options, proto->mutable_options());
  SchemeToProto(result.scheme, proto->mutable_method());
  SolveStatsToProto(result.stats, proto->mutable_stats());
}

}  // namespace costate
