#include "engine/optimise/levenberg_marquardt.h"

#include <Eigen/Core>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "engine/optimise/box_least_squares.h"
#include "engine/optimise/progress_keeper.h"
#include "engine/optimise/restore_as.h"

namespace costate::optimise {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
// Gain ratios: a step is taken above the first, the radius grows above the last (More 1978).
constexpr double kAccept = 1e-4, kPoor = 0.25, kGood = 0.75;
constexpr double kFirstRadius = 1;  // in units of |D x|
// Longest step of an element, in units of the width of its bounds.
constexpr double kLongestStep = 0.1;
// Singular values of J with columns of length 1, relative to the largest, that say nothing: J is no
// better than the solves it comes from.
constexpr double kNoise = 1e-10;
constexpr double kShortestRow = 1e-6;  // of J, of its longest, that is more than nothing

using Row = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// |D d| over the elements that are not fixed.
double ScaledNorm(const Eigen::VectorXd& scale, absl::Span<const double> x, const Box& box) {
  double sum = 0;
  for (size_t j = 0; j < x.size(); ++j) {
    if (box.lower[j] == box.upper[j]) continue;
    sum = std::hypot(sum, scale[j] * x[j]);
  }
  return sum;
}

// Directions in x / lengths along which a matrix is more than noise.
struct Directions {
  Eigen::VectorXd lengths;  // [q], of its columns; 1 for 0
  Eigen::MatrixXd v;        // [q, rank], orthonormal
};

Directions FindDirections(const Eigen::MatrixXd& r) {
  Directions found;
  found.lengths = r.colwise().stableNorm();
  for (double& length : found.lengths) length = length > 0 ? length : 1;
  const Eigen::BDCSVD<Eigen::MatrixXd> svd(r * found.lengths.cwiseInverse().asDiagonal(),
                                           Eigen::ComputeThinU | Eigen::ComputeThinV);
  const Eigen::VectorXd& sigma = svd.singularValues();
  Eigen::Index rank = sigma.size();
  while (rank > 0 && sigma[rank - 1] <= kNoise * sigma[0]) --rank;
  found.v = svd.matrixV().leftCols(rank);
  return found;
}

Eigen::MatrixXd TriangularFactor(const Eigen::HouseholderQR<Eigen::MatrixXd>& qr) {
  const Eigen::Index k = std::min(qr.rows(), qr.cols());
  return qr.matrixQR().topRows(k).triangularView<Eigen::Upper>();
}

// Takes directions from the model |R d + b|^2 along which J = Q R is noise: steps there would be
// noise divided by noise. What is left has as many rows as directions. A row is inexact by a share
// of itself, so they are compared at like lengths; but those that are nothing beside others.
void DropNoise(const Eigen::MatrixXd& j, Eigen::MatrixXd& r, Eigen::VectorXd& b) {
  if (r.size() == 0 || FindDirections(r).v.cols() == r.rows()) return;
  Eigen::VectorXd rows = j.rowwise().stableNorm();
  const double least = kShortestRow * rows.maxCoeff();
  for (double& row : rows) row = row > 0 ? std::max(row, least) : 1;
  const Eigen::MatrixXd alike = rows.cwiseInverse().asDiagonal() * j;
  const Directions found = FindDirections(TriangularFactor(alike.householderQr()));
  const Eigen::Index rank = found.v.cols();
  if (rank >= r.rows() || !found.v.allFinite()) return;
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(r * found.lengths.cwiseInverse().asDiagonal() *
                                                 found.v);
  b.applyOnTheLeft(qr.householderQ().adjoint());
  b = b.head(rank).eval();
  r = TriangularFactor(qr) * found.v.transpose() * found.lengths.asDiagonal();
}

class LevenbergMarquardt final : public Optimiser {
 public:
  LevenbergMarquardt(const OptimiserOptions& options, Box box, std::vector<double> start)
      : options_(options), box_(std::move(box)), keeper_(start) {
    x_ = start;
    scale_ = Eigen::VectorXd::Zero(x_.size());
    question_.point = std::move(start);
    // A trial point is asked for with its Jacobian at once: all but a few steps of a fit are taken,
    // so asking for the value first would save little of the work and cost another round.
    question_.wanted = Wanted::kResiduals;
  }

