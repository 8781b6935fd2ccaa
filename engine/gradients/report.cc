#include "engine/gradients/report.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/solvers/stepper.h"

namespace costate {
namespace {

using Reason = Termination::Reason;

constexpr double kMostDigits = 17;  // of a double, where the error is exactly zero

std::string Figure(double x) { return absl::StrFormat("%.2g", x); }
std::string Percent(double x) { return absl::StrFormat("%.0f %%", 100 * x); }

// |p * x|, without overflow or underflow of the squares.
double ScaledNorm(const std::vector<double>& p, const std::vector<double>& x) {
  double norm = 0;
  for (size_t j = 0; j < x.size(); ++j) norm = std::hypot(norm, p[j] * x[j]);
  return norm;
}

bool AllFinite(const std::vector<double>& x) {
  return std::all_of(x.begin(), x.end(), [](double v) { return std::isfinite(v); });
}

bool IsAdjoint(GradientMethod method) {
  const GradientFamily family = GetGradientMethodInfo(method).family;
  return family == GradientFamily::kDiscreteAdjoint || family == GradientFamily::kContinuousAdjoint;
}

// One gradient on its way to a verdict.
class Judgement {
 public:
  Judgement(const ReportContext& context, const ReportThresholds& thresholds,
            GradientReport* report)
      : context_(context), limit_(thresholds), report_(*report) {}

  void Run() {
    FillErrors();
    report_.advice.clear();
    report_.verdict = Decide();
    AdviseOnUnmeasured();
  }

 private:
  // rtol * quantile of the tangents' error ratio: the relative error a step makes in them.
  double TangentError() const { return context_.rtol * report_.tangent_error_quantile90; }

  bool StepsDecide() const {
    if (report_.plain_difference.empty()) return false;
    const double difference = ScaledNorm(context_.column_values, report_.plain_difference);
    return difference > 0 && report_.scaled_norm <= limit_.steps_decide * difference;
  }

  // Refinement alone does not clear uncontrolled tangents: where the state is trivial, both
  // gradients may take the same wrong steps. With a second method or a difference of solves that
  // agrees too, what was measured counts more than the suspicion.
  bool Vindicated() const {
    const double most = limit_.rough * report_.scaled_norm;
    const bool second =
        !report_.second_method_difference.empty() &&
        ScaledNorm(context_.column_values, report_.second_method_difference) <= most;
    const double off = std::fabs(report_.directional_difference - report_.directional_derivative);
    const bool difference =
        off + report_.directional_noise <= limit_.rough * std::fabs(report_.directional_difference);
    return !report_.refinement_difference.empty() && report_.scaled_error <= most &&
           (second || difference);
  }

  void FillErrors() {
    const std::vector<double>& g = context_.gradient;
    report_.scaled_norm = ScaledNorm(context_.column_values, g);
    report_.abs_error.clear();
    report_.digits.clear();
    report_.error_measured =
        !report_.refinement_difference.empty() || !report_.second_method_difference.empty();
    report_.scaled_error = kNotComputed;
    report_.cosine_uncertainty = kNotComputed;
    const bool steps_decide = StepsDecide();
    for (size_t j = 0; j < g.size(); ++j) {
      double error = Error(j);
      if (steps_decide) error = std::fmax(error, report_.plain_difference[j]);
      if (std::isnan(error)) break;
      report_.abs_error.push_back(error);
    }
    if (report_.abs_error.size() != g.size()) {
      report_.abs_error.clear();
    } else {
      report_.scaled_error = ScaledNorm(context_.column_values, report_.abs_error);
      DistrustLuck();
    }
    report_.scaled_error = std::fmax(report_.scaled_error, DirectionalError());
    report_.cosine_uncertainty = report_.scaled_error / report_.scaled_norm;
    for (size_t j = 0; j < report_.abs_error.size(); ++j) {
      const double error = report_.abs_error[j];
      report_.digits.push_back(error == 0 ? kMostDigits : -std::log10(error / std::fabs(g[j])));
    }
  }

  void DistrustLuck() {
    const double least = limit_.component_luck * report_.scaled_error / report_.scaled_norm;
    if (!std::isfinite(least)) return;
    for (size_t j = 0; j < report_.abs_error.size(); ++j) {
      report_.abs_error[j] =
          std::max(report_.abs_error[j], least * std::fabs(context_.gradient[j]));
    }
  }

