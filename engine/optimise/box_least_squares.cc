#include "engine/optimise/box_least_squares.h"

#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace costate::optimise {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
constexpr double kRadiusShare = 0.1;  // how far |p| may be from the radius (More 1978)
constexpr int kMaxDampings = 40;
// Singular values that rounding alone makes, of |A|: nothing moves along their directions.
constexpr double kNoise = 1e-14;
constexpr int kBlockTries = 3;  // block exchanges without progress before single ones

enum class At { kFree, kLower, kUpper };

class Solver {
 public:
  explicit Solver(const BoxLeastSquares& problem)
      : problem_(problem), size_(problem.a.cols()), gradient_(problem.a.transpose() * problem.b) {
    for (Eigen::Index j = 0; j < size_; ++j) {
      const bool at_lower = problem.lower[j] >= 0 && gradient_[j] >= 0;
      const bool at_upper = problem.upper[j] <= 0 && gradient_[j] <= 0;
      at_.push_back(at_lower || problem.lower[j] == problem.upper[j] ? At::kLower
                    : at_upper                                       ? At::kUpper
                                                                     : At::kFree);
    }
    const double norm = problem.a.norm();
    noise_ = kNoise * norm;
    least_damping_ = std::max(std::pow(16 * kEpsilon * norm, 2), 1e-300);
  }

  BoxStep Solve(double radius) {
    BoxStep step;
    Minimise(least_damping_);
    step.cut = p_.norm() > (1 + kRadiusShare) * radius;
    if (step.cut) FitRadius(radius);
    step.p = p_;
    step.slope = gradient_.dot(p_);
    step.decrease = -(step.slope + (problem_.a * p_).squaredNorm() / 2);
    return step;
  }

 private:
  // Damping such that |p| is the radius; |p| exceeds it at least_damping_.
  void FitRadius(double radius) {
    double low = least_damping_;
    // At the minimiser L |p|^2 <= -b'A p, so that L |p| <= |A'b| without what is held.
    double high = HeldGradientNorm() / radius;
    double damping = Newton(low, radius);
    for (int i = 0; i < kMaxDampings; ++i) {
      if (!(damping > low && damping < high)) {
        damping = std::max(1e-3 * high, std::sqrt(low) * std::sqrt(high));
      }
      Minimise(damping);
      const double norm = p_.norm();
      if (std::abs(norm - radius) <= kRadiusShare * radius) return;
      (norm > radius ? low : high) = damping;
      damping = Newton(damping, radius);
    }
    if (p_.norm() > radius) Minimise(high);
  }

  double HeldGradientNorm() const {
    double sum = 0;
    for (Eigen::Index j = 0; j < size_; ++j) {
      const bool held = (problem_.lower[j] >= 0 && gradient_[j] >= 0) ||
                        (problem_.upper[j] <= 0 && gradient_[j] <= 0);
      if (!held) sum += gradient_[j] * gradient_[j];
    }
    return std::sqrt(sum);
  }

  // The next damping by Newton's method on 1 / |p| - 1 / radius.
  double Newton(double damping, double radius) const {
    const double norm = p_.norm();
    const double fall = FallOfSquare(damping) / norm;  // -d|p| / dL
    return damping + (norm - radius) / radius * norm / fall;
  }

  // -d(|p|^2 / 2) / dL with the same elements free.
  double FallOfSquare(double damping) const {
    double sum = 0;
    for (Eigen::Index i = 0; i < sigma_.size(); ++i) {
      if (sigma_[i] <= noise_) break;
      const double square = sigma_[i] * sigma_[i] + damping;
      sum += std::pow(sigma_[i] * projected_[i] / square, 2) / square;
    }
    return sum;
  }

  // p_ becomes the minimiser in the box for this damping.
  void Minimise(double damping) {
    int best = std::numeric_limits<int>::max();
    int tries = kBlockTries;
    const int cap = 20 + 10 * static_cast<int>(size_);
    for (int i = 0; i < cap; ++i) {
      SolveFree(damping);
      const std::vector<At> better = Exchange(damping);
      const int wrong = CountDifferences(better);
      if (wrong == 0) break;
      if (wrong < best) {
        best = wrong;
        tries = kBlockTries;
        at_ = better;
      } else if (tries > 0) {
        --tries;
        at_ = better;
      } else {
        // Murty 1974: exchanging the last one alone ends for a definite matrix.
        for (Eigen::Index j = size_; j-- > 0;) {
          if (better[j] == at_[j]) continue;
          at_[j] = better[j];
          break;
        }
      }
    }
    p_ = p_.cwiseMax(problem_.lower).cwiseMin(problem_.upper);
  }

