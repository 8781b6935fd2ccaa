// Scalar types for fields written as generic C++ functions: several lanes at once, and values
// with directional derivatives.
#ifndef COSTATE_TESTS_PROBLEMS_SCALARS_H_
#define COSTATE_TESTS_PROBLEMS_SCALARS_H_

#include <cmath>

namespace costate {

// W numbers side by side; each sees what a lone double would.
template <int W>
struct Lanes {
  double v[W];

  Lanes() = default;
  Lanes(double x) {  // NOLINT: constants in formulas
    for (double& e : v) e = x;
  }
};

#define COSTATE_LANES_BINARY(op)                                      \
  template <int W>                                                    \
  inline Lanes<W> operator op(const Lanes<W>& a, const Lanes<W>& b) { \
    Lanes<W> r;                                                       \
    for (int l = 0; l < W; ++l) r.v[l] = a.v[l] op b.v[l];            \
    return r;                                                         \
  }                                                                   \
  template <int W>                                                    \
  inline Lanes<W> operator op(const Lanes<W>& a, double b) {          \
    return a op Lanes<W>(b);                                          \
  }                                                                   \
  template <int W>                                                    \
  inline Lanes<W> operator op(double a, const Lanes<W>& b) {          \
    return Lanes<W>(a) op b;                                          \
  }
COSTATE_LANES_BINARY(+)
COSTATE_LANES_BINARY(-)
COSTATE_LANES_BINARY(*)
COSTATE_LANES_BINARY(/)
#undef COSTATE_LANES_BINARY

#define COSTATE_LANES_UNARY(name)                           \
  template <int W>                                          \
  inline Lanes<W> name(const Lanes<W>& a) {                 \
    Lanes<W> r;                                             \
    for (int l = 0; l < W; ++l) r.v[l] = std::name(a.v[l]); \
    return r;                                               \
  }
COSTATE_LANES_UNARY(sin)
COSTATE_LANES_UNARY(cos)
COSTATE_LANES_UNARY(exp)
COSTATE_LANES_UNARY(sqrt)
#undef COSTATE_LANES_UNARY

template <int W>
inline Lanes<W> operator-(const Lanes<W>& a) {
  Lanes<W> r;
  for (int l = 0; l < W; ++l) r.v[l] = -a.v[l];
  return r;
}

// A value and its derivatives in W directions.
template <int W>
struct Dual {
  double v = 0;
  double d[W] = {};

  Dual() = default;
  Dual(double x) : v(x) {}  // NOLINT: constants in formulas
};

// f(v) with derivative `slope`.
template <int W>
inline Dual<W> Chain(const Dual<W>& a, double value, double slope) {
  Dual<W> r(value);
  for (int l = 0; l < W; ++l) r.d[l] = slope * a.d[l];
  return r;
}

template <int W>
inline Dual<W> operator+(const Dual<W>& a, const Dual<W>& b) {
  Dual<W> r(a.v + b.v);
  for (int l = 0; l < W; ++l) r.d[l] = a.d[l] + b.d[l];
  return r;
}
template <int W>
inline Dual<W> operator-(const Dual<W>& a, const Dual<W>& b) {
  Dual<W> r(a.v - b.v);
  for (int l = 0; l < W; ++l) r.d[l] = a.d[l] - b.d[l];
  return r;
}
template <int W>
inline Dual<W> operator*(const Dual<W>& a, const Dual<W>& b) {
  Dual<W> r(a.v * b.v);
  for (int l = 0; l < W; ++l) r.d[l] = a.d[l] * b.v + a.v * b.d[l];
  return r;
}
template <int W>
inline Dual<W> operator/(const Dual<W>& a, const Dual<W>& b) {
  Dual<W> r(a.v / b.v);
  for (int l = 0; l < W; ++l) r.d[l] = (a.d[l] - r.v * b.d[l]) / b.v;
  return r;
}
template <int W>
inline Dual<W> operator-(const Dual<W>& a) {
  return Chain(a, -a.v, -1);
}
#define COSTATE_DUAL_MIXED(op)                             \
  template <int W>                                         \
  inline Dual<W> operator op(const Dual<W>& a, double b) { \
    return a op Dual<W>(b);                                \
  }                                                        \
  template <int W>                                         \
  inline Dual<W> operator op(double a, const Dual<W>& b) { \
    return Dual<W>(a) op b;                                \
  }
COSTATE_DUAL_MIXED(+)
COSTATE_DUAL_MIXED(-)
COSTATE_DUAL_MIXED(*)
COSTATE_DUAL_MIXED(/)
#undef COSTATE_DUAL_MIXED

template <int W>
inline Dual<W> sin(const Dual<W>& a) {
  return Chain(a, std::sin(a.v), std::cos(a.v));
}
template <int W>
inline Dual<W> cos(const Dual<W>& a) {
  return Chain(a, std::cos(a.v), -std::sin(a.v));
}
template <int W>
inline Dual<W> exp(const Dual<W>& a) {
  const double e = std::exp(a.v);
  return Chain(a, e, e);
}
template <int W>
inline Dual<W> sqrt(const Dual<W>& a) {
  const double root = std::sqrt(a.v);
  return Chain(a, root, 0.5 / root);
}

}  // namespace costate

#endif  // COSTATE_TESTS_PROBLEMS_SCALARS_H_
