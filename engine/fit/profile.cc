#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/fit/chi_squared.h"
#include "engine/fit/fit.h"
#include "engine/fit/profile_walk.h"

namespace costate::fit {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Decrease of the objective that is worth a word: it moves the ends of a 95 % interval by 0.3 %.
constexpr double kWorthTelling = 0.01;
// Rise over a whole profile, of what the interval allows, at or below which it is flat.
constexpr double kFlat = 1e-3;

absl::Status Check(const Objective& objective, absl::Span<const double> best, int64_t element,
                   const ProfileOptions& options) {
  const std::vector<FreeElement>& elements = objective.elements();
  const bool inside = options.confidence > 0 && options.confidence < 1;
  if (!inside) {
    return FieldError("confidence", absl::StrCat(options.confidence), "a number between 0 and 1");
  }
  if (options.max_points < 1) {
    return FieldError("max_points", absl::StrCat(options.max_points), "at least 1");
  }
  if (best.size() != elements.size()) {
    return FieldError("best", absl::StrCat(best.size(), " values"),
                      absl::StrCat(elements.size(), ", one for each free element"));
  }
  for (size_t j = 0; j < best.size(); ++j) {
    if (best[j] >= elements[j].lower && best[j] <= elements[j].upper) continue;
    return FieldError(absl::StrCat("best[", j, "]"), absl::StrCat(best[j]),
                      absl::StrCat("a value of ", elements[j].name, " between its bounds ",
                                   elements[j].lower, " and ", elements[j].upper));
  }
  if (element < 0 || element >= static_cast<int64_t>(elements.size())) {
    return absl::InternalError("a profile of an element that is not there");
  }
  return absl::OkStatus();
}

class ProfileMaker {
 public:
  ProfileMaker(const ProfileSolver& solver, const ProfileOptions& options)
      : solver_(solver),
        options_(options),
        allowed_(0.5 * ChiSquaredQuantile(options.confidence)) {}

  absl::StatusOr<Profile> Make(absl::Span<const double> best, Workers& workers) {
    RETURN_IF_ERROR(FindBase(best));
    ProfileSide sides[2];
    absl::Status status[2];
    if (solver_.lower() == solver_.upper()) {
      sides[0].end = sides[1].end = SideEnd::kBound;
    } else {
      workers.Run(2, [&](int64_t i) {
        absl::StatusOr<ProfileSide> side = WalkProfile(solver_, base_, i == 0 ? -1 : 1,
                                                       base_.value + allowed_, options_.max_points);
        if (side.ok()) {
          sides[i] = *std::move(side);
        } else {
          status[i] = side.status();
        }
      });
      RETURN_IF_ERROR(status[0]);
      RETURN_IF_ERROR(status[1]);
    }
    return Collect(sides[0], sides[1]);
  }

 private:
  // The given point, or a better one found from it.
  absl::Status FindBase(absl::Span<const double> best) {
    const std::vector<double> given = solver_.objective().ToSearch(best);
    ASSIGN_OR_RETURN(const std::optional<ProfilePoint> held, solver_.Solve(given));
    ASSIGN_OR_RETURN(const std::optional<ProfilePoint> fitted, solver_.Solve(given, false));
    if (!held.has_value() || !fitted.has_value()) {
      return FieldStatus(absl::StatusCode::kInvalidArgument, "best",
                         "the objective is not finite there; give the estimates of a fit of this "
                         "problem");
    }
    base_ = fitted->value < held->value - 1e-6 * allowed_ ? *fitted : *held;
    improvement_ = held->value - base_.value;
    return absl::OkStatus();
  }

  std::vector<double> Natural(const ProfilePoint& point) const {
    return solver_.objective().ToNatural(point.point);
  }
  double NaturalAt(const ProfilePoint& point, double x) const {
    std::vector<double> moved = point.point;
    moved[solver_.element()] = x;
    return solver_.objective().ToNatural(moved)[solver_.element()];
  }

