// The step size controller: from the scaled error of a step to the factor of the next.
#ifndef COSTATE_ENGINE_SOLVERS_STEP_CONTROLLER_H_
#define COSTATE_ENGINE_SOLVERS_STEP_CONTROLLER_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "engine/solvers/problem.h"

namespace costate {

// log2(x) for normal x > 0, to 1e-11 absolute: x = 2^e m, log2 m = 2/ln2 atanh((m-1)/(m+1)).
inline double FastLog2(double x) {
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  constexpr uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  const uint64_t shifted = bits - kSqrtHalf;  // m in [sqrt(1/2), sqrt(2))
  const int64_t exponent = static_cast<int64_t>(shifted) >> 52;
  const double m = std::bit_cast<double>(bits - (static_cast<uint64_t>(exponent) << 52));
  const double s = (m - 1) / (m + 1), q = s * s;
  constexpr double kScale = 2.8853900817779268147;  // 2 / ln 2
  // sum_i kScale / (2 i + 1) q^i, i <= 6, in pairs (Estrin) for a short chain.
  const double q2 = q * q;
  const double low = std::fma(kScale / 3, q, kScale), middle = std::fma(kScale / 7, q, kScale / 5);
  const double high = std::fma(kScale / 13, q2, std::fma(kScale / 11, q, kScale / 9));
  const double sum = std::fma(std::fma(high, q2, middle), q2, low);
  return std::fma(s, sum, static_cast<double>(exponent));
}

// 2^x for |x| <= 1000, to 1e-11 relative: Taylor series after rounding the exponent.
inline double FastExp2(double x) {
  constexpr double kRound = 0x1.8p52;
  const double shifted = x + kRound;
  const double whole = shifted - kRound;
  const double z = (x - whole) * 0.69314718055994530942;
  // sum_i z^i / i!, i <= 10, in pairs.
  const double z2 = z * z, z4 = z2 * z2;
  const double p01 = 1.0 + z, p23 = std::fma(z, 1.0 / 6, 1.0 / 2);
  const double p45 = std::fma(z, 1.0 / 120, 1.0 / 24), p67 = std::fma(z, 1.0 / 5040, 1.0 / 720);
  const double p89 = std::fma(z, 1.0 / 362880, 1.0 / 40320);
  const double low = std::fma(p23, z2, p01), middle = std::fma(p67, z2, p45);
  const double high = std::fma(z2, 1.0 / 3628800, p89);
  const double sum = std::fma(std::fma(high, z4, middle), z4, low);
  const uint64_t exponent = static_cast<uint64_t>(static_cast<int64_t>(whole)) << 52;
  return std::bit_cast<double>(std::bit_cast<uint64_t>(sum) + exponent);
}

// Exponents of the controller, resolved. With k = min(order, error_order) + 1:
//   I    1/k                       elementary control
//   PI   0.7/k, 0.4/k              Gustafsson 1991; Hairer, Wanner II, IV.2
//   PID  0.58/k, 0.21/k, 0.10/k    Kennedy, Carpenter 2003 (the defaults of ARKODE)
// A beta given in the options replaces its value here.
struct ControllerGains {
  double beta1 = 0, beta2 = 0, beta3 = 0;
  double rejected = 0;  // 1/k: exponent after a rejection
  double safety = 0.9, min_factor = 0.2, max_factor = 10;
};
ControllerGains ResolveGains(const StepControl& control, Method method);

// The memory of one trajectory's controller. The factor of the next step is
//   accepted: clamp(safety e_n^-b1 e_{n-1}^b2 e_{n-2}^-b3, min_factor, max_factor), at most 1 right
//             after a rejection;
//   rejected: clamp(safety e_n^(-1/k), min_factor, 1); min_factor for an error that is not finite.
// Errors of accepted steps are remembered as at least 1e-4 (Hairer, Norsett, Wanner I, DOPRI5), and
// those before the first step are 1. All errors come squared: e^-b = 2^(-b/2 log2 e^2).
class ControllerState {
 public:
  double Accepted(const ControllerGains& gains, double squared_error) {
    const double log_error = 0.5 * FastLog2(std::max(squared_error, kLeastSquare));
    const double factor = FastExp2(std::fma(-gains.beta1, log_error, history_));
    before_ = previous_;
    previous_ = std::max(log_error, kLeastLog);
    history_ = gains.beta2 * previous_ - gains.beta3 * before_;
    const double limit = after_rejection_ ? 1.0 : gains.max_factor;
    after_rejection_ = false;
    return Clamp(gains.safety * factor, gains.min_factor, limit);
  }
  double Rejected(const ControllerGains& gains, double squared_error) {
    after_rejection_ = true;
    if (!(squared_error < kGreatestSquare)) return gains.min_factor;
    const double factor = FastExp2(-gains.rejected * 0.5 * FastLog2(squared_error));
    return Clamp(gains.safety * factor, gains.min_factor, 1);
  }

 private:
  static constexpr double kLeastSquare = 1e-60, kGreatestSquare = 1e60;
  static constexpr double kLeastLog = -13.287712379549449;  // log2(1e-4)
  static double Clamp(double x, double low, double high) {
    return std::min(std::max(x, low), high);
  }

  double previous_ = 0, before_ = 0;  // log2 of the errors of accepted steps
  double history_ = 0;                // their part of the next exponent
  bool after_rejection_ = false;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_STEP_CONTROLLER_H_