  double Error(size_t j) const {
    const double floor =
        report_.noise_floor.empty() ? kNotComputed : limit_.floor_factor * report_.noise_floor[j];
    if (!report_.refinement_difference.empty()) {
      return std::fmax(report_.refinement_difference[j], floor);
    }
    if (!report_.second_method_difference.empty()) {
      return report_.second_method_difference[j] + (std::isnan(floor) ? 0.0 : floor);
    }
    const double tangent = limit_.tangent_factor * TangentError() * std::fabs(context_.gradient[j]);
    // Without figures of the tangents the floor alone would leave out half of the error.
    return std::isnan(tangent) ? (floor > 0 ? floor : kNotComputed)
                               : tangent + (std::isnan(floor) ? 0.0 : floor);
  }

  // NaN unless the difference is off by more than its own error.
  double DirectionalError() const {
    const double off = std::fabs(report_.directional_difference - report_.directional_derivative) -
                       report_.directional_noise;
    if (!(off > 0)) return kNotComputed;
    return off * std::sqrt(static_cast<double>(context_.gradient.size()));
  }

  Verdict Decide() {
    if (Failed()) return Verdict::kFailed;
    if (report_.growth > limit_.chaotic_growth) return Chaotic();
    if (!report_.tangents_controlled && TangentError() > limit_.tangent_error && !Vindicated()) {
      return Uncontrolled();
    }
    if (report_.growth * context_.rtol > limit_.loose_growth) return TooLoose();
    if (report_.scaled_norm * limit_.zero <= report_.scaled_error || StepsDecide()) return Zero();
    if (report_.residual_norm <= limit_.data_noise * report_.saved_error_norm) return DataAtNoise();
    // A measured error counts more than the suspicion.
    const bool measured_small =
        report_.error_measured && report_.cosine_uncertainty <= limit_.rough;
    if (report_.stiffness_share > limit_.stiff_share && !measured_small) return StabilityLimited();
    if (std::isnan(report_.cosine_uncertainty)) return Unknown();
    return report_.cosine_uncertainty > limit_.rough ? Rough() : Good();
  }

  void Advise(std::string advice) { report_.advice.push_back(std::move(advice)); }

  // "rtol=1e-05 (now 0.001)"; with fixed steps, "half the step size".
  std::string Tighter(double rtol) const {
    if (std::isnan(context_.rtol)) return "half the step size";
    return absl::StrCat("rtol=", Figure(rtol), " (now ", Figure(context_.rtol), ")");
  }

  bool Failed() {
    if (context_.termination != Reason::kReachedEnd) {
      report_.summary = absl::StrCat("the gradient ended early",
                                     context_.detail.empty() ? "" : ": ", context_.detail, ".");
      AdviseOnEarlyEnd();
      return true;
    }
    if (report_.reconstruction_error > limit_.reconstruction) {
      const bool undone = context_.method == GradientMethod::kReversible;
      report_.summary = absl::StrCat(undone ? "the states got back by undoing steps are off by "
                                            : "the state solved backwards is off by ",
                                     Figure(report_.reconstruction_error),
                                     " tolerances (more than ", Figure(limit_.reconstruction),
                                     "), so the gradient belongs to another trajectory.");
      undone ? AdviseAgainstRounding() : AdviseAgainstBacksolve();
      return true;
    }
    if (!AllFinite(context_.gradient)) {
      report_.summary = "the gradient is not finite.";
      Advise(
          "Look at the loss and the saved values for NaN and overflow; a shorter span shows "
          "where it begins.");
      if (IsAdjoint(context_.method)) {
        Advise("Try gradient_method='forward': where tangents overflow is seen step by step.");
      }
      return true;
    }
    return false;
  }

  void AdviseAgainstRounding() {
    Advise(
        "Leave checkpoint_every out, and as many states are kept as hold rounding down, or lower "
        "it; a coupling or eta nearer to 1 magnifies rounding less.");
    Advise(
        "Or use gradient_method='checkpointed', which takes steps again instead of undoing them.");
  }

  void AdviseAgainstBacksolve() {
    Advise(
        "Use gradient_method='checkpointed' or 'backprop', which go back over the steps that "
        "were taken, or 'interpolating' or 'gauss', which keep the state.");
  }

  void AdviseOnEarlyEnd() {
    if (context_.method == GradientMethod::kBacksolve) AdviseAgainstBacksolve();
    switch (context_.termination) {
      case Reason::kMaxSteps:
        return Advise("Raise max_steps, loosen rtol, or shorten the span.");
      case Reason::kStepUnderflow:
      case Reason::kNonFinite:
        return Advise(
            "The solution leaves the finite numbers or becomes too steep at the time "
            "named by the termination: shorten the span or mend the parameters.");
      case Reason::kWallBudget:
      case Reason::kDeadlineExceeded:
        return Advise("Give the call more time, or ask for fewer checks of the report.");
      case Reason::kReachedEnd:
      case Reason::kCancelled:
      case Reason::kShuttingDown:
        return Advise("Repeat the call.");
    }
  }

