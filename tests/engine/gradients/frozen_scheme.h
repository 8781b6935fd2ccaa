// Reversible schemes as they stand in the papers, on a frozen grid and in any arithmetic:
// independent of the solvers' stepping code but for the tables of coefficients.
#ifndef COSTATE_TESTS_ENGINE_GRADIENTS_FROZEN_SCHEME_H_
#define COSTATE_TESTS_ENGINE_GRADIENTS_FROZEN_SCHEME_H_

#include <vector>

#include "engine/solvers/problem.h"
#include "tests/engine/gradients/template_field.h"

namespace costate::testing {

template <typename F, typename S>
class FrozenScheme {
 public:
  using Vector = std::vector<S>;

  FrozenScheme(const Scheme& scheme, Vector p) : scheme_(scheme), p_(std::move(p)) {}

  // As FrozenSolver::Solve.
  FrozenSolution<S> Solve(const std::vector<double>& grid, S t0, S t1, Vector y,
                          const std::vector<double>& save_times) {
    Start(t0, std::move(y));
    const size_t steps = grid.size() - 1;
    const bool ascends = grid.back() >= grid.front();
    FrozenSolution<S> solution;
    size_t next = 0;
    for (size_t i = 0; i < steps; ++i) {
      const S t = i == 0 ? t0 : S(grid[i]);
      const S end = i + 1 == steps ? t1 : S(grid[i + 1]);
      const Vector before = y_, other = z_, slope = f_;
      Step(t, end);
      while (next < save_times.size() &&
             (ascends ? save_times[next] <= grid[i + 1] : save_times[next] >= grid[i + 1])) {
        const double ts = save_times[next++];
        const bool inner_end = ts == grid[i + 1] && i + 1 < steps;
        const S theta = (S(ts) - t) / (end - t);
        const Vector value = inner_end ? y_ : Inside(t, end, theta, before, other, slope);
        solution.saved.insert(solution.saved.end(), value.begin(), value.end());
      }
    }
    solution.terminal = y_;
    return solution;
  }

 private:
  static constexpr int n = F::kStates;

  Vector Eval(S t, const Vector& y) const {
    Vector dy(n);
    F::Eval(t, y.data(), p_.data(), dy.data());
    return dy;
  }
  static Vector Sum(const Vector& x, S a, const Vector& y) {
    Vector sum(x);
    for (int i = 0; i < n; ++i) sum[i] = x[i] + a * y[i];
    return sum;
  }

  void Start(S t0, Vector y) {
    y_ = std::move(y);
    f_ = Eval(t0, y_);
    z_ = scheme_.coupling || scheme_.method == Method::kReversibleHeun ? y_ : f_;
  }

  void Step(S t, S end) {
    const S h = end - t;
    if (scheme_.coupling) return Coupled(t, end, S(*scheme_.coupling));
    switch (scheme_.method) {
      case Method::kAlf: {  // z is v
        const Vector middle = Sum(y_, h / S(2.0), z_);
        const Vector u = Eval(t + h / S(2.0), middle);
        z_ = Sum(z_, S(2 * scheme_.eta), Sum(u, S(-1.0), z_));
        y_ = Sum(middle, h / S(2.0), z_);
        return;
      }
      case Method::kReversibleHeun: {
        z_ = Sum(Sum(Sum(y_, S(1.0), y_), S(-1.0), z_), h, f_);
        const Vector f = Eval(end, z_);
        y_ = Sum(Sum(y_, h / S(2.0), f_), h / S(2.0), f);
        f_ = f;
        return;
      }
      default: {  // leapfrog-midpoint, z is s
        const Vector u = Eval(t, y_);
        z_ = Sum(Sum(u, S(1.0), u), S(-1.0), z_);
        y_ = Sum(y_, h, z_);
        f_ = u;
      }
    }
  }

  void Coupled(S t, S end, S lambda) {
    const Vector forth = Increment(t, end, z_, S(1.0));
    y_ = Sum(Sum(z_, S(1.0), forth), lambda, Sum(y_, S(-1.0), z_));
    z_ = Sum(z_, S(-1.0), Increment(end, t, y_, S(1.0)));
  }

  // h sum_i B_i(theta) k_i
  Vector Increment(S t, S end, const Vector& y, S theta) const {
    const rk::TableauView table = rk::GetTableau(scheme_.method);
    const S h = end - t;
    std::vector<Vector> k;
    Vector sum(n);
    for (int i = 0; i < table.rows; ++i) {
      Vector stage = y;
      for (int j = 0; j < i; ++j) stage = Sum(stage, h * S(table.a[i * table.rows + j]), k[j]);
      k.push_back(Eval(t + S(table.c[i]) * h, stage));
      S weight = S(0.0), power = theta;
      for (int d = 0; d < table.dense_degree; ++d, power = power * theta) {
        weight = weight + S(table.dense[i * table.dense_degree + d]) * power;
      }
      sum = Sum(sum, h * weight, k[i]);
    }
    return sum;
  }

  // After the step from `before`.
  Vector Inside(S t, S end, S theta, const Vector& before, const Vector& other,
                const Vector& slope) const {
    const S h = end - t;
    if (scheme_.coupling) {
      const S weight = S(1.0) - theta + theta * S(*scheme_.coupling);
      return Sum(Sum(other, S(1.0), Increment(t, end, other, theta)), weight,
                 Sum(before, S(-1.0), other));
    }
    if (scheme_.method == Method::kLeapfrogMidpoint) {
      const Vector rest = Sum(Sum(y_, S(-1.0), before), -h, f_);
      return Sum(Sum(before, theta * h, f_), theta * theta, rest);
    }
    const bool alf = scheme_.method == Method::kAlf;
    return Hermite(theta, h, before, alf ? other : slope, y_, alf ? z_ : f_);
  }

  static Vector Hermite(S x, S h, const Vector& y0, const Vector& f0, const Vector& y1,
                        const Vector& f1) {
    const S one(1.0), two(2.0), three(3.0);
    const S end = x * x * (three - two * x);
    Vector sum = Sum(y0, end, Sum(y1, S(-1.0), y0));
    sum = Sum(sum, h * x * (one - x) * (one - x), f0);
    return Sum(sum, -(h * x * x * (one - x)), f1);
  }

  const Scheme scheme_;
  const Vector p_;
  Vector y_, z_, f_;
};

}  // namespace costate::testing

#endif  // COSTATE_TESTS_ENGINE_GRADIENTS_FROZEN_SCHEME_H_
