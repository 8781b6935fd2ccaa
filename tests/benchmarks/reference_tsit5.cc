#include "tests/benchmarks/reference_tsit5.h"

#include <algorithm>
#include <cmath>

namespace costate {
namespace {

// Tsitouras 2011.
constexpr double a21 = 0.161;
constexpr double a31 = -0.0084806554923569885443, a32 = 0.33548065549235698854;
constexpr double a41 = 2.8971530571054934321, a42 = -6.3594484899750748431,
                 a43 = 4.362295432869581411;
constexpr double a51 = 5.3258648284392566044, a52 = -11.748883564062827877,
                 a53 = 7.4955393428898362083, a54 = -0.092495066361755249257;
constexpr double a61 = 5.8614554429464200287, a62 = -12.920969317847109292,
                 a63 = 8.1593678985761586432, a64 = -0.071584973281400997222,
                 a65 = -0.028269050394068382909;
constexpr double b1 = 0.09646076681806522952, b2 = 0.01, b3 = 0.47988965041449957477,
                 b4 = 1.3790085741037418932, b5 = -3.29006951543608067990,
                 b6 = 2.3247105240997739824;
constexpr double e1 = 0.0017800110522257714434, e2 = 0.00081643445965674690322,
                 e3 = -0.0078808780102619960103, e4 = 0.14471100717326290754,
                 e5 = -0.58235716545255522502, e6 = 0.45808210592918694666, e7 = -1.0 / 66;

inline void Lorenz(const double* p, const double* y, double* f) {
  f[0] = p[0] * (y[1] - y[0]);
  f[1] = y[0] * (p[1] - y[2]) - y[1];
  f[2] = y[0] * y[1] - p[2] * y[2];
}

double WeightedNorm(const double* x, const double* y, double rtol, double atol) {
  double sum = 0;
  for (int i = 0; i < 3; ++i) {
    const double ratio = x[i] / (atol + rtol * std::abs(y[i]));
    sum += ratio * ratio;
  }
  return std::sqrt(sum / 3);
}

// Hairer, Norsett, Wanner I, II.4.
double InitialStepSize(const double* p, const double* y, const double* f, double t1, double rtol,
                       double atol) {
  const double d0 = WeightedNorm(y, y, rtol, atol), d1 = WeightedNorm(f, y, rtol, atol);
  const double h0 = std::min(d0 < 1e-5 || d1 < 1e-5 ? 1e-6 : 0.01 * (d0 / d1), t1);
  double trial[3], g[3];
  for (int i = 0; i < 3; ++i) trial[i] = y[i] + h0 * f[i];
  Lorenz(p, trial, g);
  for (int i = 0; i < 3; ++i) g[i] -= f[i];
  const double largest = std::max(d1, WeightedNorm(g, y, rtol, atol) / h0);
  return std::min({100 * h0, std::pow(0.01 / largest, 0.2), t1});
}

}  // namespace

ReferenceResult ReferenceTsit5Lorenz(const double* p, const double* y0, double t1, double rtol,
                                     double atol) {
  ReferenceResult result;
  double y[3] = {y0[0], y0[1], y0[2]};
  double k1[3], k2[3], k3[3], k4[3], k5[3], k6[3], k7[3], s[3], y1[3];
  Lorenz(p, y, k1);
  double t = 0, asked = InitialStepSize(p, y, k1, t1, rtol, atol);
  double previous = 1;
  bool after_rejection = false;
  while (t < t1) {
    const double rest = t1 - t;
    const double t_next = rest <= 1.01 * asked ? t1 : t + (rest < 2 * asked ? 0.5 * rest : asked);
    const double h = t_next - t;
    for (int i = 0; i < 3; ++i) s[i] = y[i] + h * (a21 * k1[i]);
    Lorenz(p, s, k2);
    for (int i = 0; i < 3; ++i) s[i] = y[i] + h * (a31 * k1[i] + a32 * k2[i]);
    Lorenz(p, s, k3);
    for (int i = 0; i < 3; ++i) s[i] = y[i] + h * (a41 * k1[i] + a42 * k2[i] + a43 * k3[i]);
    Lorenz(p, s, k4);
    for (int i = 0; i < 3; ++i) {
      s[i] = y[i] + h * (a51 * k1[i] + a52 * k2[i] + a53 * k3[i] + a54 * k4[i]);
    }
    Lorenz(p, s, k5);
    for (int i = 0; i < 3; ++i) {
      s[i] = y[i] + h * (a61 * k1[i] + a62 * k2[i] + a63 * k3[i] + a64 * k4[i] + a65 * k5[i]);
    }
    Lorenz(p, s, k6);
    for (int i = 0; i < 3; ++i) {
      y1[i] =
          y[i] + h * (b1 * k1[i] + b2 * k2[i] + b3 * k3[i] + b4 * k4[i] + b5 * k5[i] + b6 * k6[i]);
    }
    Lorenz(p, y1, k7);
    double sum = 0;
    for (int i = 0; i < 3; ++i) {
      const double error = h * (e1 * k1[i] + e2 * k2[i] + e3 * k3[i] + e4 * k4[i] + e5 * k5[i] +
                                e6 * k6[i] + e7 * k7[i]);
      const double ratio = error / (atol + rtol * std::max(std::abs(y[i]), std::abs(y1[i])));
      sum += ratio * ratio;
    }
    const double error = std::sqrt(sum / 3);
    if (error <= 1) {
      const double factor =
          0.9 * std::pow(std::max(error, 1e-30), -0.7 / 5) * std::pow(previous, 0.4 / 5);
      previous = std::max(error, 1e-4);
      asked = h * std::min(std::max(factor, 0.2), after_rejection ? 1.0 : 10.0);
      after_rejection = false;
      t = t_next;
      for (int i = 0; i < 3; ++i) {
        y[i] = y1[i];
        k1[i] = k7[i];
      }
      ++result.accepted;
    } else {
      asked = h * std::min(std::max(0.9 * std::pow(error, -0.2), 0.2), 1.0);
      after_rejection = true;
      ++result.rejected;
    }
  }
  std::copy_n(y, 3, result.y);
  return result;
}

}  // namespace costate
