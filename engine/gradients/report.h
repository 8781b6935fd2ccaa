// How far a gradient can be trusted: figures, then a verdict with advice.
//
// The figures come from checks that the caller runs (engine/gradient_report.h); this file holds
// what they mean. All thresholds stand in one table, ReportThresholds.
//
// Notation: g gradient, p column values, p*g elementwise products (parameter-scaled), S_j the
// derivative of the saved values to column j, H the second derivative of the loss by the saved
// values, dy the error of the saved values.
#ifndef COSTATE_ENGINE_GRADIENTS_REPORT_H_
#define COSTATE_ENGINE_GRADIENTS_REPORT_H_

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "engine/gradients/method.h"
#include "engine/solvers/problem.h"

namespace costate {

inline constexpr double kNotComputed = std::numeric_limits<double>::quiet_NaN();

// In the order in which they are looked for; the first that holds is the verdict.
enum class Verdict {
  kFailed,   // not finite, step underflow, or a reconstruction that lost its digits
  kChaotic,  // the flow map grows beyond what any tolerance can follow
  // The error of the tangents was not under control, and not both refinement and a witness of
  // another kind (second method, directional difference) found the gradient's error small.
  kUncontrolled,
  kToleranceTooLoose,  // growth times rtol exceeds one; after the former, which may fake growth
  kIndistinguishableFromZero,
  kDataAtSolverNoise,  // residuals no larger than the solver's own error
  kStabilityLimited,   // most steps at the limit of the method's stability
  kRough,              // a direction only
  kGood,
  kUnknown,  // nothing bad was seen, but nothing measured the error either
};
std::string_view VerdictName(Verdict verdict);  // "GOOD"

struct ReportThresholds {
  double reconstruction = 1e3;   // FAILED above, in tolerances
  double chaotic_growth = 1e10;  // CHAOTIC above: sigma of the flow map over the whole span
  double loose_growth = 1;       // TOLERANCE TOO LOOSE above: sigma * rtol
  double tangent_error = 0.02;   // UNCONTROLLED above: rtol * 90 % quantile of the ratio
  double zero = 1;               // NOT DISTINGUISHABLE at or below: |p*g| / |p*error|
  // NOT DISTINGUISHABLE too at or below: |p*g| / |p*plain_difference|, since then most of the
  // gradient is owed to which steps were taken.
  double steps_decide = 1.25;
  double data_noise = 3;            // DATA AT SOLVER NOISE at or below: |residual| / |dy|
  double stiff_share = 0.3;         // STABILITY-LIMITED above
  double stability_fraction = 0.7;  // of the stability limit: a step "near" it
  double rough = 0.05;              // ROUGH above: |p*error| / |p*g|
  double floor_factor = 1;          // error_j >= this times the noise floor
  double tangent_factor = 5;        // unmeasured: + this times rtol * 90 % quantile * |g_j|
  // A component is not credited with an error below this times that of the whole, relatively: a
  // difference of two gradients may vanish by luck in one component.
  double component_luck = 0.1;
  double growth_alert = 1e6;  // transient amplification above which growth is looked at
};

// What was run. Cost in plain solves of the same problem, by calls of the right-hand side and of
// its products; a call of a product serves a whole block of tangents or cotangents.
enum class Check {
  kLossMismatch,
  kNoiseFloor,
  kTangentError,
  kStiffness,
  kToleranceRefinement,
  kSecondMethod,
  kDirectionalDifference,
  kGrowth,
  kReconstruction,
  kLinearRange,
};
std::string_view CheckName(Check check);  // "noise_floor"
struct CheckCost {
  Check check;
  double solves = 0;
};

// Checks beyond those always made.
struct ReportOptions {
  bool wanted = false;  // make a report at all
  // Of a batch: report on every k-th trajectory from the first on, >= 1; 0: kDefaultReportEvery.
  int64_t every = 0;
  bool tolerance_refinement = false;    // the gradient again at a tenth of the tolerance
  bool second_method = false;           // a method of another family over the same steps
  bool directional_difference = false;  // central difference along a random direction, fresh grids
  bool growth = false;                  // singular value of the flow map by Lanczos
  bool linear_range = false;            // how far p may move before the gradient is 1 % wrong
};

// A report's checks look at a trajectory by itself and cost several solves; the others of a batch
// share lanes. So few that a batch keeps most of what lanes gain.
inline constexpr int64_t kDefaultReportEvery = 16;
// ReportOptions::every in force.
int64_t ReportEvery(const ReportOptions& options);
// Whether trajectory b of a batch gets a report; the first of B always does if one is wanted.
bool ReportsOn(const ReportOptions& options, int64_t trajectory);
int64_t NumReports(const ReportOptions& options, int64_t trajectories);

// One gradient's statement of trust. NaN (kNotComputed) where a figure was not asked for or has no
// meaning. Vectors are [q], or empty.
struct GradientReport {
  Verdict verdict = Verdict::kUnknown;
  std::string summary;              // one sentence with the figures that decided
  std::vector<std::string> advice;  // what to do, most useful first; empty when good

