#include "engine/stability/arnoldi.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <Eigen/Dense>
#include <Eigen/Eigenvalues>

#include "engine/base/status_macros.h"
#include "engine/stability/poll.h"

namespace costate::stability {
namespace {

using Eigen::MatrixXd;
using Eigen::VectorXd;

constexpr int64_t kExtra = 30;     // of the subspace beyond what is wanted
constexpr int64_t kExtraKept = 4;  // Ritz vectors kept beyond the wanted ones
constexpr int kWaits = 10;         // restarts for the rightmost once the largest are there
constexpr double kBreakdown = 1e-14;

// By a small linear congruential generator: any fixed vectors without symmetries will do.
VectorXd FixedVector(int64_t n, int64_t number) {
  VectorXd v(n);
  uint64_t state = 0x9e3779b97f4a7c15u * static_cast<uint64_t>(number + 1);
  for (int64_t i = 0; i < n; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    v[i] = static_cast<double>(state >> 11) / 9007199254740992.0 - 0.5;
  }
  return v;
}

class KrylovSpace {
 public:
  KrylovSpace(absl::FunctionRef<void(const double*, double*)> multiply, int64_t n, int64_t m,
              const double* start)
      : multiply_(multiply), n_(n), m_(m), v_(n, m + 1), h_(MatrixXd::Zero(m + 1, m)) {
    VectorXd first = start == nullptr ? FixedVector(n, 0) : VectorXd(VectorXd::Map(start, n));
    if (!(first.norm() > 0)) first = FixedVector(n, 0);
    v_.col(0) = first.normalized();
  }

  // Up to m columns.
  absl::Status Expand(const StopSource& stop) {
    VectorXd w(n_);
    for (int64_t j = size_; j < m_; ++j) {
      RETURN_IF_ERROR(Poll(stop, "eigenvalues were computed"));
      multiply_(v_.col(j).data(), w.data());
      ++products_;
      const double before = w.norm();
      if (!std::isfinite(before)) return absl::InternalError("a Jacobian product is not finite");
      VectorXd h = VectorXd::Zero(j + 1);
      for (int pass = 0; pass < 2; ++pass) {
        const VectorXd along = v_.leftCols(j + 1).transpose() * w;
        w -= v_.leftCols(j + 1) * along;
        h += along;
      }
      h_.col(j).head(j + 1) = h;
      double left = w.norm();
      h_(j + 1, j) = left;
      if (left <= kBreakdown * std::max(before, std::numeric_limits<double>::min())) {
        h_(j + 1, j) = 0;  // an invariant subspace: go on in another direction
        w = FixedVector(n_, products_);
        for (int pass = 0; pass < 2; ++pass) {
          w -= v_.leftCols(j + 1) * (v_.leftCols(j + 1).transpose() * w);
        }
        left = w.norm();
      }
      v_.col(j + 1) = w / left;
    }
    size_ = m_;
    return absl::OkStatus();
  }

  MatrixXd Square() const { return h_.topRows(m_); }
  Eigen::RowVectorXd Coupling() const { return h_.row(m_); }

  // Keeps the span of an orthonormal basis [m, p] of an invariant subspace of Square().
  void Restart(const MatrixXd& basis) {
    const int64_t p = basis.cols();
    const MatrixXd small = basis.transpose() * h_.topRows(m_) * basis;
    const Eigen::RowVectorXd coupling = h_.row(m_) * basis;
    const MatrixXd kept = v_.leftCols(m_) * basis;
    const VectorXd next = v_.col(m_);
    v_.leftCols(p) = kept;
    v_.col(p) = next;
    h_.setZero();
    h_.topLeftCorner(p, p) = small;
    h_.row(p).head(p) = coupling;
    size_ = p;
  }

  // The sum of the vectors of a basis.
  VectorXd Sum(const MatrixXd& basis) const { return v_.leftCols(m_) * basis.rowwise().sum(); }

  int64_t products() const { return products_; }