  void Append(const ProfilePoint& point, Profile* profile) {
    const std::vector<double> natural = Natural(point);
    profile->values.push_back(natural[solver_.element()]);
    profile->objectives.push_back(point.value);
    profile->points.insert(profile->points.end(), natural.begin(), natural.end());
    lowest_ = std::min(lowest_, point.value);
    highest_ = std::max(highest_, point.value);
  }

  Profile Collect(const ProfileSide& left, const ProfileSide& right) {
    Profile profile;
    profile.name = Name();
    lowest_ = highest_ = base_.value;
    for (auto point = left.points.rbegin(); point != left.points.rend(); ++point) {
      Append(*point, &profile);
    }
    Append(base_, &profile);
    for (const ProfilePoint& point : right.points) Append(point, &profile);
    profile.interval_lower =
        left.end == SideEnd::kCrossed ? NaturalAt(base_, left.crossing) : -kInfinity;
    profile.interval_upper =
        right.end == SideEnd::kCrossed ? NaturalAt(base_, right.crossing) : kInfinity;
    profile.verdict = Verdict(profile, left, right) + Remarks();
    return profile;
  }

  const std::string& Name() const { return solver_.objective().elements()[solver_.element()].name; }

  std::string Percent() const { return absl::StrFormat("%.4g %%", 100 * options_.confidence); }

  // "up to its bound 10": why a side is open.
  static std::string Reach(SideEnd end, double value) {
    switch (end) {
      case SideEnd::kBound:
        return absl::StrFormat("its bound %.6g", value);
      case SideEnd::kMaxPoints:
        return absl::StrFormat("%.6g, where the points ran out", value);
      case SideEnd::kFailed:
        return absl::StrFormat("%.6g, beyond which the model could not be solved", value);
      case SideEnd::kCrossed:
        break;
    }
    return "";
  }

  std::string Verdict(const Profile& profile, const ProfileSide& left,
                      const ProfileSide& right) const {
    const bool below = left.end == SideEnd::kCrossed, above = right.end == SideEnd::kCrossed;
    if (solver_.lower() == solver_.upper()) {
      return absl::StrCat(Name(), " is held by its bounds.");
    }
    if (below && above) {
      return absl::StrFormat("%s is identified: between %.6g and %.6g at %s.", Name(),
                             profile.interval_lower, profile.interval_upper, Percent());
    }
    const std::string down = Reach(left.end, profile.values.front());
    const std::string up = Reach(right.end, profile.values.back());
    if (!below && !above) {
      const bool flat = highest_ - lowest_ <= kFlat * allowed_;
      return absl::StrCat(Name(),
                          flat ? " is not identified: the fit is as good at every value, down to "
                               : " is not identified in practice at " + Percent() +
                                     ": open to both sides, down to ",
                          down, " and up to ", up, ".");
    }
    return absl::StrFormat("%s is not identified in practice at %s: %s %.6g, but open %s, to %s.",
                           Name(), Percent(), below ? "above" : "below",
                           below ? profile.interval_lower : profile.interval_upper,
                           below ? "upwards" : "downwards", below ? up : down);
  }

  std::string Remarks() const {
    if (base_.value - lowest_ > kWorthTelling) {
      return absl::StrFormat(
          " On the way a better fit was found, by %.3g: fit again from there; the interval is that "
          "of the point given.",
          base_.value - lowest_);
    }
    if (improvement_ > kWorthTelling) {
      return absl::StrFormat(" The profile is that of a better point than the given one, by %.3g.",
                             improvement_);
    }
    return "";
  }

  const ProfileSolver& solver_;
  const ProfileOptions options_;
  const double allowed_;  // rise of the objective within the interval
  ProfilePoint base_;
  double improvement_ = 0;  // of the base over the given point
  double lowest_ = 0, highest_ = 0;
};

}  // namespace

absl::StatusOr<Profile> ComputeProfile(const Objective& objective, const FitOptions& resolved,
                                       absl::Span<const double> best, int64_t element,
                                       const ProfileOptions& options, const StopSource& stop,
                                       Workers& workers) {
  RETURN_IF_ERROR(Check(objective, best, element, options));
  const ProfileSolver solver(objective, resolved.optimiser, element, stop, workers);
  return ProfileMaker(solver, options).Make(best, workers);
}

}  // namespace costate::fit
