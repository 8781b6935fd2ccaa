// Sums over stages with the coefficients of a table unrolled at compile time.
//
// Every element of every lane sees the same operations in the same order, whatever the lane count
// and the block size, so its bits are the same.
#ifndef COSTATE_ENGINE_SOLVERS_RK_ROW_KERNELS_H_
#define COSTATE_ENGINE_SOLVERS_RK_ROW_KERNELS_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace costate::rk {

// Coefficient lists: row i of kA, kB and kE of a table.
template <typename T, int i>
struct RowA {
  static constexpr int kSize = i;
  static constexpr double At(int j) { return T::kA[i][j]; }
};
template <typename T>
struct RowB {
  static constexpr int kSize = T::kStages;
  static constexpr double At(int j) { return T::kB[j]; }
};
template <typename T>
struct RowE {
  static constexpr int kSize = T::kStages;
  static constexpr double At(int j) { return T::kE[j]; }
};
template <typename C>
constexpr int FirstNonZero() {
  for (int j = 0; j < C::kSize; ++j) {
    if (C::At(j) != 0) return j;
  }
  return C::kSize;
}
template <typename C>
inline constexpr bool kAllZero = FirstNonZero<C>() == C::kSize;

template <typename C, int j>
[[gnu::always_inline]] inline double AddTerm(const double* k, ptrdiff_t stride, double sum) {
  if constexpr (C::At(j) == 0) {
    return sum;
  } else if constexpr (j == FirstNonZero<C>()) {
    return C::At(j) * k[j * stride];
  } else {
    return std::fma(C::At(j), k[j * stride], sum);
  }
}

// sum_j C_j k[j * stride]
template <typename C>
[[gnu::always_inline]] inline double RowSum(const double* k, ptrdiff_t stride) {
  double sum = 0;
  [&]<int... j>(std::integer_sequence<int, j...>) {
    ((sum = AddTerm<C, j>(k, stride, sum)), ...);
  }(std::make_integer_sequence<int, C::kSize>());
  return sum;
}

template <typename C>
constexpr int LastNonZero() {
  for (int j = C::kSize - 1; j >= 0; --j) {
    if (C::At(j) != 0) return j;
  }
  return 0;
}
// All but the last term of a row.
template <typename C>
struct RowHead {
  static constexpr int kSize = LastNonZero<C>();
  static constexpr double At(int j) { return C::At(j); }
};

// y + h * sum_j C_j k[j * stride] with the newest term last and alone, (h C_last) k_last: only one
// operation waits for the stage just evaluated.
template <typename C>
[[gnu::always_inline]] inline double AddRow(const double* k, ptrdiff_t stride, double h, double y) {
  constexpr int last = LastNonZero<C>();
  const double newest = h * C::At(last);
  if constexpr (!kAllZero<RowHead<C>>) y = std::fma(h, RowSum<RowHead<C>>(k, stride), y);
  return std::fma(newest, k[last * stride], y);
}

// Calls body.template operator()<B>(i) over [0, count) in blocks of B doubles: 8, then 4, then
// single elements of W lanes.
template <int W, typename Body>
[[gnu::always_inline]] inline void ForBlocks(int64_t count, const Body& body) {
  int64_t i = 0;
  if (count >= 8) {
    for (; i + 8 <= count; i += 8) body.template operator()<8>(i);
    if constexpr (W <= 4) {
      if (count - i >= 4) {
        body.template operator()<4>(i);
        i += 4;
      }
    }
  }
  for (; i < count; i += W) body.template operator()<W>(i);
}

// out = y + h * sum_j C_j k_j over `count` doubles, W lanes. h holds the lanes' step
// sizes: one double if W = 1, else 8, repeated.
template <int W, typename C>
[[gnu::always_inline]] inline void Combine(int64_t count, const double* __restrict h,
                                           const double* __restrict y, const double* __restrict k,
                                           double* __restrict out) {
  ForBlocks<W>(count, [=]<int B>(int64_t i) __attribute__((always_inline)) {
    for (int l = 0; l < B; ++l) {
      out[i + l] = AddRow<C>(k + i + l, count, W == 1 ? h[0] : h[l], y[i + l]);
    }
  });
}

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_ROW_KERNELS_H_