  bool done() const override { return keeper_.done(); }
  const Question& question() const override { return question_; }
  const Progress& progress() const override { return keeper_.progress(); }
  void Tell(Answer answer) override;
  std::string Save() const override;
  bool Restore(StateReader& reader);

 private:
  void TellFirst(Answer answer);
  bool Accept(const Answer& answer);
  void Propose();
  void ResizeRadius(double gain);
  void JudgeEnd(double actual, double gain, bool accepted);
  std::string StallReason() const;

  size_t size() const { return x_.size(); }

  const OptimiserOptions options_;
  const Box box_;
  ProgressKeeper keeper_;
  Question question_;

  // At the current point x, once there is one (value_ finite): J = Q R, of which R and Q's are
  // enough; without noise.
  std::vector<double> x_;  // [q]
  double value_ = kInfinity;
  Eigen::MatrixXd r_;         // [k, q], k <= min(M, q)
  Eigen::VectorXd qs_;        // [k]
  Eigen::VectorXd gradient_;  // [q], J's
  Eigen::VectorXd scale_;     // [q], D; 0 where no column has differed from 0 yet
  double radius_ = 0;         // of |D d|

  // Of the step to question_.point.
  double predicted_ = 0;  // decrease of the model
  double slope_ = 0;      // g'd
  double length_ = 0;     // |D d|
  bool cut_ = false;      // whether the radius or kLongestStep shortened it
  bool failing_ = false;  // whether every trial since the last step that was taken was infinite
};

void LevenbergMarquardt::Tell(Answer answer) {
  keeper_.CountEvaluation();
  if (!std::isfinite(value_)) return TellFirst(std::move(answer));
  keeper_.NextIteration();
  const double trial = IsComplete(answer, Wanted::kResiduals, size()) ? answer.value : kInfinity;
  const double actual = value_ - trial;
  const double gain = actual / predicted_;
  const bool accepted = gain >= kAccept && Accept(answer);
  failing_ = accepted ? false : failing_ && !std::isfinite(trial);
  ResizeRadius(accepted || std::isfinite(trial) ? gain : -kInfinity);
  JudgeEnd(actual, gain, accepted);
  if (!done()) Propose();
}

void LevenbergMarquardt::TellFirst(Answer answer) {
  if (!IsComplete(answer, Wanted::kResiduals, size()) || !Accept(answer)) {
    return keeper_.End(Outcome::kDiverged, "The objective is not finite at the start.");
  }
  const double norm = ScaledNorm(scale_, x_, box_);
  radius_ = kFirstRadius * (norm > 0 ? norm : 1);
  JudgeEnd(kInfinity, 1, true);
  if (!done()) Propose();
}

// Moves to the point asked for. False, and nothing has changed, where products of its Jacobian
// overflow.
bool LevenbergMarquardt::Accept(const Answer& answer) {
  const auto rows = static_cast<Eigen::Index>(answer.residuals.size());
  const auto q = static_cast<Eigen::Index>(size());
  // Copies, so that sums are taken in the same order wherever the answer lies in memory.
  const Eigen::MatrixXd jacobian = Eigen::Map<const Row>(answer.jacobian.data(), rows, q);
  const Eigen::VectorXd s = Eigen::Map<const Eigen::VectorXd>(answer.residuals.data(), rows);
  const Eigen::VectorXd gradient = jacobian.transpose() * s;
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(jacobian);
  const Eigen::Index k = std::min(rows, q);
  Eigen::MatrixXd r = TriangularFactor(qr);
  Eigen::VectorXd qs = s;
  if (k > 0) qs.applyOnTheLeft(qr.householderQ().adjoint());
  Eigen::VectorXd scale = scale_;
  for (Eigen::Index j = 0; j < q; ++j) scale[j] = std::max(scale[j], r.col(j).stableNorm());
  if (!gradient.allFinite() || !r.allFinite() || !qs.allFinite() || !scale.allFinite()) {
    return false;
  }
  x_ = question_.point;
  value_ = answer.value;
  r_ = std::move(r);
  qs_ = qs.head(k);
  DropNoise(jacobian, r_, qs_);
  gradient_ = gradient;
  scale_ = std::move(scale);
  keeper_.See(x_, value_);
  keeper_.SetGradientNorm(
      FreeGradientNorm(absl::MakeConstSpan(gradient_.data(), size()), x_, box_));
  failing_ = true;
  return true;
}

void LevenbergMarquardt::Propose() {
  const auto q = static_cast<Eigen::Index>(size());
  BoxLeastSquares problem{r_, qs_, Eigen::VectorXd(q), Eigen::VectorXd(q)};
  Eigen::VectorXd scale = scale_;
  for (Eigen::Index j = 0; j < q; ++j) {
    if (scale[j] == 0) scale[j] = 1;
    problem.a.col(j) /= scale[j];
    const double longest = kLongestStep * (box_.upper[j] - box_.lower[j]);
    problem.lower[j] = scale[j] * std::max(box_.lower[j] - x_[j], -longest);
    problem.upper[j] = scale[j] * std::min(box_.upper[j] - x_[j], longest);
  }
  const BoxStep step = SolveBoxLeastSquares(problem, radius_);
  cut_ = step.cut;
  std::vector<double> point(size());
  for (Eigen::Index j = 0; j < q; ++j) {
    point[j] = x_[j] + step.p[j] / scale[j];
    const bool low = step.p[j] <= problem.lower[j], high = step.p[j] >= problem.upper[j];
    if (!low && !high) continue;
    const double bound = low ? box_.lower[j] : box_.upper[j];
    if (step.p[j] == scale[j] * (bound - x_[j])) {
      point[j] = bound;  // to the bit
    } else {
      cut_ = true;
    }
  }
  point = Clamp(point, box_);
  predicted_ = step.decrease;
  slope_ = step.slope;
  length_ = step.p.norm();
  const bool overflows = !AllFinite(point) || std::isnan(predicted_);
  if (overflows || !(predicted_ > 0) || point == x_) {
    return keeper_.End(cut_ || overflows ? Outcome::kStalled : Outcome::kConverged,
                       absl::StrFormat("The step of length %.3g is lost in rounding.", length_));
  }
  question_.point = std::move(point);
}

// As in MINPACK (More, Garbow and Hillstrom 1980): shrinks to where a parabola through both values
// and the slope has its minimum, within [0.1, 0.5] of the step; a quarter after a failure.
void LevenbergMarquardt::ResizeRadius(double gain) {
  if (gain >= kGood || (gain > kPoor && !cut_)) {
    radius_ = std::max(radius_, 2 * length_);
  } else if (gain <= kPoor) {
    double share = 0.5;
    if (gain == -kInfinity) {
      share = 0.25;
    } else if (gain < 0) {
      share = std::clamp(0.5 * slope_ / (slope_ + gain * predicted_), 0.1, 0.5);
    }
    radius_ = share * std::min(radius_, length_);
  }
}

void LevenbergMarquardt::JudgeEnd(double actual, double gain, bool accepted) {
  const double norm = keeper_.progress().gradient_norm;
  if (accepted && IsStationary(absl::MakeConstSpan(gradient_.data(), size()), x_, box_,
                               options_.gradient_tolerance)) {
    return keeper_.End(Outcome::kConverged,
                       absl::StrFormat("The gradient norm is %.3g, at most the tolerance %.3g.",
                                       norm, options_.gradient_tolerance));
  }
  const double least = options_.function_tolerance * std::abs(value_);
  // A step that was cut and does well is no sign of an end: the next one is longer.
  if (std::abs(actual) <= least && predicted_ <= least && (!cut_ || gain < kGood)) {
    return keeper_.End(
        Outcome::kConverged,
        absl::StrFormat("The value changed by %.3g of itself, at most the tolerance %.3g.",
                        std::abs(actual / value_), options_.function_tolerance));
  }
  const double reach = ScaledNorm(scale_, x_, box_);
  if (accepted && !cut_ && std::isfinite(actual) && length_ <= options_.step_tolerance * reach) {
    return keeper_.End(
        Outcome::kConverged,
        absl::StrFormat("The step was %.3g of the point, at most the tolerance %.3g.",
                        length_ / reach, options_.step_tolerance));
  }
  if (radius_ <= std::max(options_.step_tolerance, kEpsilon) * reach || radius_ < 1e-300) {
    return keeper_.End(failing_ ? Outcome::kDiverged : Outcome::kStalled, StallReason());
  }
  if (keeper_.progress().iteration >= options_.max_iterations) {
    keeper_.End(
        Outcome::kMaxIterations,
        absl::StrFormat("The limit of %d iterations was reached; the gradient norm is %.3g.",
                        options_.max_iterations, norm));
  }
}

std::string LevenbergMarquardt::StallReason() const {
  if (failing_) {
    return absl::StrFormat(
        "The objective is not finite at any point tried around the last one, down to steps of "
        "%.3g in scaled length.",
        radius_);
  }
  return absl::StrFormat(
      "No decrease was found down to steps of %.3g in scaled length; the gradient norm is %.3g.",
      radius_, keeper_.progress().gradient_norm);
}

// ---- state ----------------------------------------------------------------------------------

absl::Span<const double> Entries(const Eigen::MatrixXd& matrix) {
  return absl::MakeConstSpan(matrix.data(), matrix.size());
}

absl::Span<const double> Entries(const Eigen::VectorXd& vector) {
  return absl::MakeConstSpan(vector.data(), vector.size());
}

std::string LevenbergMarquardt::Save() const {
  StateWriter writer;
  keeper_.Save(writer);
  writer.Doubles(question_.point);
  writer.Doubles(x_);
  writer.Double(value_);
  writer.Doubles(Entries(r_));
  writer.Doubles(Entries(qs_));
  writer.Doubles(Entries(gradient_));
  writer.Doubles(Entries(scale_));
  for (const double v : {radius_, predicted_, slope_, length_}) writer.Double(v);
  writer.Int(cut_);
  writer.Int(failing_);
  return writer.Take();
}

Eigen::VectorXd ToVector(const std::vector<double>& values) {
  return Eigen::Map<const Eigen::VectorXd>(values.data(), values.size());
}

bool LevenbergMarquardt::Restore(StateReader& reader) {
  const size_t q = size();
  if (!keeper_.Restore(reader, q)) return false;
  question_.point = reader.Doubles();
  x_ = reader.Doubles();
  value_ = reader.Double();
  const std::vector<double> r = reader.Doubles();
  qs_ = ToVector(reader.Doubles());
  gradient_ = ToVector(reader.Doubles());
  scale_ = ToVector(reader.Doubles());
  for (double* v : {&radius_, &predicted_, &slope_, &length_}) *v = reader.Double();
  cut_ = reader.Int() != 0;
  failing_ = reader.Int() != 0;
  const auto k = static_cast<size_t>(qs_.size());
  if (!reader.ok() || k > q || r.size() != k * q || x_.size() != q ||
      static_cast<size_t>(scale_.size()) != q || question_.point.size() != q ||
      !IsWithin(question_.point, box_) || !IsWithin(x_, box_)) {
    return false;
  }
  const bool started = std::isfinite(value_);
  if (static_cast<size_t>(gradient_.size()) != (started ? q : 0)) return false;
  r_ = Eigen::Map<const Eigen::MatrixXd>(r.data(), k, q);
  const bool finite = r_.allFinite() && qs_.allFinite() && gradient_.allFinite() &&
                      scale_.allFinite() && AllFinite({radius_, predicted_, slope_, length_});
  return finite && (scale_.array() >= 0).all() && radius_ >= 0;
}

}  // namespace

std::unique_ptr<Optimiser> MakeLevenbergMarquardt(const OptimiserOptions& options, Box box,
                                                  std::vector<double> start) {
  return std::make_unique<LevenbergMarquardt>(options, std::move(box), std::move(start));
}

std::unique_ptr<Optimiser> RestoreLevenbergMarquardt(const OptimiserOptions& options, Box box,
                                                     StateReader& reader) {
  return RestoreAs<LevenbergMarquardt>(options, std::move(box), reader);
}

}  // namespace costate::optimise
