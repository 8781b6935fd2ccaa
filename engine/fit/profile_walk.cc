#include "engine/fit/profile_walk.h"

#include <Eigen/Core>
#include <Eigen/QR>
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "engine/base/status_macros.h"

namespace costate::fit {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Of what the interval allows, the rise a step aims at, and the most it may bring.
constexpr double kTargetShare = 0.1;
constexpr double kMaxShare = 0.3;
constexpr double kGrowth = 3;  // of steps, from one to the next
constexpr int kMaxRetries = 12;
// The end of an interval: f within this share of the rise to the threshold, or the bracket within
// this share of the distance from the best point.
constexpr double kCrossingTolerance = 1e-4;
constexpr int kMaxCrossingSolves = 30;
constexpr double kRankThreshold = 1e-8;  // of the others' columns, scaled to length 1

using Row = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// Elements that may move at `point`: neither held nor pushed against a bound by the gradient.
std::vector<Eigen::Index> Movable(const optimise::Box& box, absl::Span<const double> point,
                                  const Eigen::VectorXd& gradient) {
  std::vector<Eigen::Index> movable;
  for (size_t j = 0; j < point.size(); ++j) {
    const bool held = box.lower[j] == box.upper[j] ||
                      (point[j] <= box.lower[j] && gradient[j] > 0) ||
                      (point[j] >= box.upper[j] && gradient[j] < 0);
    if (!held) movable.push_back(j);
  }
  return movable;
}

double WidestStep(const FreeElement& element, double lower, double upper, double x) {
  const double width = upper - lower;
  if (std::isfinite(width)) return 0.1 * width;
  switch (element.scale) {
    case Scale::kLinear:
      return std::max(1.0, std::abs(x));
    case Scale::kLog:
      return std::log(10.0);
    case Scale::kLog10:
    case Scale::kLogit:
      break;
  }
  return 1;
}

class Walk {
 public:
  Walk(const ProfileSolver& solver, const ProfilePoint& best, int direction, double threshold)
      : solver_(solver),
        e_(solver.element()),
        direction_(direction),
        bound_(direction < 0 ? solver.lower() : solver.upper()),
        threshold_(threshold),
        allowed_(threshold - best.value),
        best_(best),
        here_(best) {}

  absl::StatusOr<ProfileSide> Run(int64_t max_points) {
    ProfileSide side;
    for (;;) {
      if (here_.point[e_] == bound_) {
        side.end = SideEnd::kBound;
        return side;
      }
      if (static_cast<int64_t>(side.points.size()) == max_points) {
        side.end = SideEnd::kMaxPoints;
        return side;
      }
      const ProfilePoint before = here_;
      ASSIGN_OR_RETURN(const bool moved, Step());
      if (!moved) {
        side.end = SideEnd::kFailed;
        return side;
      }
      side.points.push_back(here_);
      if (here_.value < threshold_) continue;
      ASSIGN_OR_RETURN(side.crossing, FindCrossing(before, here_));
      return side;
    }
  }

 private:
  // How far outwards the model of f at the current point rises by the target.
  double Proposal() const {
    const double target = kTargetShare * allowed_;
    const double outwards = direction_ * here_.slope;
    const double root =
        std::sqrt(std::max(0.0, outwards * outwards + 2 * here_.curvature * target));
    // The root of outwards h + curvature h^2 / 2 = target without cancellation.
    const double h =
        outwards >= 0 ? 2 * target / (outwards + root) : (root - outwards) / here_.curvature;
    const FreeElement& element = solver_.objective().elements()[e_];
    double widest = WidestStep(element, solver_.lower(), solver_.upper(), here_.point[e_]);
    if (last_step_ > 0) widest = std::min(widest, kGrowth * last_step_);
    return h > 0 ? std::min(h, widest) : widest;  // not of NaN either
  }

  // Whether a point further out was found; shorter steps where it rises too much, or fails.
  absl::StatusOr<bool> Step() {
    double h = Proposal();
    for (int retry = 0;; ++retry) {
      ASSIGN_OR_RETURN(std::optional<ProfilePoint> next, SolveAt(here_, Outwards(h)));
      const bool last = retry == kMaxRetries;
      if (!next.has_value() && last) return false;
      const double rise = next.has_value() ? next->value - here_.value : kInfinity;
      if (rise <= kMaxShare * allowed_ || last) {
        last_step_ = std::abs(next->point[e_] - here_.point[e_]);
        here_ = *std::move(next);
        return true;
      }
      // Where f rises by a power of the distance, this lands near the target.
      h *= std::isfinite(rise) ? std::clamp(std::sqrt(kTargetShare * allowed_ / rise), 0.1, 0.7)
                               : 0.25;
      if (here_.point[e_] + direction_ * h == here_.point[e_]) return false;
    }
  }

  double Outwards(double h) const {
    const double x = here_.point[e_] + direction_ * h;
    return direction_ < 0 ? std::max(x, bound_) : std::min(x, bound_);
  }

  absl::StatusOr<std::optional<ProfilePoint>> SolveAt(const ProfilePoint& from, double x) const {
    const optimise::Box& box = solver_.objective().box();
    std::vector<double> guess = from.point;
    const double h = x - from.point[e_];
    for (size_t j = 0; j < guess.size(); ++j) {
      guess[j] = std::clamp(guess[j] + h * from.tangent[j], box.lower[j], box.upper[j]);
    }
    guess[e_] = x;
    return solver_.Solve(std::move(guess));
  }

