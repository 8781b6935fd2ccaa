// Judges the steps of a solve by the eigenvalues z = h lambda on them and the region of a scheme.
//
// Modes. A mode *contracts* if Re z <= 0, up to rounding: the exact solution does not grow in it,
// nor must the steps. A growing mode (Re z > 0) is not held against the scheme: it grows in the
// exact solution too.
//
// Steps. A step multiplies a mode by at most the spectral radius rho(z). A step is *outside* if,
// taken as often as the solve has steps, it would more than double a contracting mode:
//   ln rho(z) > ln 2 / (number of steps).
// With more and more steps this becomes rho(z) > 1. The margin is there since rho = 1 is the
// border: on the imaginary axis most explicit methods have rho = 1 + O(z^(order + 1)), which harms
// only those who take enough steps.
//
// *Growth* is the sum over steps of the largest max(0, ln rho(z)) of a contracting mode: errors in
// such modes may grow by up to its exponential. It is 25 when double precision is lost altogether
// (1e11 times rounding), see Advise for what is said at which growth.
//
// The *largest stable step* at a point is the largest h with no smaller one outside, by the same
// measure for the span of the solve: ln rho(h lambda) <= ln 2 h / span.
//
// Taking steps back. For a scheme that reconstructs its states, the *reverse growth* of a step is
// ln of the most that an error in what is carried grows by in one step back, over all modes:
// max(-ln lambda, h |Re|) and more for the reversible construction. Reconstruction is of use while
// the sum over the steps is below kMaxReverseGrowth; else a checkpoint every k steps with
// k * (largest reverse growth) <= kCheckpointGrowth bounds it.
#ifndef COSTATE_ENGINE_STABILITY_ANALYSIS_H_
#define COSTATE_ENGINE_STABILITY_ANALYSIS_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/stability/stability_function.h"

namespace costate::stability {

inline constexpr double kMaxReverseGrowth = 25;
inline constexpr double kCheckpointGrowth = 20;

// An accepted step with the eigenvalues of df/dy at its start.
struct StepSpectrum {
  double t = 0, h = 0;
  std::vector<Complex> eigenvalues;  // NaN: not known there
  bool complete = true;              // all eigenvalues, not the outer ones alone
};

struct AnalysisInput {
  Scheme scheme = Method::kTsit5;
  std::vector<StepSpectrum> steps;  // evenly chosen among the accepted ones, the first included
  int64_t num_steps = 0;            // accepted, of which `steps` are a sample
  double span = 0;                  // |t reached - t0|
  // Of the steps, those for which the largest stable step is found, evenly chosen; the others count
  // for shares and growths only.
  int64_t num_points = 50;
};

struct Mode {
  double t = 0, h = 0;
  Complex lambda = 0;
};

struct Reconstruction {
  double reverse_growth = 0;     // sum over all steps
  double worst_step = 0;         // largest of one step
  double digits_left = 0;        // of 15.95 in double precision; 0: none
  int64_t checkpoint_every = 0;  // 0: none needed
};

struct Analysis {
  std::vector<int64_t> points;  // indices into AnalysisInput::steps
  double share_outside = 0;     // NaN without steps
  double growth = 0;
  std::optional<Mode> worst;  // the contracting mode with the largest ln rho, if any is outside
  std::vector<double> largest_stable_steps;  // [points]; infinite if nothing bounds it
  double largest_stable_step = 0;            // smallest of these
  std::optional<Mode> limiting;              // the mode that makes it so
  double stiffness_ratio = 0;  // largest of |Re lambda_max| / |Re lambda_min| over points, of
                               // decaying modes; NaN without one, a lower bound if not `complete`
  bool complete = true;
  bool known = true;        // false: some Jacobians were not finite, and their steps are left out
  double typical_step = 0;  // median of |h|
  std::optional<Reconstruction> reconstruction;  // for schemes that are taken back
};

Analysis Analyze(const AnalysisInput& input);

// The largest stable step for one eigenvalue over a span; `direction` is 1 forwards in time, -1
// backwards.
double LargestStableStep(const StabilityFunction& function, Complex lambda, double span,
                         int direction);

// Sum over all steps of the largest ln rho of a contracting mode, and of the reverse growth.
double Growth(const StabilityFunction& function, const AnalysisInput& input);
double ReverseGrowth(const StabilityFunction& function, const AnalysisInput& input);

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_ANALYSIS_H_
