// Test problems as generic C++ functions, with their solutions where these are known.
//
// Each is the F of a GenericMap. Solution(t, y0, p, y) is exact for t0 = 0.
#ifndef COSTATE_TESTS_PROBLEMS_PROBLEMS_H_
#define COSTATE_TESTS_PROBLEMS_PROBLEMS_H_

#include <cmath>
#include <cstdint>

#include "tests/problems/scalars.h"

namespace costate {

// y' = -k y.  p = (k)
struct Decay {
  static constexpr int64_t kStates = 1, kParams = 1, kValues = 1;
  template <typename S>
  void operator()(const S& /*t*/, const S* y, const S* p, S* f) const {
    f[0] = -p[0] * y[0];
  }
  static void Solution(double t, const double* y0, const double* p, double* y) {
    y[0] = y0[0] * std::exp(-p[0] * t);
  }
};

// x'' = -w^2 x.  p = (w)
struct Oscillator {
  static constexpr int64_t kStates = 2, kParams = 1, kValues = 2;
  template <typename S>
  void operator()(const S& /*t*/, const S* y, const S* p, S* f) const {
    f[0] = y[1];
    f[1] = -(p[0] * p[0]) * y[0];
  }
  static void Solution(double t, const double* y0, const double* p, double* y) {
    const double c = std::cos(p[0] * t), s = std::sin(p[0] * t);
    y[0] = y0[0] * c + y0[1] / p[0] * s;
    y[1] = y0[1] * c - y0[0] * p[0] * s;
  }
};

// y' = r y (1 - y/K).  p = (r, K)
struct Logistic {
  static constexpr int64_t kStates = 1, kParams = 2, kValues = 1;
  template <typename S>
  void operator()(const S& /*t*/, const S* y, const S* p, S* f) const {
    f[0] = p[0] * y[0] * (1.0 - y[0] / p[1]);
  }
  static void Solution(double t, const double* y0, const double* p, double* y) {
    const double e = std::exp(p[0] * t);
    y[0] = p[1] * y0[0] * e / (p[1] + y0[0] * (e - 1));
  }
};

// u' = a cos(t) u, v' = -v^2: u = y0 exp(a sin t), v = y1 / (1 + y1 t).  p = (a)
struct Driven {
  static constexpr int64_t kStates = 2, kParams = 1, kValues = 2;
  template <typename S>
  void operator()(const S& t, const S* y, const S* p, S* f) const {
    using std::cos;
    f[0] = p[0] * cos(t) * y[0];
    f[1] = -(y[1] * y[1]);
  }
  static void Solution(double t, const double* y0, const double* p, double* y) {
    y[0] = y0[0] * std::exp(p[0] * std::sin(t));
    y[1] = y0[1] / (1 + y0[1] * t);
  }
};

// Kepler's problem with attraction p[0]: positions (y0, y1), velocities (y2, y3).
struct Kepler {
  static constexpr int64_t kStates = 4, kParams = 1, kValues = 4;
  template <typename S>
  void operator()(const S& /*t*/, const S* y, const S* p, S* f) const {
    using std::sqrt;
    const S square = y[0] * y[0] + y[1] * y[1];
    const S pull = p[0] / (square * sqrt(square));
    f[0] = y[2];
    f[1] = y[3];
    f[2] = -(pull * y[0]);
    f[3] = -(pull * y[1]);
  }
  // The orbit of semi-major axis 1 and eccentricity e through its pericentre at t = 0, for p[0]
  // = 1.
  static void Orbit(double t, double e, double* y) {
    double anomaly = t + e * std::sin(t);  // E - e sin E = t
    for (int i = 0; i < 50; ++i) {
      anomaly -= (anomaly - e * std::sin(anomaly) - t) / (1 - e * std::cos(anomaly));
    }
    const double c = std::cos(anomaly), s = std::sin(anomaly), b = std::sqrt(1 - e * e);
    const double rate = 1 / (1 - e * c);
    y[0] = c - e;
    y[1] = b * s;
    y[2] = -s * rate;
    y[3] = b * c * rate;
  }
};

// y_i' = (i + 1) t^i p_i: y_i = y0_i + p_i t^(i+1), for i < 9.
struct Monomials {
  static constexpr int64_t kStates = 9, kParams = 9, kValues = 9;
  template <typename S>
  void operator()(const S& t, const S* /*y*/, const S* p, S* f) const {
    S power(1.0);
    for (int i = 0; i < 9; ++i) {
      f[i] = (i + 1.0) * p[i] * power;
      power = power * t;
    }
  }
  static void Solution(double t, const double* y0, const double* p, double* y) {
    for (int i = 0; i < 9; ++i) y[i] = y0[i] + p[i] * std::pow(t, i + 1);
  }
};

// Every kind of dependence at once, for derivatives: nonlinear in t, y and p, full Jacobian.
struct Tangle {
  static constexpr int64_t kStates = 3, kParams = 4, kValues = 3;
  template <typename S>
  void operator()(const S& t, const S* y, const S* p, S* f) const {
    using std::cos;
    using std::exp;
    using std::sin;
    f[0] = p[0] * sin(y[1] * t) + y[2] * y[0] / (1.0 + p[1] * p[1]);
    f[1] = cos(p[2] * t) - p[1] * y[0] * y[1] + exp(-p[3] * y[2]);
    f[2] = p[3] * t * y[1] - sin(y[2]) * y[0];
  }
};

// Lorenz 1963.  p = (sigma, rho, beta)
struct Lorenz {
  static constexpr int64_t kStates = 3, kParams = 3, kValues = 3;
  template <typename S>
  void operator()(const S& /*t*/, const S* y, const S* p, S* f) const {
    f[0] = p[0] * (y[1] - y[0]);
    f[1] = y[0] * (p[1] - y[2]) - y[1];
    f[2] = y[0] * y[1] - p[2] * y[2];
  }
};

// Lotka-Volterra.  p = (a, b, c)
struct LotkaVolterra {
  static constexpr int64_t kStates = 2, kParams = 3, kValues = 2;
  template <typename S>
  void operator()(const S& /*t*/, const S* y, const S* p, S* f) const {
    f[0] = p[0] * y[0] - p[1] * y[0] * y[1];
    f[1] = -p[2] * y[1] + y[0] * y[1];
  }
};

// y' = y^2: y = y0 / (1 - y0 t), infinite at t = 1 / y0.
struct BlowUp {
  static constexpr int64_t kStates = 1, kParams = 0, kValues = 1;
  template <typename S>
  void operator()(const S& /*t*/, const S* y, const S* /*p*/, S* f) const {
    f[0] = y[0] * y[0];
  }
};

// y' = -sqrt(y), with a second state at rest: y = (sqrt(y0) - t/2)^2 until it is 0, and NaN once
// rounding carries it below.
struct Torricelli {
  static constexpr int64_t kStates = 2, kParams = 0, kValues = 2;
  template <typename S>
  void operator()(const S& /*t*/, const S* y, const S* /*p*/, S* f) const {
    using std::sqrt;
    f[0] = 0.0 * y[1];
    f[1] = -sqrt(y[1]);
  }
};

}  // namespace costate

#endif  // COSTATE_TESTS_PROBLEMS_PROBLEMS_H_
