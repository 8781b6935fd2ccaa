#include "engine/solvers/reversible/one_evaluation.h"

namespace costate::reversible {
namespace {

constexpr MethodInfo kAlf = {
    .method = Method::kAlf,
    .name = "alf",
    .citation =
        "Mutze, An asynchronous leapfrog method II, arXiv 1311.6602 (2013); Zhuang et al., "
        "MALI, arXiv 2102.04668 (2021)",
    .order = 2,
    .error_order = 1,
    .dense_order = 2,
    .stages = 1,
    .extra_stages = 0,
    .fsal = false,
    .carried = 2,
    .reversal = Reversal::kExact,
    .evaluations = 1};
constexpr MethodInfo Damped(MethodInfo info) {
  info.order = info.dense_order = 1;
  return info;
}
constexpr MethodInfo kDampedAlf = Damped(kAlf);
constexpr MethodInfo kReversibleHeun = {
    .method = Method::kReversibleHeun,
    .name = "reversible_heun",
    .citation =
        "Kidger, Foster, Li and Lyons, Efficient and accurate gradients for neural SDEs, "
        "arXiv 2105.13493 (2021)",
    .order = 2,
    .error_order = 1,
    .dense_order = 2,
    .stages = 1,
    .extra_stages = 0,
    .fsal = false,
    .carried = 3,
    .reversal = Reversal::kExact,
    .evaluations = 1};
constexpr MethodInfo kLeapfrogMidpoint = {
    .method = Method::kLeapfrogMidpoint,
    .name = "leapfrog_midpoint",
    .citation =
        "Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, II.9 "
        "(explicit midpoint rule, Gragg 1965)",
    .order = 2,
    .error_order = 1,
    .dense_order = 2,
    .stages = 1,
    .extra_stages = 0,
    .fsal = false,
    .carried = 2,
    .reversal = Reversal::kExact,
    .evaluations = 1};

// The cubics of Hermite interpolation from theta^1 on: weights of the end value, of h times the
// slope at the start and of h times the slope at the end.
constexpr std::array<double, 3> kEnd = {0, 3, -2}, kSlope0 = {1, -2, 1}, kSlope1 = {0, -1, 1};

std::array<double, 3> Sum(double a, const std::array<double, 3>& x, double b,
                          const std::array<double, 3>& y, double c,
                          const std::array<double, 3>& z) {
  std::array<double, 3> sum;
  for (int d = 0; d < 3; ++d) sum[d] = a * x[d] + b * y[d] + c * z[d];
  return sum;
}

OneEvaluation Alf(double eta) {
  const double damped = 1 - 2 * eta;
  OneEvaluation table;
  table.carried = 2;
  table.start[1] = StartsAs::kDerivative;
  table.there.tau = 0.5;
  table.there.point = {{{1, 0}, {0, 0.5}}};
  table.there.keep[0] = {{{1, 0}, {0, 1 - eta}}};
  table.there.keep[1] = {{{0, 0}, {damped, 0}}};
  table.there.slope = {{{0, eta}, {2 * eta, 0}}};
  // v = (v' - 2 eta u) / (1 - 2 eta) and y = y' - (v + v') h/2; here with -h for h.
  table.back.tau = 0.5;
  table.back.point = {{{1, 0}, {0, 0.5}}};
  table.back.keep[0] = {{{1, 0}, {0, 0.5 + 0.5 / damped}}};
  table.back.keep[1] = {{{0, 0}, {1 / damped, 0}}};
  table.back.slope = {{{0, -eta / damped}, {-2 * eta / damped, 0}}};
  table.error = {0, -eta, 0};
  table.error_u = eta;
  table.dense[0] = Sum(eta, kEnd, 0, kSlope0, 2 * eta, kSlope1);
  table.dense[1] = Sum(1 - eta, kEnd, 1, kSlope0, damped, kSlope1);
  return table;
}

OneEvaluation ReversibleHeun() {
  OneEvaluation table;
  table.carried = 3;
  table.start[1] = StartsAs::kState;
  table.start[2] = StartsAs::kDerivative;
  table.there.tau = 1;
  table.there.point = {{{2, 0}, {-1, 0}, {0, 1}}};
  table.there.keep[0] = {{{1, 0}, {0, 0}, {0, 0.5}}};
  table.there.keep[1] = table.there.point;
  table.there.slope = {{{0, 0.5}, {0, 0}, {1, 0}}};
  table.back = table.there;
  table.error = {0, 0, -0.5};
  table.error_u = 0.5;
  table.dense[0] = Sum(0.5, kEnd, 0, kSlope0, 1, kSlope1);
  table.dense[2] = Sum(0.5, kEnd, 1, kSlope0, 0, kSlope1);
  return table;
}

OneEvaluation LeapfrogMidpoint() {
  OneEvaluation table;
  table.carried = 2;
  table.start[1] = StartsAs::kDerivative;
  table.there.tau = 0;
  table.there.point = {{{1, 0}, {0, 0}}};
  table.there.keep[0] = {{{1, 0}, {0, -1}}};
  table.there.keep[1] = {{{0, 0}, {-1, 0}}};
  table.there.slope = {{{0, 2}, {2, 0}}};
  table.back.tau = 1;
  table.back.point = {{{1, 0}, {0, 1}}};
  table.back.keep[0] = table.back.point;
  table.back.keep[1] = {{{0, 0}, {-1, 0}}};
  table.back.slope = {{{0, 0}, {2, 0}}};
  table.error = {0, -1, 0};
  table.error_u = 1;
  // The parabola through y with slope u, and y'.
  table.dense[0] = {1, 1, 0};
  table.dense[1] = {0, -1, 0};
  return table;
}

}  // namespace

const MethodInfo& InfoOf(const Scheme& scheme) {
  if (scheme.method == Method::kReversibleHeun) return kReversibleHeun;
  if (scheme.method == Method::kLeapfrogMidpoint) return kLeapfrogMidpoint;
  return scheme.eta == 1 ? kAlf : kDampedAlf;
}

OneEvaluation TableOf(const Scheme& scheme) {
  if (scheme.method == Method::kReversibleHeun) return ReversibleHeun();
  return scheme.method == Method::kLeapfrogMidpoint ? LeapfrogMidpoint() : Alf(scheme.eta);
}

}  // namespace costate::reversible
