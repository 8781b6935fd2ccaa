// Noise models: what one measurement adds to the negative log likelihood, and the rows by which
// Fisher scoring sees it.
//
// With mu = m, or ln m for the log models (m is then the median), eta = y or ln y, and
// r = (mu - eta) / sigma:
//
//   Gaussian, log-normal   -log p = ln(sigma sqrt(2 pi)) + r^2 / 2   (+ ln y)
//   Laplace, log-Laplace   -log p = ln(2 sigma) + |r|                (+ ln y)
//
// A row (s, J) stands for s J in the gradient and J'J in the expected Hessian, so s = g / sqrt(I)
// and J = sqrt(I) d, where g is the derivative by a quantity, I the Fisher information of it and d
// its derivative by the free elements. Both families are symmetric in r, so location and scale have
// no information in common (Lehmann and Casella, "Theory of Point Estimation", 2.5):
//
//                 by mu: g             I              by sigma: g        I
//   Gaussian      r / sigma            1 / sigma^2    (1 - r^2) / sigma  2 / sigma^2
//   Laplace       sign(r) / sigma      1 / sigma^2    (1 - |r|) / sigma  1 / sigma^2
//
// Optimisers see Laplace noise through other rows (Reweigh): Fisher scoring takes the kink of |r|
// for a slope and ends near it. With r_k the residual of the row's point,
//   |r| <= r^2 / (2 |r_k|) + |r_k| / 2,
// with equality at r_k, so a step that lowers the right side lowers |r| too: iteratively reweighted
// least squares (Schlossmacher 1973; Hunter and Lange 2004, "A tutorial on MM algorithms").
#ifndef COSTATE_ENGINE_FIT_NOISE_H_
#define COSTATE_ENGINE_FIT_NOISE_H_

#include "engine/fit/problem.h"

namespace costate::fit {

bool IsLogNoise(Noise noise);

struct NoiseTerm {
  double value = 0;           // -log p; infinite where m has no logarithm
  double score = 0;           // s of the row by m
  double slope = 0;           // J of it per dm
  double residual = 0;        // -r: (eta - mu) / sigma
  double sigma_gradient = 0;  // d value / d ln sigma
};

// Of a measurement y, positive for log noise, about m.
NoiseTerm EvaluateNoise(Noise noise, double m, double y, double sigma);

// The row of a measurement for an optimiser: that of the quadratic above, with |r_k| at least 1e-6,
// below which the gradient is that of r^2 / 2e-6. Nothing changes for the other noise models.
void Reweigh(Noise noise, NoiseTerm* term);

// Fisher information about ln sigma of one measurement.
double SigmaInformation(Noise noise);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_NOISE_H_