  Verdict Chaotic() {
    report_.summary = absl::StrCat(
        "a change of the initial state grows by ", Figure(report_.growth), " over the span (",
        Figure(report_.lyapunov),
        " per unit of time), more than any tolerance can follow; the gradient may be exact and "
        "still say nothing about averages.");
    Advise(absl::StrCat("Shorten the span: growth stays below 1e6 for about ",
                        Figure(std::log(1e6) / report_.lyapunov), " units of time."));
    Advise(
        "Use multiple shooting, or a loss of statistics with smoothed or ensemble differences "
        "(finite_difference with a large step) or shadowing.");
    return Verdict::kChaotic;
  }

  Verdict TooLoose() {
    const double rtol = 0.01 / report_.growth;
    report_.summary = absl::StrCat("errors grow by ", Figure(report_.growth),
                                   " over the span, past the whole of a state at rtol ",
                                   Figure(context_.rtol), ".");
    Advise(absl::StrCat("Solve with ", Tighter(rtol), "."));
    return Verdict::kToleranceTooLoose;
  }

  Verdict Uncontrolled() {
    report_.summary = absl::StrCat(
        "steps were chosen for the state alone, and the tangents' own errors are ",
        Figure(report_.tangent_error_quantile90), " tolerances (90 % quantile; at most ",
        Figure(report_.tangent_error_max), "): the gradient is off by the order of ",
        Percent(std::min(TangentError(), 1.0)), " or more.");
    Advise(
        "Use gradient_method='forward' with tangent_control='full', which puts the tangents under "
        "the same tolerance.");
    Advise(absl::StrCat("Or tighten: ", Tighter(context_.rtol / 100), "."));
    if (report_.refinement_difference.empty() || report_.second_method_difference.empty()) {
      Advise(
          "If the checks tolerance_refinement and second_method both find the error small, the "
          "gradient is good in spite of this.");
    }
    return Verdict::kUncontrolled;
  }

  Verdict Zero() {
    if (report_.scaled_norm == 0) {
      report_.summary = "the gradient is exactly zero on these steps.";
    } else if (StepsDecide()) {
      const double difference = ScaledNorm(context_.column_values, report_.plain_difference);
      report_.summary = absl::StrCat(
          "NOT DISTINGUISHABLE FROM ZERO: |p*g| = ", Figure(report_.scaled_norm), ", of which ",
          Figure(difference), " comes from which steps were taken: the plain solve gives loss ",
          Figure(report_.plain_loss), ", this pass ", Figure(report_.loss), ".");
      Advise(
          "The loss is at its numerical floor: treat the gradient as zero, or record the data "
          "at a tighter tolerance.");
    } else {
      report_.summary =
          absl::StrCat("NOT DISTINGUISHABLE FROM ZERO: |p*g| = ", Figure(report_.scaled_norm),
                       ", its error ", Figure(report_.scaled_error), ".");
    }
    Advise(absl::StrCat("Solve with ", Tighter(context_.rtol / 100),
                        " to see whether anything is left."));
    if (!report_.same_steps) {
      Advise(
          "For an optimiser, differentiate on the steps of the loss itself: "
          "tangent_control='primal_only', or the plain solve's grid.");
    }
    return Verdict::kIndistinguishableFromZero;
  }

  Verdict DataAtNoise() {
    report_.summary =
        absl::StrCat("the residuals (", Figure(report_.residual_norm), ") are no larger than ",
                     Figure(limit_.data_noise), " times the solver's own error (",
                     Figure(report_.saved_error_norm), ").");
    Advise(absl::StrCat("Solve with ", Tighter(context_.rtol / 100), "."));
    Advise("If the data came from a solver, record them at a tighter tolerance.");
    return Verdict::kDataAtSolverNoise;
  }

  Verdict StabilityLimited() {
    report_.summary = absl::StrCat(
        "STABILITY-LIMITED: ", Percent(report_.stiffness_share),
        " of the steps are near the limit of the method's stability, where errors of the tangents "
        "do not follow the tolerance",
        std::isnan(report_.scaled_error)
            ? "."
            : absl::StrCat("; |p*error| / |p*g| = ", Figure(report_.cosine_uncertainty), "."));
    Advise(absl::StrCat("Solve with ", Tighter(std::min(1e-5, context_.rtol / 10)),
                        ", where accuracy sets the step, and check again."));
    Advise("The problem is stiff at this tolerance: an implicit method suits it better.");
    if (!report_.tangents_controlled) {
      Advise("Use gradient_method='forward' with tangent_control='full'.");
    }
    return Verdict::kStabilityLimited;
  }

