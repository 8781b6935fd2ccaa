// Explicit Runge-Kutta methods as compile-time tables.
//
// A method is a struct with these static constexpr members (S stages, X extra stages of the dense
// output, D the degree of its polynomials):
//
//   Method kMethod; std::string_view kName, kCitation; int kOrder, kErrorOrder, kDenseOrder;
//   int kStages, kExtraStages, kDenseDegree;
//   double kC[S + X], kA[S + X][S + X], kB[S], kE[S];     // kE = b - b_hat, zeros if no estimate
//   double kDense[S + X][D];
//   bool kNearlySymmetric;                                // optional
//
//   k_i  = f(t + c_i h, y + h sum_{j<i} a_ij k_j)             i = 1..S+X
//   y1   = y + h sum_i b_i k_i
//   err  = h sum_i e_i k_i
//   y(t + theta h) = y + h sum_i B_i(theta) k_i,   B_i(theta) = sum_d kDense[i][d] theta^(d+1)
//
// One row equals (b, c = 1), the derivative at the end of the step. As the last stage it makes the
// method FSAL (first same as last); as the first extra stage it is kept for the next step.
//
// To add a method: a header with its table, a source that instantiates it, and a case in
// rk/erk.cc; the tests check the table against the order conditions.
#ifndef COSTATE_ENGINE_SOLVERS_RK_TABLEAU_H_
#define COSTATE_ENGINE_SOLVERS_RK_TABLEAU_H_

#include <array>
#include <string_view>

#include "absl/types/span.h"
#include "engine/solvers/stepper.h"

namespace costate::rk {

template <typename T>
inline constexpr int kRows = T::kStages + T::kExtraStages;

template <typename T>
constexpr bool IsEndDerivative(int row) {
  if (T::kC[row] != 1.0) return false;
  for (int j = 0; j < kRows<T>; ++j) {
    if (T::kA[row][j] != (j < T::kStages ? T::kB[j] : 0.0)) return false;
  }
  return true;
}

// The row that is f(t + h, y1): the last stage or the first extra stage.
template <typename T>
constexpr int EndDerivativeRow() {
  if (IsEndDerivative<T>(T::kStages - 1)) return T::kStages - 1;
  if (T::kExtraStages > 0 && IsEndDerivative<T>(T::kStages)) return T::kStages;
  return -1;
}

template <typename T>
inline constexpr bool kFsal = EndDerivativeRow<T>() == T::kStages - 1;

template <typename T>
constexpr bool HasError() {
  for (int i = 0; i < T::kStages; ++i) {
    if (T::kE[i] != 0) return true;
  }
  return false;
}

// Whether a step of -h undoes one of h far beyond the order: such a table says so itself.
template <typename T>
constexpr bool IsNearlySymmetric() {
  if constexpr (requires { T::kNearlySymmetric; }) return T::kNearlySymmetric;
  return false;
}

// Monomial coefficients of the cubic Hermite interpolant of (y, k_1) and (y1, k_end).
template <int S, int R>
constexpr std::array<std::array<double, 3>, R> HermiteDense(const double (&b)[S], int end_row) {
  std::array<std::array<double, 3>, R> dense{};
  for (int i = 0; i < S; ++i) {
    dense[i][1] += 3 * b[i];
    dense[i][2] -= 2 * b[i];
  }
  dense[0][0] += 1;
  dense[0][1] -= 2;
  dense[0][2] += 1;
  dense[end_row][1] -= 1;
  dense[end_row][2] += 1;
  return dense;
}

// The same table at run time. Spans live as long as the program.
struct TableauView {
  MethodInfo info;
  int rows = 0;
  int dense_degree = 0;
  absl::Span<const double> a;      // [rows, rows], row-major
  absl::Span<const double> b;      // [stages]
  absl::Span<const double> e;      // [stages]
  absl::Span<const double> c;      // [rows]
  absl::Span<const double> dense;  // [rows, dense_degree]
};

template <typename T>
constexpr MethodInfo InfoOf() {
  return {.method = T::kMethod,
          .name = T::kName,
          .citation = T::kCitation,
          .order = T::kOrder,
          .error_order = T::kErrorOrder,
          .dense_order = T::kDenseOrder,
          .stages = T::kStages,
          .extra_stages = T::kExtraStages,
          .fsal = kFsal<T>,
          .carried = 1,
          .reversal = IsNearlySymmetric<T>() ? Reversal::kNear : Reversal::kNone,
          .evaluations = T::kStages - (kFsal<T> ? 1 : 0)};
}

template <typename T>
TableauView ViewOf() {
  constexpr int rows = kRows<T>;
  return {.info = InfoOf<T>(),
          .rows = rows,
          .dense_degree = T::kDenseDegree,
          .a = absl::MakeConstSpan(&T::kA[0][0], rows * rows),
          .b = absl::MakeConstSpan(T::kB, T::kStages),
          .e = absl::MakeConstSpan(T::kE, T::kStages),
          .c = absl::MakeConstSpan(T::kC, rows),
          .dense = absl::MakeConstSpan(&T::kDense[0][0], rows * T::kDenseDegree)};
}

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_TABLEAU_H_
