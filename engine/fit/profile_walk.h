// One way along a profile: points where an element is held and all others are fitted anew.
//
// Notation: x the search coordinate held, f(x) the objective minimised over the others, J and s as
// in optimise::Answer at that minimum. There f' = J_x's (the others' derivatives vanish), the
// others move by t = -(J_o'J_o)^-1 J_o'J_x per unit of x, and f'' is about |J_x + J_o t|^2.
#ifndef COSTATE_ENGINE_FIT_PROFILE_WALK_H_
#define COSTATE_ENGINE_FIT_PROFILE_WALK_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/stop_source.h"
#include "engine/base/workers.h"
#include "engine/fit/objective.h"
#include "engine/optimise/optimiser.h"

namespace costate::fit {

struct ProfilePoint {
  std::vector<double> point;    // [q], search coordinates
  double value = 0;             // f
  double slope = 0;             // f'
  double curvature = 0;         // f'', >= 0
  std::vector<double> tangent;  // [q], d point / dx: 1 for the element itself
};

// Immutable. Thread-safety: all members may be called from any thread, with different workers'
// calls nested as Workers allows.
class ProfileSolver {
 public:
  // `options`: tolerances and iterations of the fits; its algorithm is not looked at.
  ProfileSolver(const Objective& objective, const optimise::OptimiserOptions& options,
                int64_t element, const StopSource& stop, Workers& workers);

  // The minimum over the others with the element held where `guess` has it; over all with
  // `hold` false. Nothing where no finite objective was found. Errors are those of Evaluate.
  absl::StatusOr<std::optional<ProfilePoint>> Solve(std::vector<double> guess,
                                                    bool hold = true) const;

  int64_t element() const { return element_; }
  const Objective& objective() const { return objective_; }
  double lower() const { return objective_.box().lower[element_]; }
  double upper() const { return objective_.box().upper[element_]; }

 private:
  absl::StatusOr<optimise::Answer> Ask(const optimise::Question& question) const;
  ProfilePoint Describe(std::vector<double> point, const optimise::Answer& answer,
                        const optimise::Box& box) const;

  const Objective& objective_;
  optimise::OptimiserOptions options_;
  const int64_t element_;
  const StopSource& stop_;
  Workers& workers_;
};

enum class SideEnd {
  kCrossed,    // the objective rose beyond the threshold
  kBound,      // the bound was reached below it
  kMaxPoints,  // the points ran out below it
  kFailed,     // no finite objective further out
};

struct ProfileSide {
  std::vector<ProfilePoint> points;  // outwards, without the first
  SideEnd end = SideEnd::kCrossed;
  double crossing = 0;  // kCrossed: the search coordinate where f passes the threshold
};

// From `best` outwards: direction -1 or +1. `threshold` is of f.
absl::StatusOr<ProfileSide> WalkProfile(const ProfileSolver& solver, const ProfilePoint& best,
                                        int direction, double threshold, int64_t max_points);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_PROFILE_WALK_H_
