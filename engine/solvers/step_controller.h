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
  double sum = kScale / 13;
  sum = std::fma(sum, q, kScale / 11);
  sum = std::fma(sum, q, kScale / 9);
  sum = std::fma(sum, q, kScale / 7);
  sum = std::fma(sum, q, kScale / 5);
  sum = std::fma(sum, q, kScale / 3);
  sum = std::fma(sum, q, kScale);
  return std::fma(s, sum, static_cast<double>(exponent));
}

// 2^x for |x| <= 1000, to 1e-11 relative: Taylor series after rounding the exponent.
inline double FastExp2(double x) {
  constexpr double kRound = 0x1.8p52;
  const double shifted = x + kRound;
  const double whole = shifted - kRound;
  const double z = (x - whole) * 0.69314718055994530942;
  double sum = 1.0 / 3628800;
  sum = std::fma(sum, z, 1.0 / 362880);
  sum = std::fma(sum, z, 1.0 / 40320);
  sum = std::fma(sum, z, 1.0 / 5040);
  sum = std::fma(sum, z, 1.0 / 720);
  sum = std::fma(sum, z, 1.0 / 120);
  sum = std::fma(sum, z, 1.0 / 24);
  sum = std::fma(sum, z, 1.0 / 6);
  sum = std::fma(sum, z, 0.5);
  sum = std::fma(sum, z, 1.0);
  sum = std::fma(sum, z, 1.0);
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
//   rejected: clamp(safety e_n^(-1/k), min_factor, 1); min_factor for an infinite error.
// Errors of accepted steps are remembered as at least 1e-4 (Hairer, Norsett, Wanner I, DOPRI5), and
// those before the first step are 1.
class ControllerState {
 public:
  double Accepted(const ControllerGains& gains, double error) {
    const double log_error = FastLog2(std::max(error, kLeastError));
    const double power =
        -gains.beta1 * log_error + gains.beta2 * log_previous_ - gains.beta3 * log_before_;
    log_before_ = log_previous_;
    log_previous_ = std::max(log_error, kLeastLog);
    const double limit = after_rejection_ ? 1.0 : gains.max_factor;
    after_rejection_ = false;
    return Clamp(gains.safety * FastExp2(power), gains.min_factor, limit);
  }
  double Rejected(const ControllerGains& gains, double error) {
    after_rejection_ = true;
    if (!(error < kGreatestError)) return gains.min_factor;
    return Clamp(gains.safety * FastExp2(-gains.rejected * FastLog2(error)), gains.min_factor, 1);
  }

 private:
  static constexpr double kLeastError = 1e-30, kGreatestError = 1e30;
  static constexpr double kLeastLog = -13.287712379549449;  // log2(1e-4)
  static double Clamp(double x, double low, double high) {
    return std::min(std::max(x, low), high);
  }

  double log_previous_ = 0, log_before_ = 0;
  bool after_rejection_ = false;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_STEP_CONTROLLER_H_
