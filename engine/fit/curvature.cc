#include "engine/fit/curvature.h"

#include <Eigen/Core>
#include <Eigen/QR>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

namespace costate::fit {
namespace {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
// Share of the largest entry of a free direction below which an element takes no part in it.
constexpr double kTakesPart = 1e-3;
constexpr double kFlat = 1e-10;
// Size up to which the slower, more accurate decomposition is used.
constexpr Index kSmall = 64;

struct Decomposition {
  VectorXd values;   // [q], descending
  MatrixXd vectors;  // [q, q], right singular vectors as columns
};

Decomposition Decompose(const MatrixXd& square) {
  if (square.cols() == 0) return {};
  if (square.cols() <= kSmall) {
    const Eigen::JacobiSVD<MatrixXd> svd(square, Eigen::ComputeFullV);
    return {svd.singularValues(), svd.matrixV()};
  }
  const Eigen::BDCSVD<MatrixXd> svd(square, Eigen::ComputeFullV);
  return {svd.singularValues(), svd.matrixV()};
}

// R of J = QR, [q, q]; rows of zeros where J has fewer.
MatrixXd SquareFactor(const MatrixXd& j) {
  MatrixXd r = MatrixXd::Zero(j.cols(), j.cols());
  const Index k = std::min(j.rows(), j.cols());
  if (k == 0) return r;
  const Eigen::HouseholderQR<MatrixXd> qr(j);
  r.topRows(k) = qr.matrixQR().topRows(k).triangularView<Eigen::Upper>();
  return r;
}

std::vector<double> RowMajor(const MatrixXd& m) {
  std::vector<double> values;
  values.reserve(m.size());
  for (Index i = 0; i < m.rows(); ++i) {
    for (Index j = 0; j < m.cols(); ++j) values.push_back(m(i, j));
  }
  return values;
}

// Gauss-Jordan elimination with full pivoting on the columns of `basis`: the same span, each column
// with an entry of 1 where all others have 0, and what is small set to 0.
MatrixXd Sparsify(MatrixXd basis) {
  std::vector<Index> pivots;
  for (Index k = 0; k < basis.cols(); ++k) {
    Index row = 0, column = 0;
    basis.rightCols(basis.cols() - k).cwiseAbs().maxCoeff(&row, &column);
    basis.col(k).swap(basis.col(k + column));
    basis.col(k) /= basis(row, k);
    for (Index other = 0; other < basis.cols(); ++other) {
      if (other != k) basis.col(other) -= basis(row, other) * basis.col(k);
    }
  }
  for (Index k = 0; k < basis.cols(); ++k) {
    const double largest = basis.col(k).cwiseAbs().maxCoeff();
    for (Index i = 0; i < basis.rows(); ++i) {
      if (std::abs(basis(i, k)) < kTakesPart * largest) basis(i, k) = 0;
    }
    basis.col(k) /= largest;
  }
  return basis;
}

MatrixXd Correlation(const MatrixXd& covariance) {
  MatrixXd correlation = covariance;
  for (Index i = 0; i < covariance.rows(); ++i) {
    for (Index j = 0; j < covariance.cols(); ++j) {
      correlation(i, j) =
          i == j && std::isfinite(covariance(i, i))
              ? 1
              : covariance(i, j) / (std::sqrt(covariance(i, i)) * std::sqrt(covariance(j, j)));
    }
  }
  return correlation;
}

// Over the elements that are neither held nor flat; fills search-space figures.
class Inverse {
 public:
  Inverse(const MatrixXd& r, const VectorXd& lengths, std::vector<Index> open, double threshold)
      : q_(r.cols()), open_(std::move(open)), lengths_(lengths) {
    const Index n = static_cast<Index>(open_.size());
    MatrixXd scaled(q_, n);
    for (Index k = 0; k < n; ++k) scaled.col(k) = r.col(open_[k]) / lengths_[open_[k]];
    const Decomposition svd = Decompose(SquareFactor(scaled));
    Index rank = n;
    while (rank > 0 && svd.values[rank - 1] <= threshold) --rank;
    const MatrixXd root =
        svd.vectors.leftCols(rank) * svd.values.head(rank).cwiseInverse().asDiagonal();
    covariance_ = root * root.transpose();
    free_ = rank < n ? Sparsify(svd.vectors.rightCols(n - rank)) : MatrixXd(n, 0);
  }

  // [q, q] in search coordinates, NaN outside.
  MatrixXd Covariance() const {
    MatrixXd full = MatrixXd::Constant(q_, q_, kNaN);
    for (size_t a = 0; a < open_.size(); ++a) {
      for (size_t b = 0; b < open_.size(); ++b) {
        if (TakesPart(a) || TakesPart(b)) continue;
        full(open_[a], open_[b]) = covariance_(a, b) / (lengths_[open_[a]] * lengths_[open_[b]]);
      }
    }
    return full;
  }

  std::vector<std::vector<double>> FreeDirections() const {
    std::vector<std::vector<double>> directions;
    for (Index k = 0; k < free_.cols(); ++k) {
      std::vector<double> direction(q_, 0.0);
      for (size_t a = 0; a < open_.size(); ++a) {
        direction[open_[a]] = free_(a, k) / lengths_[open_[a]];
      }
      directions.push_back(std::move(direction));
    }
    return directions;
  }

 private:
  bool TakesPart(size_t a) const {
    for (Index k = 0; k < free_.cols(); ++k) {
      if (free_(a, k) != 0) return true;
    }
    return false;
  }

  const Index q_;
  const std::vector<Index> open_;
  const VectorXd lengths_;
  MatrixXd covariance_;  // of scaled coordinates, open x open
  MatrixXd free_;        // [open, number of free directions]
};

}  // namespace

Curvature AnalyseCurvature(const CurvatureProblem& problem) {
  const Index q = problem.elements;
  const Index rows = q == 0 ? 0 : static_cast<Index>(problem.jacobian.size()) / q;
  using Row = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const MatrixXd j = Eigen::Map<const Row>(problem.jacobian.data(), rows, q);
  const MatrixXd r = SquareFactor(j);
  const VectorXd slopes = Eigen::Map<const VectorXd>(problem.slopes.data(), q);
  VectorXd lengths(q);
  for (Index k = 0; k < q; ++k) lengths[k] = r.col(k).stableNorm();

  Curvature curvature;
  const VectorXd values = Decompose(r).values;
  for (Index k = q - 1; k >= 0; --k) curvature.eigenvalues.push_back(values[k] * values[k]);
  const MatrixXd natural = r * slopes.cwiseInverse().asDiagonal();
  curvature.fisher_information = RowMajor(natural.transpose() * natural);

  std::vector<Index> open;
  for (Index k = 0; k < q; ++k) {
    if (problem.at_bound[k]) continue;
    if (lengths[k] * problem.units[k] <= kFlat) {
      curvature.flat.push_back(k);
    } else {
      open.push_back(k);
    }
  }
  const Inverse inverse(r, lengths, std::move(open), problem.threshold);
  const MatrixXd search = inverse.Covariance();
  for (Index k = 0; k < q; ++k) curvature.search_errors.push_back(std::sqrt(search(k, k)));
  const MatrixXd covariance = slopes.asDiagonal() * search * slopes.asDiagonal();
  curvature.covariance = RowMajor(covariance);
  curvature.correlation = RowMajor(Correlation(covariance));
  curvature.free_directions = inverse.FreeDirections();
  return curvature;
}

}  // namespace costate::fit
