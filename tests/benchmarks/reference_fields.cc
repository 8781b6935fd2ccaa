#include "tests/benchmarks/reference_fields.h"

#include <cmath>

namespace costate {
namespace {

inline double Sigmoid(double v, double c, double s) { return 1 / (1 + std::exp((v + c) / s)); }
inline double Cube(double x) { return x * x * x; }
inline double Fourth(double x) { return (x * x) * (x * x); }

}  // namespace

void ReferenceLorenz(const void* /*context*/, const double* const* inputs, double* const* outputs,
                     double* /*scratch*/) {
  const double* __restrict__ y = inputs[1];
  const double* __restrict__ p = inputs[2];
  double* __restrict__ dy = outputs[0];
  const double sigma = p[0], rho = p[1], beta = p[2];
  const double x = y[0], v = y[1], z = y[2];
  dy[0] = sigma * (v - x);
  dy[1] = x * (rho - z) - v;
  dy[2] = x * v - beta * z;
}

void ReferenceSir(const void* /*context*/, const double* const* inputs, double* const* outputs,
                  double* /*scratch*/) {
  const double* __restrict__ y = inputs[1];
  const double* __restrict__ p = inputs[2];
  double* __restrict__ dy = outputs[0];
  const double b = p[0], k = p[1];
  const double s = y[0], i = y[1], r = y[2];
  const double n = s + i + r;
  dy[0] = -b * s * i / n;
  dy[1] = b * s * i / n - k * i;
  dy[2] = k * i;
}

void ReferenceNeuron(const void* /*context*/, const double* const* inputs, double* const* outputs,
                     double* /*scratch*/) {
  const double* __restrict__ y = inputs[1];
  const double* __restrict__ p = inputs[2];
  double* __restrict__ dy = outputs[0];
  const double eNa = p[0], eh = p[1], eK = p[2], eleak = p[3], tauCa = p[4], gNa = p[5],
               gCaS = p[6], gCaT = p[7], gKa = p[8], gKCa = p[9], gKdr = p[10], gh = p[11],
               gleak = p[12];
  const double V = y[0], Ca = y[1], mNa = y[2], hNa = y[3], mCaS = y[4], hCaS = y[5], mCaT = y[6],
               hCaT = y[7], mH = y[8], mKa = y[9], hKa = y[10], mKCa = y[11], mKdr = y[12];
  const double eCa = 500 * 8.6174e-5 * 283.15 * std::log(3000 / Ca);
  const double iCa = (gCaS * Cube(mCaS) * hCaS + gCaT * Cube(mCaT) * hCaT) * (eCa - V);
  dy[0] = gNa * Cube(mNa) * hNa * (eNa - V) + iCa + gh * mH * (eh - V) +
          (gKa * Cube(mKa) * hKa + gKCa * Fourth(mKCa) + gKdr * Fourth(mKdr)) * (eK - V) +
          gleak * (eleak - V);
  dy[1] = (0.05 + 0.94 * iCa - Ca) / tauCa;
  dy[2] = (Sigmoid(V, 25.5, -5.29) - mNa) / (1.32 - 1.26 * Sigmoid(V, 120, -25));
  dy[3] = (Sigmoid(V, 48.9, 5.18) - hNa) /
          (0.67 * Sigmoid(V, 62.9, -10) * (1.5 + Sigmoid(V, 34.9, 3.6)));
  dy[4] = (Sigmoid(V, 33, -8.1) - mCaS) /
          (1.4 + 7 / (std::exp((V + 27) / 10) + std::exp((V + 70) / -13)));
  dy[5] = (Sigmoid(V, 60, 6.2) - hCaS) /
          (60 + 150 / (std::exp((V + 55) / 9) + std::exp((V + 65) / -16)));
  dy[6] = (Sigmoid(V, 27.1, -7.2) - mCaT) / (21.7 - 21.3 * Sigmoid(V, 68.1, -20.5));
  dy[7] = (Sigmoid(V, 32.1, 5.5) - hCaT) / (105 - 89.8 * Sigmoid(V, 55, -16.9));
  dy[8] = (Sigmoid(V, 70, 6) - mH) / (272 + 1499 * Sigmoid(V, 42.2, -8.73));
  dy[9] = (Sigmoid(V, 27.2, -8.7) - mKa) / (11.6 - 10.4 * Sigmoid(V, 32.9, -15.2));
  dy[10] = (Sigmoid(V, 56.9, 4.9) - hKa) / (38.6 - 29.2 * Sigmoid(V, 38.9, -26.5));
  dy[11] = (Ca / (Ca + 3) * Sigmoid(V, 28.3, -12.6) - mKCa) / (90.3 - 75.1 * Sigmoid(V, 46, -22.7));
  dy[12] = (Sigmoid(V, 12.3, -11.8) - mKdr) / (7.2 - 6.4 * Sigmoid(V, 28.3, -19.2));
}

}  // namespace costate
