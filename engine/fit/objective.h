// A fitting problem as a function of search coordinates: negative log likelihood and log priors,
// with gradient, or with residuals and Jacobian.
#ifndef COSTATE_ENGINE_FIT_OBJECTIVE_H_
#define COSTATE_ENGINE_FIT_OBJECTIVE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/stop_source.h"
#include "engine/base/workers.h"
#include "engine/engine.h"
#include "engine/fit/problem.h"
#include "engine/optimise/optimiser.h"

namespace costate::fit {

// A free element: one number that is searched.
struct FreeElement {
  std::string name;  // "b", "W[0,2]", "b@fast", "sigma(in_bed)"
  Scale scale = Scale::kLinear;
  double lower = 0, upper = 0;  // natural; infinite where there is no bound
  double start = 0;             // natural
  // An estimated sigma, scale or offset. Its start and bounds come from the data: see nuisance.h.
  bool nuisance = false;
};

// What the model says of the data at a point.
struct Prediction {
  std::vector<std::vector<double>> fitted;     // per series, [N]
  std::vector<std::vector<double>> residuals;  // per series, [N]
  std::vector<FittedTrajectory> trajectories;  // per condition
};

// Immutable. Thread-safety: all members may be called from any thread.
class Objective {
 public:
  virtual ~Objective() = default;

  // Checks everything. INVALID_ARGUMENT with field paths of FitRequest: data[i].values[j], ...
  // Solves once where sigmas, scales or offsets are estimated, to start them; CANCELLED,
  // DEADLINE_EXCEEDED or UNAVAILABLE when `stop` fires before. `engine` must outlive it.
  static absl::StatusOr<std::unique_ptr<Objective>> Create(Engine& engine,
                                                           const FitProblem& problem,
                                                           const GradientOptions& gradient,
                                                           const StopSource& stop = kNeverStops);

  virtual const std::vector<FreeElement>& elements() const = 0;  // [q], the order of all vectors
  virtual const optimise::Box& box() const = 0;                  // of search coordinates
  virtual int64_t num_parts() const = 0;                         // conditions
  virtual const Resolution& resolution() const = 0;

  // Between natural values and search coordinates, [q] each; within the bounds.
  virtual std::vector<double> ToSearch(absl::Span<const double> natural) const = 0;
  virtual std::vector<double> ToNatural(absl::Span<const double> search) const = 0;
  // d natural / d search, [q].
  virtual std::vector<double> Slopes(absl::Span<const double> search) const = 0;

  // One answer for each question, with the same bits however questions are grouped. Conditions of
  // all questions run in lanes and on `workers`. A failed integration is an answer; an error is
  // not: CANCELLED, DEADLINE_EXCEEDED or UNAVAILABLE when `stop` fires, RESOURCE_EXHAUSTED.
  //
  // Steps. kValue, and kGradient in reverse, take those of the plain solve. kResiduals, and
  // kGradient forward, carry tangents whose error takes part in step control
  // (TangentControl::kFull), so their steps are at least as fine, and the value at a point differs
  // from that of kValue by what the tolerances allow: about rtol. An optimiser that compares values
  // asks one of the three throughout, or allows for that. On fixed steps and grids, and with
  // TangentControl::kPrimalOnly (which then runs one trajectory at a time), the values are the
  // same to the bit.
  //
  // Rows of kResiduals: of each condition in order its series, of each series its values that are
  // not missing, then one row for its sigma if that is estimated (noise.h); last one for each
  // element with a prior (prior.h), in the order of elements.
  virtual absl::StatusOr<std::vector<optimise::Answer>> Evaluate(
      absl::Span<const optimise::Question* const> questions, const StopSource& stop,
      Workers& workers) const = 0;

  // The solves of all evaluations so far, by whomever: for statistics.
  virtual SolveStats work() const = 0;

  virtual absl::StatusOr<Prediction> Predict(absl::Span<const double> search,
                                             const StopSource& stop) const = 0;
};

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_OBJECTIVE_H_