  // Where f passes the threshold between two points: Newton from the nearer of them, kept within
  // the bracket, which is halved where Newton leaves it.
  absl::StatusOr<double> FindCrossing(ProfilePoint inside, ProfilePoint outside) const {
    for (int i = 0; i < kMaxCrossingSolves; ++i) {
      const ProfilePoint& near =
          threshold_ - inside.value < outside.value - threshold_ ? inside : outside;
      if (std::abs(near.value - threshold_) <= kCrossingTolerance * allowed_) {
        return Newton(near, inside, outside);
      }
      const double a = inside.point[e_], b = outside.point[e_];
      if (std::abs(b - a) <= kCrossingTolerance * std::abs(b - best_.point[e_])) break;
      ASSIGN_OR_RETURN(std::optional<ProfilePoint> next,
                       SolveAt(near, Newton(near, inside, outside)));
      // Between two points that were solved; without it the bracket is all that is known.
      if (!next.has_value()) break;
      (next->value < threshold_ ? inside : outside) = *std::move(next);
    }
    return inside.point[e_] + (outside.point[e_] - inside.point[e_]) * (threshold_ - inside.value) /
                                  (outside.value - inside.value);
  }

  double Newton(const ProfilePoint& near, const ProfilePoint& inside,
                const ProfilePoint& outside) const {
    const double a = inside.point[e_], b = outside.point[e_];
    const double x = near.point[e_] + (threshold_ - near.value) / near.slope;
    const bool within = x >= std::min(a, b) && x <= std::max(a, b);  // not NaN
    return within ? x : 0.5 * (a + b);
  }

  const ProfileSolver& solver_;
  const int64_t e_;
  const int direction_;
  const double bound_, threshold_, allowed_;
  const ProfilePoint best_;
  ProfilePoint here_;
  double last_step_ = 0;
};

}  // namespace

ProfileSolver::ProfileSolver(const Objective& objective, const optimise::OptimiserOptions& options,
                             int64_t element, const StopSource& stop, Workers& workers)
    : objective_(objective), options_(options), element_(element), stop_(stop), workers_(workers) {
  options_.algorithm = optimise::Algorithm::kLevenbergMarquardt;
}

absl::StatusOr<optimise::Answer> ProfileSolver::Ask(const optimise::Question& question) const {
  const optimise::Question* const asked = &question;
  ASSIGN_OR_RETURN(std::vector<optimise::Answer> answers,
                   objective_.Evaluate({&asked, 1}, stop_, workers_));
  if (answers.size() != 1) return absl::InternalError("answers without questions");
  return std::move(answers[0]);
}

absl::StatusOr<std::optional<ProfilePoint>> ProfileSolver::Solve(std::vector<double> guess,
                                                                 bool hold) const {
  optimise::Box box = objective_.box();
  if (hold) box.lower[element_] = box.upper[element_] = guess[element_];
  ASSIGN_OR_RETURN(const std::unique_ptr<optimise::Optimiser> optimiser,
                   optimise::MakeOptimiser(options_, box, guess));
  optimise::Question kept_question;
  optimise::Answer kept;
  while (!optimiser->done()) {
    const optimise::Question question = optimiser->question();
    ASSIGN_OR_RETURN(optimise::Answer answer, Ask(question));
    if (answer.value < kept.value) {
      kept_question = question;
      kept = answer;
    }
    optimiser->Tell(std::move(answer));
  }
  const optimise::Progress& progress = optimiser->progress();
  if (!std::isfinite(progress.value)) return std::optional<ProfilePoint>();
  if (kept_question.point != progress.best) {
    ASSIGN_OR_RETURN(kept, Ask({progress.best, optimise::Wanted::kResiduals, {}}));
  }
  return Describe(progress.best, kept, box);
}

ProfilePoint ProfileSolver::Describe(std::vector<double> point, const optimise::Answer& answer,
                                     const optimise::Box& box) const {
  const auto q = static_cast<Eigen::Index>(point.size());
  const auto rows = static_cast<Eigen::Index>(answer.residuals.size());
  const Eigen::MatrixXd j = Eigen::Map<const Row>(answer.jacobian.data(), rows, q);
  const Eigen::VectorXd s = Eigen::Map<const Eigen::VectorXd>(answer.residuals.data(), rows);
  const Eigen::VectorXd gradient = j.transpose() * s;
  optimise::Box held = box;
  held.lower[element_] = held.upper[element_] = point[element_];
  const std::vector<Eigen::Index> others = Movable(held, point, gradient);
  Eigen::MatrixXd columns(rows, static_cast<Eigen::Index>(others.size()));
  Eigen::VectorXd lengths(columns.cols());
  for (Eigen::Index k = 0; k < columns.cols(); ++k) {
    columns.col(k) = j.col(others[k]);
    lengths[k] = columns.col(k).stableNorm();
    if (lengths[k] == 0) lengths[k] = 1;
    columns.col(k) /= lengths[k];
  }
  ProfilePoint described;
  described.value = answer.value;
  described.slope = gradient[element_];
  described.tangent.assign(point.size(), 0.0);
  described.tangent[element_] = 1;
  Eigen::VectorXd along = j.col(element_);
  if (columns.cols() > 0) {
    Eigen::CompleteOrthogonalDecomposition<Eigen::MatrixXd> solver;
    solver.setThreshold(kRankThreshold);
    const Eigen::VectorXd t = solver.compute(columns).solve(-along);
    along += columns * t;
    for (Eigen::Index k = 0; k < columns.cols(); ++k) {
      described.tangent[others[k]] = t[k] / lengths[k];
    }
  }
  described.curvature = along.squaredNorm();
  described.point = std::move(point);
  return described;
}

absl::StatusOr<ProfileSide> WalkProfile(const ProfileSolver& solver, const ProfilePoint& best,
                                        int direction, double threshold, int64_t max_points) {
  return Walk(solver, best, direction, threshold).Run(max_points);
}

}  // namespace costate::fit
