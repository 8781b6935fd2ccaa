#include "server/convert/report.h"

#include <vector>

#include "server/convert/array.h"
#include "server/convert/options.h"

namespace costate {
namespace {

v1::GradientReport::Verdict VerdictToProto(Verdict verdict) {
  switch (verdict) {
    case Verdict::kFailed:
      return v1::GradientReport::VERDICT_FAILED;
    case Verdict::kChaotic:
      return v1::GradientReport::VERDICT_CHAOTIC;
    case Verdict::kToleranceTooLoose:
      return v1::GradientReport::VERDICT_TOLERANCE_TOO_LOOSE;
    case Verdict::kUncontrolled:
      return v1::GradientReport::VERDICT_UNCONTROLLED;
    case Verdict::kIndistinguishableFromZero:
      return v1::GradientReport::VERDICT_INDISTINGUISHABLE_FROM_ZERO;
    case Verdict::kDataAtSolverNoise:
      return v1::GradientReport::VERDICT_DATA_AT_SOLVER_NOISE;
    case Verdict::kStabilityLimited:
      return v1::GradientReport::VERDICT_STABILITY_LIMITED;
    case Verdict::kRough:
      return v1::GradientReport::VERDICT_ROUGH;
    case Verdict::kGood:
      return v1::GradientReport::VERDICT_GOOD;
    case Verdict::kUnknown:
      return v1::GradientReport::VERDICT_UNKNOWN;
  }
  return v1::GradientReport::VERDICT_UNSPECIFIED;
}

void ColumnsToProto(const std::vector<double>& columns, v1::Array* proto) {
  ArrayToProto(columns, {static_cast<int64_t>(columns.size())}, proto);
}

void FiguresToProto(const GradientReport& report, v1::GradientReport* proto) {
  proto->set_scaled_norm(report.scaled_norm);
  proto->set_scaled_error(report.scaled_error);
  proto->set_cosine_uncertainty(report.cosine_uncertainty);
  proto->set_loss(report.loss);
  proto->set_plain_loss(report.plain_loss);
  proto->set_same_steps(report.same_steps);
  proto->set_residual_norm(report.residual_norm);
  proto->set_saved_error_norm(report.saved_error_norm);
  proto->set_tangent_error_max(report.tangent_error_max);
  proto->set_tangent_error_quantile90(report.tangent_error_quantile90);
  proto->set_tangent_error_share_above_one(report.tangent_error_share);
  proto->set_tangents_controlled(report.tangents_controlled);
  proto->set_tangents_are_probes(report.tangents_are_probes);
  proto->set_stiffness_share(report.stiffness_share);
}

void RequestedChecksToProto(const GradientReport& report, v1::GradientReport* proto) {
  ColumnsToProto(report.refinement_difference, proto->mutable_refinement_difference());
  ColumnsToProto(report.second_method_difference, proto->mutable_second_method_difference());
  proto->set_second_method(GradientMethodToProto(report.second_method));
  proto->set_directional_derivative(report.directional_derivative);
  proto->set_directional_difference(report.directional_difference);
  proto->set_directional_noise(report.directional_noise);
  proto->set_growth(report.growth);
  proto->set_lyapunov(report.lyapunov);
  proto->set_transient(report.transient);
  proto->set_transient_time(report.transient_time);
  proto->set_reconstruction_error(report.reconstruction_error);
  proto->set_linear_range(report.linear_range);
}

}  // namespace

void GradientReportToProto(const GradientReport& report, v1::GradientReport* proto) {
  proto->set_verdict(VerdictToProto(report.verdict));
  proto->set_summary(report.summary);
  for (const std::string& advice : report.advice) proto->add_advice(advice);
  ColumnsToProto(report.abs_error, proto->mutable_abs_error());
  ColumnsToProto(report.digits, proto->mutable_digits());
  ColumnsToProto(report.noise_floor, proto->mutable_noise_floor());
  ColumnsToProto(report.plain_difference, proto->mutable_plain_difference());
  proto->set_error_measured(report.error_measured);
  FiguresToProto(report, proto);
  RequestedChecksToProto(report, proto);
  for (const CheckCost& check : report.checks) {
    v1::GradientReport::Check* entry = proto->add_checks();
    entry->set_name(std::string(CheckName(check.check)));
    entry->set_cost_in_solves(check.solves);
  }
}

}  // namespace costate
