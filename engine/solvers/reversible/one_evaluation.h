// Reversible methods of one evaluation a step that carry vectors beside y.
//
//   u    = f(t + tau h, sum_j P_j c_j, p)                 c = (y, ...) as carried
//   c_b' = sum_j M_bj c_j + N_b u
//   err  = h (sum_j>0 e_j c_j + e_u u)
//   y(t + theta h) = y + h (sum_j>0 D_j(theta) c_j + D_u(theta) u)
//
// with P, M and N linear in h. The way back has the same form from the end of the step.
//
//   ALF, c = (y, v), v(t0) = f: asynchronous leapfrog with damping eta (Mutze 2013; Zhuang et al.
//     2021, arXiv 2102.04668): u at t + h/2, y + v h/2;  v' = v + 2 eta (u - v),
//     y' = y + (v + v') h/2. Of order 2 for eta = 1, else 1: v then lags behind f.
//   Reversible Heun, c = (y, z, f), z(t0) = y (Kidger, Foster, Li and Lyons 2021, arXiv
//     2105.13493): z' = 2 y - z + h f, u = f(t', z'), y' = y + (f + u) h/2.
//   Leapfrog-midpoint, c = (y, s), s(t0) = f, the first step is Euler's: u = f(t, y),
//     s' = 2 u - s, y' = y + h s'. On equal steps y_{n+1} = y_{n-1} + 2 h f(y_n).
#ifndef COSTATE_ENGINE_SOLVERS_REVERSIBLE_ONE_EVALUATION_H_
#define COSTATE_ENGINE_SOLVERS_REVERSIBLE_ONE_EVALUATION_H_

#include <array>
#include <memory>

#include "absl/status/statusor.h"
#include "engine/solvers/stepper.h"

namespace costate::reversible {

inline constexpr int kMaxCarried = 3;

// a + b h
struct Affine {
  double a = 0, b = 0;
  double at(double h) const { return b == 0 ? a : a + b * h; }
  bool zero() const { return a == 0 && b == 0; }
};

// One way of a step, there or back.
struct Pass {
  double tau = 0;  // on the way back counted from t_next, along -h
  std::array<Affine, kMaxCarried> point = {};
  std::array<std::array<Affine, kMaxCarried>, kMaxCarried> keep = {};  // M[b][j]
  std::array<Affine, kMaxCarried> slope = {};                          // N[b]
};

enum class StartsAs { kState, kDerivative };

struct OneEvaluation {
  int carried = 2;
  std::array<StartsAs, kMaxCarried> start = {};  // of block b > 0
  Pass there;
  Pass back;  // at step size -h
  std::array<double, kMaxCarried> error = {};
  double error_u = 0;
  // D_j(theta) = sum_d dense[j][d] theta^(d+1); row 0 is that of u.
  std::array<std::array<double, 3>, kMaxCarried> dense = {};
};

const MethodInfo& InfoOf(const Scheme& scheme);  // kAlf, kReversibleHeun, kLeapfrogMidpoint
OneEvaluation TableOf(const Scheme& scheme);

absl::StatusOr<std::unique_ptr<Stepper>> MakeOneEvaluationStepper(const Scheme& scheme,
                                                                  const VectorField& field,
                                                                  int lanes);
absl::StatusOr<std::unique_ptr<StepReplay>> MakeOneEvaluationReplay(const Scheme& scheme,
                                                                    const VectorField& field,
                                                                    const ReplayUse& use);
absl::StatusOr<std::unique_ptr<StepInverse>> MakeOneEvaluationInverse(const Scheme& scheme,
                                                                      const VectorField& field,
                                                                      int lanes);
absl::StatusOr<std::unique_ptr<LaneReplay>> MakeOneEvaluationLaneReplay(const Scheme& scheme,
                                                                        const VectorField& field);

}  // namespace costate::reversible

#endif  // COSTATE_ENGINE_SOLVERS_REVERSIBLE_ONE_EVALUATION_H_
