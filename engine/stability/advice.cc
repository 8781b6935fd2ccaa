#include "engine/stability/advice.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/solvers/stepper.h"

namespace costate::stability {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kAlongBorder = 0.7;     // of the largest stable step
constexpr double kWorthChanging = 1.25;  // times the steps for the same evaluations
constexpr int64_t kModesPerPoint = 8;

std::string Number(double x) { return absl::StrFormat("%.3g", x); }

std::string Number(Complex z) {
  if (z.imag() == 0) return Number(z.real());
  return absl::StrFormat("%.3g %s %.3gi", z.real(), z.imag() < 0 ? "-" : "+", std::fabs(z.imag()));
}

std::string Name(const Scheme& scheme) {
  std::string name(GetMethodInfo(scheme.method).name);
  if (scheme.coupling.has_value()) {
    return absl::StrCat("reversible ", name, " with coupling ", *scheme.coupling);
  }
  if (scheme.eta != 1) absl::StrAppend(&name, " with eta ", scheme.eta);
  return name;
}

std::string At(const Mode& mode) {
  return absl::StrCat("lambda = ", Number(mode.lambda), " at t = ", Number(mode.t));
}

// e^growth as a power of ten.
std::string Factor(double growth) {
  const double power = growth / std::numbers::ln10;
  if (power < 3) return Number(std::exp(growth));
  return absl::StrFormat("1e%.0f", power);
}

// The share of points whose step is near the largest stable one, or past it.
double ShareAlongBorder(const AnalysisInput& input, const Analysis& analysis) {
  if (analysis.points.empty()) return 0;
  double near = 0;
  for (size_t i = 0; i < analysis.points.size(); ++i) {
    const double h = std::fabs(input.steps[analysis.points[i]].h);
    if (h >= kAlongBorder * analysis.largest_stable_steps[i]) near += 1;
  }
  return near / static_cast<double>(analysis.points.size());
}

// Smallest largest stable step over the points, for their largest eigenvalues.
double StableStepOf(const Scheme& scheme, const AnalysisInput& input, const Analysis& analysis) {
  const StabilityFunction function(scheme);
  double smallest = kInfinity;
  for (const int64_t index : analysis.points) {
    const StepSpectrum& step = input.steps[index];
    const int64_t modes =
        std::min<int64_t>(kModesPerPoint, static_cast<int64_t>(step.eigenvalues.size()));
    for (int64_t k = 0; k < modes; ++k) {
      smallest = std::min(smallest, LargestStableStep(function, step.eigenvalues[k], input.span,
                                                      step.h < 0 ? -1 : 1));
    }
  }
  return smallest;
}

std::string StableUpTo(const MethodInfo& info, double step) {
  const std::string name(info.name);
  if (!std::isfinite(step)) return absl::StrCat(name, " is stable here with any step");
  return absl::StrCat(name, " (order ", info.order, ") is stable up to steps of ", Number(step));
}

// The explicit method with the longest stable steps for the same number of evaluations, if that is
// worth a change. Of the construction: its base method.
std::string MethodAdvice(const AnalysisInput& input, const Analysis& analysis) {
  const MethodInfo& own = GetMethodInfo(input.scheme);
  if (input.scheme.coupling.has_value()) {
    const MethodInfo& base = GetMethodInfo(input.scheme.method);
    return absl::StrCat("Without coupling, ",
                        StableUpTo(base, StableStepOf(input.scheme.method, input, analysis)),
                        ", with gradients by backprop or checkpoints.");
  }
  const double present = StableStepOf(input.scheme, input, analysis) / own.evaluations;
  const MethodInfo* best = nullptr;
  double best_step = 0, best_rate = kWorthChanging * present;
  for (const Method method : RungeKuttaMethods()) {
    const MethodInfo& info = GetMethodInfo(method);
    if (info.order < std::min(own.order, 2)) continue;
    const double step = StableStepOf(method, input, analysis);
    const double rate = step / info.evaluations;
    if (!(rate > best_rate)) continue;
    best = &info;
    best_step = step;
    best_rate = rate;
  }
  if (best == nullptr) return "";
  const std::string gain = std::isfinite(best_step) && present > 0
                               ? absl::StrCat(", ", Number(best_rate / present),
                                              " times as far for the same evaluations")
                               : "";
  return absl::StrCat(StableUpTo(*best, best_step), gain, ".");
}

// A coupling for which these steps are stable.
std::string CouplingAdvice(const AnalysisInput& input) {
  for (const double coupling : {0.999, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5}) {
    if (coupling >= *input.scheme.coupling) continue;
    Scheme changed = input.scheme;
    changed.coupling = coupling;
    const StabilityFunction function(changed);
    if (Growth(function, input) > kHarmlessGrowth) continue;
    return absl::StrCat("Coupling ", coupling,
                        " would make these steps stable; its reverse pass multiplies rounding by ",
                        Factor(ReverseGrowth(function, input)), ".");
  }
  return "";
}

std::string StepAdvice(const Analysis& analysis) {
  if (!(analysis.largest_stable_step > 0)) {
    return analysis.limiting.has_value()
               ? absl::StrCat("No step is stable for ", At(*analysis.limiting), ".")
               : "";
  }
  return absl::StrCat("Steps of at most ", Number(analysis.largest_stable_step),
                      " are stable; they are ", Number(analysis.typical_step), " (median).");
}

std::string AdaptiveVerdict(const AnalysisInput& input, const Analysis& analysis, bool* changes) {
  const double along = ShareAlongBorder(input, analysis);
  *changes = along >= 0.3;
  if (*changes) {
    return absl::StrCat(
        "Held back by stability: ", Number(100 * along), " % of the steps run along the border of ",
        "the region of ", Name(input.scheme), " or past it",
        analysis.limiting.has_value() ? absl::StrCat(" (", At(*analysis.limiting), " allows ",
                                                     Number(analysis.largest_stable_step), ")")
                                      : "",
        ", not where accuracy wants them. The problem is stiff for this method; an implicit one "
        "would not be held back.");
  }
  return absl::StrCat(
      "Stability does not hold the steps back: accuracy chooses them, inside the "
      "region of ",
      Name(input.scheme), ".");
}

std::string FixedVerdict(const AnalysisInput& input, const Analysis& analysis, bool* changes) {
  *changes = analysis.growth > kHarmlessGrowth;
  if (!*changes) {
    return absl::StrCat("Stable: no contracting mode grows on any of the ", input.num_steps,
                        " steps with ", Name(input.scheme), ".");
  }
  const std::string where =
      analysis.worst.has_value()
          ? absl::StrCat(", worst for ", At(*analysis.worst), ", h = ", Number(analysis.worst->h))
          : "";
  const std::string steps =
      absl::StrCat(Number(100 * analysis.share_outside),
                   " % of the steps are outside the region of ", Name(input.scheme), where);
  if (analysis.growth < kRuinousGrowth) {
    return absl::StrCat(
        "Slightly unstable: ", steps, ". Errors may grow by up to ", Factor(analysis.growth),
        " over the solve, which is harmless only while that times the error of a step "
        "is small enough.");
  }
  return absl::StrCat("Unstable: ", steps, ". Errors may grow by up to ", Factor(analysis.growth),
                      " over the solve.");
}

std::string ReconstructionAdvice(const Reconstruction& r) {
  if (r.checkpoint_every == 0) {
    return absl::StrCat("Taking all steps back multiplies rounding by up to ",
                        Factor(r.reverse_growth), ": reconstruction keeps about ",
                        absl::StrFormat("%.0f", std::floor(r.digits_left)), " digits.");
  }
  if (r.worst_step > kCheckpointGrowth) {
    return absl::StrCat("One step back alone multiplies rounding by up to ", Factor(r.worst_step),
                        ": no reconstruction, take backprop or checkpoints.");
  }
  return absl::StrCat("Taking all steps back multiplies rounding by up to ",
                      Factor(r.reverse_growth), ": reconstruction alone ",
                      r.digits_left > 0 ? "loses most digits" : "loses every digit",
                      "; checkpoint_every = ", r.checkpoint_every, " keeps about ",
                      absl::StrFormat("%.0f", 15.95 - kCheckpointGrowth / std::numbers::ln10), ".");
}

}  // namespace

std::string Advise(const AnalysisInput& input, const Analysis& analysis, bool adaptive) {
  if (input.steps.empty()) return "No step was taken, so there is nothing to judge.";
  std::vector<std::string> sentences;
  bool changes = false;
  sentences.push_back(adaptive ? AdaptiveVerdict(input, analysis, &changes)
                               : FixedVerdict(input, analysis, &changes));
  if (!adaptive && std::isfinite(analysis.largest_stable_step)) {
    sentences.push_back(StepAdvice(analysis));
  }
  if (changes && input.scheme.coupling.has_value()) sentences.push_back(CouplingAdvice(input));
  if (changes) sentences.push_back(MethodAdvice(input, analysis));
  if (analysis.reconstruction.has_value()) {
    sentences.push_back(ReconstructionAdvice(*analysis.reconstruction));
  }
  if (!analysis.known) {
    sentences.push_back("Where the Jacobian is not finite, steps were left out.");
  }
  if (!analysis.complete) {
    sentences.push_back(
        "Only the outer eigenvalues were computed: the stiffness ratio is a lower bound.");
  }
  sentences.erase(std::remove(sentences.begin(), sentences.end(), ""), sentences.end());
  return absl::StrJoin(sentences, " ");
}

}  // namespace costate::stability