 private:
  absl::FunctionRef<void(const double*, double*)> multiply_;
  const int64_t n_, m_;
  MatrixXd v_;  // orthonormal columns; A V_m = V_m+1 H
  MatrixXd h_;
  int64_t size_ = 0;
  int64_t products_ = 0;
};

// Indices in the order of `before`, so many of them, and with each its conjugate.
template <typename Before>
std::vector<int64_t> FirstOf(const Eigen::VectorXcd& values, int64_t count, Before before) {
  std::vector<int64_t> order(values.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  std::stable_sort(order.begin(), order.end(), before);
  // Eigen gives conjugates one after the other, the one with positive imaginary part first.
  std::vector<int64_t> chosen;
  std::vector<bool> taken(values.size());
  for (const int64_t i : order) {
    if (static_cast<int64_t>(chosen.size()) >= count) break;
    if (taken[i]) continue;
    const double imag = values[i].imag();
    taken[i] = true;
    chosen.push_back(i);
    if (imag == 0) continue;
    const int64_t other = imag > 0 ? i + 1 : i - 1;
    taken[other] = true;
    chosen.push_back(other);
  }
  return chosen;
}

// Indices into the Ritz values, larger modulus first.
struct Wanted {
  std::vector<int64_t> largest;
  std::vector<int64_t> all;   // and the rightmost
  std::vector<int64_t> kept;  // and some more
};

Wanted Choose(const Eigen::VectorXcd& values, const ArnoldiOptions& options, int64_t room) {
  const auto larger = [&](int64_t a, int64_t b) {
    return std::abs(values[a]) > std::abs(values[b]);
  };
  const auto righter = [&](int64_t a, int64_t b) { return values[a].real() > values[b].real(); };
  const auto join = [&](int64_t largest, int64_t rightmost) {
    std::vector<int64_t> all = FirstOf(values, largest, larger);
    for (const int64_t i : FirstOf(values, rightmost, righter)) {
      if (std::find(all.begin(), all.end(), i) == all.end()) all.push_back(i);
    }
    std::stable_sort(all.begin(), all.end(), larger);
    return all;
  };
  Wanted wanted;
  wanted.largest = join(options.largest, 0);
  wanted.all = join(options.largest, options.rightmost);
  wanted.kept = join(options.largest + kExtraKept, options.rightmost + kExtraKept);
  if (static_cast<int64_t>(wanted.kept.size()) > room) wanted.kept = wanted.all;
  return wanted;
}

// Orthonormal basis of the real span of eigenvectors that come with their conjugates.
MatrixXd RealSpan(const Eigen::VectorXcd& values, const Eigen::MatrixXcd& vectors,
                  const std::vector<int64_t>& indices) {
  MatrixXd span(vectors.rows(), static_cast<int64_t>(indices.size()));
  int64_t columns = 0;
  for (const int64_t i : indices) {
    if (values[i].imag() < 0) continue;
    span.col(columns++) = vectors.col(i).real();
    if (values[i].imag() > 0) span.col(columns++) = vectors.col(i).imag();
  }
  const Eigen::HouseholderQR<MatrixXd> qr(span.leftCols(columns));
  return qr.householderQ() * MatrixXd::Identity(vectors.rows(), columns);
}

// Those of `indices` whose residual is within the tolerance.
std::vector<int64_t> Converged(const std::vector<int64_t>& indices, const Eigen::VectorXcd& values,
                               const Eigen::MatrixXcd& vectors, const Eigen::RowVectorXd& coupling,
                               double tolerance) {
  const double largest = values.cwiseAbs().maxCoeff();
  std::vector<int64_t> converged;
  for (const int64_t i : indices) {
    const Complex residual = (coupling.cast<Complex>() * vectors.col(i))(0);
    if (std::abs(residual) <= tolerance * largest * vectors.col(i).norm()) converged.push_back(i);
  }
  return converged;
}

// Whether the outermost value has stopped moving: in a cluster, the residuals of single vectors
// fall much later than the values settle.
class Standstill {
 public:
  bool Look(double outermost, double tolerance) {
    still_ = std::fabs(outermost - last_) <= tolerance * outermost ? still_ + 1 : 0;
    last_ = outermost;
    return still_ >= kStillRestarts;
  }

 private:
  static constexpr int kStillRestarts = 5;
  double last_ = 0;
  int still_ = 0;
};

}  // namespace

int64_t ArnoldiDimension(int64_t n, const ArnoldiOptions& options) {
  const int64_t wanted = options.largest + options.rightmost + 2;
  return std::min(n, 2 * wanted + kExtra);
}

absl::StatusOr<RitzValues> FindOuterEigenvalues(
    absl::FunctionRef<void(const double* v, double* jv)> multiply, int64_t n,
    const ArnoldiOptions& options, const double* start, const StopSource& stop) {
  const int64_t m = std::min(ArnoldiDimension(n, options), n - 1);
  KrylovSpace space(multiply, n, m, start);
  RitzValues found;
  int waited = 0;
  Standstill standstill;
  for (int restart = 0;; ++restart) {
    RETURN_IF_ERROR(space.Expand(stop));
    const Eigen::EigenSolver<MatrixXd> solver(space.Square());
    if (solver.info() != Eigen::Success) {
      return absl::InternalError("the eigenvalue iteration did not converge");
    }
    const Eigen::VectorXcd& values = solver.eigenvalues();
    const Eigen::MatrixXcd vectors = solver.eigenvectors();
    const Wanted wanted = Choose(values, options, m - 4);
    const auto settled = [&](const std::vector<int64_t>& indices) {
      return Converged(indices, values, vectors, space.Coupling(), options.tolerance);
    };
    found.converged = settled(wanted.largest).size() == wanted.largest.size();
    const bool complete = settled(wanted.all).size() == wanted.all.size();
    if (found.converged && !complete) ++waited;
    const bool still = standstill.Look(values.cwiseAbs().maxCoeff(), options.tolerance);
    const bool enough = !found.converged && still;
    if (complete || enough || waited > kWaits || restart == options.max_restarts) {
      const std::vector<int64_t> given = found.converged ? settled(wanted.all) : wanted.largest;
      for (const int64_t i : given) found.values.push_back(values[i]);
      const VectorXd sum = space.Sum(RealSpan(values, vectors, wanted.all));
      found.start.assign(sum.data(), sum.data() + n);
      found.products = space.products();
      return found;
    }
    space.Restart(RealSpan(values, vectors, wanted.kept));
  }
}

}  // namespace costate::stability