  int CountDifferences(const std::vector<At>& other) const {
    int count = 0;
    for (Eigen::Index j = 0; j < size_; ++j) count += other[j] != at_[j];
    return count;
  }

  // Where elements would have to be: free ones outside at the bound they passed, held ones whose
  // gradient points inwards free.
  std::vector<At> Exchange(double damping) const {
    const Eigen::VectorXd residual = problem_.a * p_ + problem_.b;
    std::vector<At> better = at_;
    for (Eigen::Index j = 0; j < size_; ++j) {
      if (problem_.lower[j] == problem_.upper[j]) continue;
      if (at_[j] == At::kFree) {
        const double slack = 8 * kEpsilon * std::abs(p_[j]);
        if (p_[j] < problem_.lower[j] - slack) better[j] = At::kLower;
        if (p_[j] > problem_.upper[j] + slack) better[j] = At::kUpper;
        continue;
      }
      const auto column = problem_.a.col(j);
      const double slope = column.dot(residual) + damping * p_[j];
      const double slack = 8 * kEpsilon * column.norm() * residual.norm();
      if (at_[j] == At::kLower ? slope < -slack : slope > slack) better[j] = At::kFree;
    }
    return better;
  }

  void SolveFree(double damping) {
    if (at_ != decomposed_) Decompose();
    p_ = held_;
    if (free_.empty()) return;
    Eigen::VectorXd filtered = Eigen::VectorXd::Zero(sigma_.size());
    for (Eigen::Index i = 0; i < sigma_.size(); ++i) {
      if (sigma_[i] <= noise_) break;
      filtered[i] = -sigma_[i] * projected_[i] / (sigma_[i] * sigma_[i] + damping);
    }
    const Eigen::VectorXd free_part = v_ * filtered;
    for (size_t i = 0; i < free_.size(); ++i) p_[free_[i]] = free_part[i];
  }

  // The decomposition of the free columns and what the held elements leave of b.
  void Decompose() {
    free_.clear();
    held_ = Eigen::VectorXd::Zero(size_);
    for (Eigen::Index j = 0; j < size_; ++j) {
      if (at_[j] == At::kFree) free_.push_back(j);
      if (at_[j] == At::kLower) held_[j] = problem_.lower[j];
      if (at_[j] == At::kUpper) held_[j] = problem_.upper[j];
    }
    decomposed_ = at_;
    sigma_.resize(0);
    if (free_.empty() || problem_.a.rows() == 0) {
      v_ = Eigen::MatrixXd::Zero(free_.size(), 0);
      return;
    }
    Eigen::MatrixXd columns(problem_.a.rows(), free_.size());
    for (size_t i = 0; i < free_.size(); ++i) columns.col(i) = problem_.a.col(free_[i]);
    const Eigen::BDCSVD<Eigen::MatrixXd> svd(columns, Eigen::ComputeThinU | Eigen::ComputeThinV);
    const Eigen::VectorXd target = problem_.a * held_ + problem_.b;
    sigma_ = svd.singularValues();
    v_ = svd.matrixV();
    projected_ = svd.matrixU().transpose() * target;
  }

  const BoxLeastSquares& problem_;
  const Eigen::Index size_;
  const Eigen::VectorXd gradient_;  // A'b
  double noise_ = 0, least_damping_ = 0;
  std::vector<At> at_;
  Eigen::VectorXd p_;

  // For the elements in decomposed_:
  std::vector<At> decomposed_;
  std::vector<Eigen::Index> free_;
  Eigen::VectorXd held_, sigma_, projected_;  // [q], [r], U'(A held + b) [r]
  Eigen::MatrixXd v_;                         // [free, r]
};

}  // namespace

BoxStep SolveBoxLeastSquares(const BoxLeastSquares& problem, double radius) {
  return Solver(problem).Solve(radius);
}

}  // namespace costate::optimise