  Verdict Unknown() {
    report_.summary = "nothing bad was seen, and nothing measured the error either.";
    return Verdict::kUnknown;
  }

  std::string ErrorText() const {
    return absl::StrCat("|p*g| = ", Figure(report_.scaled_norm),
                        ", |p*error| = ", Figure(report_.scaled_error),
                        report_.error_measured ? "" : " (an order of magnitude, not measured)");
  }

  Verdict Rough() {
    report_.summary = absl::StrCat("a direction only, good to ",
                                   Percent(report_.cosine_uncertainty), "; ", ErrorText(), ".");
    Advise(absl::StrCat("Solve with ", Tighter(context_.rtol / 10), "."));
    if (!report_.tangents_controlled && !std::isnan(context_.rtol)) {
      Advise("Use gradient_method='forward' with tangent_control='full'.");
    }
    return Verdict::kRough;
  }

  Verdict Good() {
    const double digits = -std::log10(report_.cosine_uncertainty);
    report_.summary = absl::StrCat(
        "good to ", std::isfinite(digits) ? absl::StrFormat("%.0f", std::floor(digits)) : "all",
        " digits: ", ErrorText(), ".");
    return Verdict::kGood;
  }

  void AdviseOnUnmeasured() {
    const bool asks = report_.verdict == Verdict::kUnknown || report_.verdict == Verdict::kRough;
    if (asks && !report_.error_measured) {
      Advise(
          "Ask for the check tolerance_refinement, which measures the error for the price of "
          "another gradient.");
    }
    if (!report_.tangents_controlled && report_.tangent_error_quantile90 > 1 &&
        report_.verdict == Verdict::kGood) {
      Advise(absl::StrCat("The tangents' own errors are ", Figure(report_.tangent_error_quantile90),
                          " tolerances: with tangent_control='full' rtol would hold for the "
                          "gradient too."));
    }
  }

  const ReportContext& context_;
  const ReportThresholds& limit_;
  GradientReport& report_;
};

}  // namespace

int64_t ReportEvery(const ReportOptions& options) {
  return options.every > 0 ? options.every : kDefaultReportEvery;
}

bool ReportsOn(const ReportOptions& options, int64_t trajectory) {
  return options.wanted && trajectory % ReportEvery(options) == 0;
}

int64_t NumReports(const ReportOptions& options, int64_t trajectories) {
  if (!options.wanted || trajectories <= 0) return 0;
  return (trajectories - 1) / ReportEvery(options) + 1;
}

std::string_view VerdictName(Verdict verdict) {
  switch (verdict) {
    case Verdict::kFailed:
      return "FAILED";
    case Verdict::kChaotic:
      return "CHAOTIC";
    case Verdict::kToleranceTooLoose:
      return "TOLERANCE_TOO_LOOSE";
    case Verdict::kUncontrolled:
      return "UNCONTROLLED";
    case Verdict::kIndistinguishableFromZero:
      return "INDISTINGUISHABLE_FROM_ZERO";
    case Verdict::kDataAtSolverNoise:
      return "DATA_AT_SOLVER_NOISE";
    case Verdict::kStabilityLimited:
      return "STABILITY_LIMITED";
    case Verdict::kRough:
      return "ROUGH";
    case Verdict::kGood:
      return "GOOD";
    case Verdict::kUnknown:
      return "UNKNOWN";
  }
  std::abort();
}

std::string_view CheckName(Check check) {
  switch (check) {
    case Check::kLossMismatch:
      return "loss_mismatch";
    case Check::kNoiseFloor:
      return "noise_floor";
    case Check::kTangentError:
      return "tangent_error";
    case Check::kStiffness:
      return "stiffness";
    case Check::kToleranceRefinement:
      return "tolerance_refinement";
    case Check::kSecondMethod:
      return "second_method";
    case Check::kDirectionalDifference:
      return "directional_difference";
    case Check::kGrowth:
      return "growth";
    case Check::kReconstruction:
      return "reconstruction";
    case Check::kLinearRange:
      return "linear_range";
  }
  std::abort();
}

void Judge(const ReportContext& context, GradientReport* report,
           const ReportThresholds& thresholds) {
  Judgement(context, thresholds, report).Run();
}

}  // namespace costate
