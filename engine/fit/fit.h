// A fit: some of its starts, advanced together round by round; then what they say together.
//
//   ASSIGN_OR_RETURN(auto objective, Objective::Create(engine, problem, options.gradient));
//   ASSIGN_OR_RETURN(auto starts, Starts::Create(objective, options, 0, options.starts));
//   while (!starts->done()) RETURN_IF_ERROR(starts->Advance(stop, workers));
//   ASSIGN_OR_RETURN(FitResult result, Summarise(*objective, options, starts->results(), stop));
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

// Fills what was left to the server: algorithm and max_iterations. INVALID_ARGUMENT with field
// paths of FitOptions.
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
// the whole fit, so they do not depend on how starts are split. A start whose first evaluation
// fails ends as kDiverged; the others go on.
// Thread-safety: one thread at a time.
class Starts {
 public:
  virtual ~Starts() = default;

  static absl::StatusOr<std::unique_ptr<Starts>> Create(std::shared_ptr<const Objective> objective,
                                                        const FitOptions& resolved, int64_t first,
                                                        int64_t count);
  // Goes on where Save was called. DATA_LOSS if `state` is not of these starts.
  static absl::StatusOr<std::unique_ptr<Starts>> Restore(std::shared_ptr<const Objective> objective,
                                                         const FitOptions& resolved, int64_t first,
                                                         int64_t count, std::string_view state);

  virtual bool done() const = 0;
  // One question and answer of every start that is not done. On an error nothing has changed.
  virtual absl::Status Advance(const StopSource& stop, Workers& workers) = 0;
  virtual std::string Save() const = 0;

  virtual std::vector<StartProgress> progress() const = 0;  // of all starts
  virtual std::vector<StartResult> results() const = 0;     // of all, by index; as far as they are
};

// What all starts of a fit, by index, say together.
absl::StatusOr<FitResult> Summarise(const Objective& objective, const FitOptions& resolved,
                                    std::vector<StartResult> starts, const StopSource& stop,
                                    Workers& workers);

// The profile of one free element, from the best point of a fit (natural values, [q]).
struct ProfileOptions {
  double confidence = 0.95;
  int64_t max_points = 50;  // to each side
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
