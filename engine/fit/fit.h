// A fit: some of its starts, advanced together round by round; then what they say together.
//
//   ASSIGN_OR_RETURN(auto objective, Objective::Create(engine, problem, options.gradient));
//   ASSIGN_OR_RETURN(options, ResolveFitOptions(*objective, options));
//   ASSIGN_OR_RETURN(auto starts, Starts::Create(objective, options, 0, options.starts));
//   while (!starts->done()) RETURN_IF_ERROR(starts->Advance(stop, workers));
//   ASSIGN_OR_RETURN(FitResult result,
//                    Summarise(*objective, options, starts->results(), stop, workers));
#ifndef COSTATE_ENGINE_FIT_FIT_H_
#define COSTATE_ENGINE_FIT_FIT_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/stop_source.h"
#include "engine/base/workers.h"
#include "engine/fit/objective.h"
#include "engine/fit/problem.h"

namespace costate::fit {

// Limits of a fit. Every range of starts draws all of them, so their values are bounded too.
inline constexpr int64_t kMaxStarts = 1'000'000;
inline constexpr int64_t kMaxStartValues = int64_t{1} << 24;  // starts * free elements
// Free elements up to which a summary speaks of uncertainty: its matrices are [q, q].
inline constexpr int64_t kMaxUncertainElements = 1000;
// Up to here `auto` takes Levenberg-Marquardt, L-BFGS-B above.
inline constexpr int64_t kMaxAutoResidualElements = 200;

// Fills what was left to the server: algorithm and max_iterations; num_parts too. What it returns
// it returns again. INVALID_ARGUMENT with field paths of FitOptions for what is out of range, for
// options the method in force has no use for, and for gradient options that do not fit it.
absl::StatusOr<FitOptions> ResolveFitOptions(const Objective& objective, FitOptions options);

// How far a start is.
struct StartProgress {
  int64_t start = 0;
  int64_t iteration = 0;
  double objective = 0;
  double gradient_norm = 0;
  optimise::Outcome outcome = optimise::Outcome::kRunning;
};

// Starts [first, first + count) of a fit. Start 0 is the given point; the others are drawn once for
// the whole fit (see starts.h for where), so they do not depend on how starts are split; nor does
// anything else that becomes of them. A start whose first evaluation fails ends as kDiverged; the
// others go on.
// Thread-safety: one thread at a time.
class Starts {
 public:
  virtual ~Starts() = default;

  static absl::StatusOr<std::unique_ptr<Starts>> Create(std::shared_ptr<const Objective> objective,
                                                        const FitOptions& resolved, int64_t first,
                                                        int64_t count);
  // Goes on where Save was called. DATA_LOSS if `state` is not of these starts of this fit.
  static absl::StatusOr<std::unique_ptr<Starts>> Restore(std::shared_ptr<const Objective> objective,
                                                         const FitOptions& resolved, int64_t first,
                                                         int64_t count, std::string_view state);

  virtual bool done() const = 0;
  // One question and answer of every start that is not done. On an error some starts may be one
  // answer further than others, which changes no result: Advance and Save go on from there.
  virtual absl::Status Advance(const StopSource& stop, Workers& workers) = 0;
  virtual std::string Save() const = 0;

  virtual std::vector<StartProgress> progress() const = 0;  // of all starts
  virtual std::vector<StartResult> results() const = 0;     // of all, by index; as far as they are
};

// What all starts of a fit, in any order, say together. Uncertainty is that of the curvature at the
// best point, see curvature.h; its figures are empty above kMaxUncertainElements, where `estimates`
// have NaN. Where no start found a finite objective, there are starts and estimates (those of the
// first start, without error) alone. Errors are those of Objective::Evaluate.
absl::StatusOr<FitResult> Summarise(const Objective& objective, const FitOptions& resolved,
                                    std::vector<StartResult> starts, const StopSource& stop,
                                    Workers& workers);

// The profile of one free element, from the best point of a fit (natural values, [q]): the element
// steps outwards in its search coordinate, so far that the objective rises by about a tenth of what
// the interval allows (Raue et al. 2009, doi 10.1093/bioinformatics/btp358), and the others are
// fitted anew by Levenberg-Marquardt. A side ends beyond the quantile, on the bound, after
// max_points, or where the model can no longer be solved. Where a fit from `best` finds a lower
// objective, the profile is that of the point found. INVALID_ARGUMENT with field paths of
// ProfileRequest: confidence, max_points, best[i].
struct ProfileOptions {
  double confidence = 0.95;  // in (0, 1)
  int64_t max_points = 50;   // to each side, >= 1
};
absl::StatusOr<Profile> ComputeProfile(const Objective& objective, const FitOptions& resolved,
                                       absl::Span<const double> best, int64_t element,
                                       const ProfileOptions& options, const StopSource& stop,
                                       Workers& workers);

// Starts that have ended, as bytes, for stores.
std::string SaveResults(absl::Span<const StartResult> results);
absl::StatusOr<std::vector<StartResult>> RestoreResults(std::string_view bytes);  // DATA_LOSS

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_FIT_H_