  // Error of the gradient.
  std::vector<double> abs_error;  // per component
  std::vector<double> digits;     // -log10(abs_error / |g|)
  // Whether refinement or a second method measured it. If not, it is an order of magnitude, from
  // the noise floor and the errors of the tangents.
  bool error_measured = false;
  // |S_j' (c(y) - c(y - dy))| with the loss's cotangents c: S_j' H dy without linearising. The
  // part due to errors of the saved values; 0 for a linear loss.
  std::vector<double> noise_floor;
  // The same for the saved values of the plain solve instead of better ones: what the gradient
  // owes to its own choice of steps.
  std::vector<double> plain_difference;
  double scaled_norm = kNotComputed;         // |p*g|
  double scaled_error = kNotComputed;        // |p*error|
  double cosine_uncertainty = kNotComputed;  // |p*error| / |p*g|

  // Loss mismatch.
  double loss = kNotComputed;        // of the gradient's own pass
  double plain_loss = kNotComputed;  // of a plain solve with the same options
  bool same_steps = true;            // the plain solve took the same ones

  // Data against the solver, of least squares terms.
  double residual_norm = kNotComputed;     // |r|, weighted by sigma
  double saved_error_norm = kNotComputed;  // |dy| of the observed values, likewise

  // Tangents: embedded error over its own tolerance. In reverse mode, of random directions carried
  // along for this purpose.
  double tangent_error_max = kNotComputed;
  double tangent_error_quantile90 = kNotComputed;
  double tangent_error_share = kNotComputed;  // of accepted steps above one
  bool tangents_controlled = false;           // they took part in the choice of steps
  bool tangents_are_probes = false;           // random directions, not the columns themselves

  double stiffness_share = kNotComputed;  // of accepted steps near the stability limit

  // Checks on request.
  std::vector<double> refinement_difference;     // |g(tol) - g(tol/10)|
  std::vector<double> second_method_difference;  // |g - g of the second method|
  GradientMethod second_method = GradientMethod::kAuto;
  double directional_derivative = kNotComputed;  // v'g
  double directional_difference = kNotComputed;  // (L(p + dv) - L(p - dv)) / 2d
  double directional_noise = kNotComputed;       // error of the latter: noise and truncation
  // Largest singular value of dy(t1)/dy(t0), states in units of atol/rtol + max |y_i(t)|.
  double growth = kNotComputed;
  double lyapunov = kNotComputed;   // ln(growth) / |t1 - t0|
  double transient = kNotComputed;  // max over saved t, j of |p_j S_j| / |y|
  double transient_time = kNotComputed;
  double reconstruction_error = kNotComputed;  // in tolerances
  double linear_range = kNotComputed;          // relative change of p

  std::vector<CheckCost> checks;  // that were run
};

// What the verdict is judged from besides the report's own figures.
struct ReportContext {
  std::vector<double> gradient;       // [q]
  std::vector<double> column_values;  // [q], p
  Termination::Reason termination = Termination::Reason::kReachedEnd;
  std::string detail;  // of the termination
  GradientMethod method = GradientMethod::kForward;
  Method solver = Method::kTsit5;
  double rtol = kNotComputed;  // NaN with fixed steps
};

// Fills abs_error, error_measured, digits, scaled_norm, scaled_error, cosine_uncertainty, verdict,
// summary and advice from the other figures:
//   with refinement:     error_j = max(refinement_j, floor_j)
//   with second method:  error_j = second_method_j + floor_j
//   else:                error_j = floor_j + 5 rtol quantile |g_j|, an order of magnitude
// and error_j / |g_j| at least a tenth of |p*error| / |p*g|. On the bursting neuron at rtol 1e-3 to
// 1e-8 the first is 0.7 to 2.8 times the true error in norm, the last 0.3 to 14 times; three times
// the floor, as first proposed, is up to 8 times too much with refinement. The signed contraction
// S_j' H dy does for the floor: it is 0.4 to 2.8 times the true error of nonlinear losses there,
// while |S_j| |H dy| is larger by the cancellation over saved times.
// and where the steps decide (ReportThresholds::steps_decide), at least plain_difference_j.
// Without any of these the error stays unknown. |p*error| is at least what the directional
// difference shows: E (v'e)^2 = |e|^2 / q over directions of random signs.
void Judge(const ReportContext& context, GradientReport* report,
           const ReportThresholds& thresholds = {});

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_REPORT_H_
