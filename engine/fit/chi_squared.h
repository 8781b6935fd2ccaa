// Quantiles of the chi-squared distribution with one degree of freedom.
#ifndef COSTATE_ENGINE_FIT_CHI_SQUARED_H_
#define COSTATE_ENGINE_FIT_CHI_SQUARED_H_

namespace costate::fit {

// q with P(X <= q) = p for the square X of a standard normal variable; p in (0, 1). To about 1e-14
// of itself: Newton on ln erfc(z / sqrt 2) = ln(1 - p) for z = sqrt q. That function is concave
// and falls, so that the iterates come down to the root from any point beyond it, such as
// sqrt(-2 ln(1 - p)), since erfc(z / sqrt 2) <= exp(-z^2 / 2).
double ChiSquaredQuantile(double p);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_CHI_SQUARED_H_
