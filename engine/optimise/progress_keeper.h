// What every method keeps of its course: counts, the best point, the trace, how it ended.
#ifndef COSTATE_ENGINE_OPTIMISE_PROGRESS_KEEPER_H_
#define COSTATE_ENGINE_OPTIMISE_PROGRESS_KEEPER_H_

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "engine/optimise/optimiser.h"
#include "engine/optimise/state_bytes.h"

namespace costate::optimise {

class ProgressKeeper {
 public:
  explicit ProgressKeeper(std::vector<double> start);

  const Progress& progress() const { return progress_; }
  bool done() const { return progress_.outcome != Outcome::kRunning; }

  void CountEvaluation() { ++progress_.evaluations; }
  // A value of the whole objective; infinite ones leave the best as it is.
  void See(absl::Span<const double> point, double value);
  // A new iteration begins; what is seen from now on belongs to it.
  void NextIteration();
  void SetGradientNorm(double norm) { progress_.gradient_norm = norm; }
  void End(Outcome outcome, std::string detail);

  void Save(StateWriter& writer) const;
  // False if it is not the progress of `size` elements.
  bool Restore(StateReader& reader, size_t size);

 private:
  Progress progress_;
};

// Whether all that `wanted` asks for is there, finite and of the sizes of q elements. The Jacobian
// must have as many rows as there are residuals.
bool IsComplete(const Answer& answer, Wanted wanted, size_t q);

bool AllFinite(absl::Span<const double> values);

// `point` moved into the box; NaN goes to the end nearest to 0.
std::vector<double> Clamp(absl::Span<const double> point, const Box& box);

// Whether every element of `point` is finite and within the box.
bool IsWithin(absl::Span<const double> point, const Box& box);

// Largest |component| of `gradient` at `point`, those left out that are held fixed or push against
// a bound they are on.
double FreeGradientNorm(absl::Span<const double> gradient, absl::Span<const double> point,
                        const Box& box);

// Whether no component of `gradient` at `point`, but those that FreeGradientNorm leaves out, is
// above `tolerance` / max(1, |x_j|): large elements have small components at any point.
bool IsStationary(absl::Span<const double> gradient, absl::Span<const double> point, const Box& box,
                  double tolerance);

}  // namespace costate::optimise

#endif  // COSTATE_ENGINE_OPTIMISE_PROGRESS_KEEPER_H_
