// The step size controller: from the scaled error of a step to the factor of the next.
#ifndef COSTATE_ENGINE_SOLVERS_STEP_CONTROLLER_H_
#define COSTATE_ENGINE_SOLVERS_STEP_CONTROLLER_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "engine/solvers/problem.h"

namespace costate {

// log2(x) for normal x > 0, to 2e-10 absolute and exact at powers of two: x = 2^e (1 + z) with
// 1 + z in [sqrt(1/2), sqrt(2)), log2(1 + z) = z P(z). P is the Chebyshev interpolant of degree 11
// there, summed in pairs (Estrin) for a short chain of operations: every step waits for it.
inline double FastLog2(double x) {
  const uint64_t bits = std::bit_cast<uint64_t>(x);
  constexpr uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd;
  const int64_t exponent = static_cast<int64_t>(bits - kSqrtHalf) >> 52;
  const double z = std::bit_cast<double>(bits - (static_cast<uint64_t>(exponent) << 52)) - 1;
  const double z2 = z * z, z4 = z2 * z2, z5 = z4 * z;
  const double p01 = std::fma(-0.72134752489455221094, z, 1.4426950409582301857);
  const double p23 = std::fma(-0.36067284534893600705, z, 0.48089831108240019276);
  const double p45 = std::fma(-0.24050279825001172021, z, 0.28854145553597716079);
  const double p67 = std::fma(-0.17905123203322463497, z, 0.20607165109914128661);
  const double p89 = std::fma(-0.15722652971153047876, z, 0.15931300522348445192);
  const double pab = std::fma(-0.084335210458005853782, z, 0.15345286937454512166);
  const double low = std::fma(p23, z2, p01), middle = std::fma(p67, z2, p45);
  const double high = std::fma(pab, z2, p89);
  const double start = std::fma(z, low, static_cast<double>(exponent));
  return std::fma(z5, std::fma(high, z4, middle), start);
}

// 2^x for |x| <= 1000, to 2e-10 relative and exact at integers: 2^round(x) (1 + r Q(r)), |r| <=
// 1/2. Q is the Chebyshev interpolant of degree 6, summed in pairs.
inline double FastExp2(double x) {
  constexpr double kRound = 0x1.8p52;  // its sum with x holds round(x) in the low bits
  const double shifted = x + kRound;
  const double r = x - (shifted - kRound);
  const double r2 = r * r, r4 = r2 * r2;
  const double q01 = std::fma(0.24022650922288758071, r, 0.69314718055994530942);
  const double q23 = std::fma(0.0096180566785246380754, r, 0.055504108839096183929);
  const double q45 = std::fma(0.00015461444698569129083, r, 0.0013333502386162770741);
  const double high = std::fma(0.000015297323760701074108, r2, q45);
  constexpr uint64_t kOne = 0x3ff0000000000000;
  const double power = std::bit_cast<double>((std::bit_cast<uint64_t>(shifted) << 52) + kOne);
  const double scaled = r * power;
  const double start = std::fma(scaled, std::fma(q23, r2, q01), power);
  return std::fma(scaled * r4, high, start);
}

// Exponents of the controller, resolved. With k = min(order, error_order) + 1:
//   I    1/k                       elementary control
//   PI   0.7/k, 0.4/k              Gustafsson 1991; Hairer, Wanner II, IV.2
//   PID  0.58/k, 0.21/k, 0.10/k    Kennedy, Carpenter 2003 (the defaults of ARKODE)
// A beta given in the options replaces its value here.
struct ControllerGains {
  double beta1 = 0, beta2 = 0, beta3 = 0;
  double rejected = 0;                       // 1/k: exponent after a rejection
  double log_safety = -0.15200309344504997;  // log2(0.9)
  double min_factor = 0.2, max_factor = 10;
};
ControllerGains ResolveGains(const StepControl& control, const Scheme& scheme);

// The memory of one trajectory's controller. The factor of the next step is
//   accepted: clamp(safety e_n^-b1 e_{n-1}^b2 e_{n-2}^-b3, min_factor, max_factor), at most 1 right
//             after a rejection;
//   rejected: clamp(safety e_n^(-1/k), min_factor, 1); min_factor for an error that is not finite.
// Errors of accepted steps are remembered as at least 1e-4 (Hairer, Norsett, Wanner I, DOPRI5), and
// those before the first step are 1. All errors come squared: e^-b = 2^(-b/2 log2 e^2).
class ControllerState {
 public:
  double Accepted(const ControllerGains& gains, double squared_error) {
    const double log_square = FastLog2(std::max(squared_error, kLeastSquare));
    const double history = gains.log_safety + (gains.beta2 * previous_ - gains.beta3 * before_);
    const double factor = FastExp2(std::fma(-0.5 * gains.beta1, log_square, history));
    before_ = previous_;
    previous_ = std::max(0.5 * log_square, kLeastLog);
    const double limit = after_rejection_ ? 1.0 : gains.max_factor;
    after_rejection_ = false;
    // A branch, not a minimum: nearly always foreseen, it costs the next step no time.
    if (factor < gains.min_factor || factor > limit) [[unlikely]]
      return Clamp(gains, factor, limit);
    return factor;
  }
  double Rejected(const ControllerGains& gains, double squared_error) {
    after_rejection_ = true;
    if (!(squared_error < kGreatestSquare)) return gains.min_factor;
    const double power = -0.5 * gains.rejected * FastLog2(squared_error);
    return Clamp(gains, FastExp2(gains.log_safety + power), 1);
  }

 private:
  static constexpr double kLeastSquare = 1e-60, kGreatestSquare = 1e60;
  static constexpr double kLeastLog = -13.287712379549449;  // log2(1e-4)
  [[gnu::noinline, gnu::cold]] static double Clamp(const ControllerGains& gains, double factor,
                                                   double limit) {
    return std::min(std::max(factor, gains.min_factor), limit);
  }

  double previous_ = 0, before_ = 0;  // log2 of the errors of accepted steps
  bool after_rejection_ = false;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_STEP_CONTROLLER_H_
