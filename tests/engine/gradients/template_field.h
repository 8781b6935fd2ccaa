// A right-hand side written once as a C++ template: a VectorField whose derivatives come from dual
// numbers, and a solve on a frozen grid in any arithmetic. Independent of the model language, of
// autodiff and of the solvers' stepping code; only the tables of coefficients are shared.
#ifndef COSTATE_TESTS_ENGINE_GRADIENTS_TEMPLATE_FIELD_H_
#define COSTATE_TESTS_ENGINE_GRADIENTS_TEMPLATE_FIELD_H_

#include <cmath>
#include <complex>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/kernel.h"
#include "engine/solvers/rk/erk.h"
#include "engine/solvers/vector_field.h"

namespace costate::testing {

// v + d * epsilon, epsilon^2 = 0.
struct Dual {
  double v = 0, d = 0;
  Dual() = default;
  Dual(double value) : v(value) {}  // NOLINT: constants mix freely
  Dual(double value, double derivative) : v(value), d(derivative) {}
};
inline Dual operator+(Dual a, Dual b) { return {a.v + b.v, a.d + b.d}; }
inline Dual operator-(Dual a, Dual b) { return {a.v - b.v, a.d - b.d}; }
inline Dual operator-(Dual a) { return {-a.v, -a.d}; }
inline Dual operator*(Dual a, Dual b) { return {a.v * b.v, a.d * b.v + a.v * b.d}; }
inline Dual operator/(Dual a, Dual b) { return {a.v / b.v, (a.d - a.v / b.v * b.d) / b.v}; }
inline Dual sin(Dual a) { return {std::sin(a.v), std::cos(a.v) * a.d}; }
inline Dual exp(Dual a) { return {std::exp(a.v), std::exp(a.v) * a.d}; }

// F has kStates, kParams and template <class S> static void Eval(S t, const S* y, const S* p, S*
// dy). Lane count 4, so that blocks and their remainders are exercised.
template <typename F>
class TemplateField : public DifferentiableMap {
 public:
  static constexpr int kLanes = 4;
  static constexpr int n = F::kStates, m = F::kParams;

  int64_t num_states() const override { return n; }
  int64_t num_params() const override { return m; }
  int64_t num_values() const override { return n; }
  int simd_lanes() const override { return kLanes; }
  absl::StatusOr<Kernel> Get(MapKernel kind, int lanes) const override {
    return lanes == 1 ? Make<1>(kind) : Make<kLanes>(kind);
  }

 private:
  template <int W>
  static Kernel Make(MapKernel kind) {
    switch (kind) {
      case MapKernel::kValue:
        return Kernel(&Value<W>, nullptr, nullptr, W, 0);
      case MapKernel::kJvp:
        return Kernel(&Tangent<W, false>, nullptr, nullptr, W, 0);
      case MapKernel::kTangentBlock:
        return Kernel(&Tangent<W, true>, nullptr, nullptr, W, 0);
      case MapKernel::kVjp:
        return Kernel(&Cotangent<W, false>, nullptr, nullptr, W, 0);
      case MapKernel::kCotangentBlock:
        break;
    }
    return Kernel(&Cotangent<W, true>, nullptr, nullptr, W, 0);
  }

  // The point in lane l as x = (t, y, p).
  template <int W, bool uniform>
  static std::vector<Dual> Point(const double* const* in, int l) {
    std::vector<Dual> x(1 + n + m);
    const auto at = [&](int buffer, int i) { return in[buffer][uniform ? i : i * W + l]; };
    x[0] = at(0, 0);
    for (int i = 0; i < n; ++i) x[1 + i] = at(1, i);
    for (int i = 0; i < m; ++i) x[1 + n + i] = at(2, i);
    return x;
  }
  static void Eval(const std::vector<Dual>& x, Dual* dy) {
    F::Eval(x[0], x.data() + 1, x.data() + 1 + n, dy);
  }

  template <int W>
  static void Value(const void*, const double* const* in, double* const* out, double*) {
    for (int l = 0; l < W; ++l) {
      double y[n], p[m + 1], dy[n];
      for (int i = 0; i < n; ++i) y[i] = in[1][i * W + l];
      for (int i = 0; i < m; ++i) p[i] = in[2][i * W + l];
      F::Eval(in[0][l], y, p, dy);
      for (int i = 0; i < n; ++i) out[0][i * W + l] = dy[i];
    }
  }

  template <int W, bool uniform>
  static void Tangent(const void*, const double* const* in, double* const* out, double*) {
    for (int l = 0; l < W; ++l) {
      std::vector<Dual> x = Point<W, uniform>(in, l);
      x[0].d = in[3][l];
      for (int i = 0; i < n; ++i) x[1 + i].d = in[4][i * W + l];
      for (int i = 0; i < m; ++i) x[1 + n + i].d = in[5][i * W + l];
      Dual dy[n];
      Eval(x, dy);
      for (int i = 0; i < n; ++i) out[0][i * W + l] = dy[i].d;
    }
  }

  template <int W, bool uniform>
  static void Cotangent(const void*, const double* const* in, double* const* out, double*) {
    for (int l = 0; l < W; ++l) {
      std::vector<Dual> x = Point<W, uniform>(in, l);
      for (int j = 0; j < 1 + n + m; ++j) {
        x[j].d = 1;
        Dual dy[n];
        Eval(x, dy);
        x[j].d = 0;
        double sum = 0;
        for (int i = 0; i < n; ++i) sum += in[3][i * W + l] * dy[i].d;
        if (j == 0) out[0][l] = sum;
        if (j > 0 && j <= n) out[1][(j - 1) * W + l] = sum;
        if (j > n) out[2][(j - 1 - n) * W + l] = sum;
      }
    }
  }
};

// Values saved on a frozen grid; the first and the last grid point are numbers of type S, so they
// can be differentiated.
template <typename S>
struct FrozenSolution {
  std::vector<S> saved;     // [K, n]
  std::vector<S> terminal;  // [n]
};

template <typename F, typename S>
class FrozenSolver {
 public:
  static constexpr int n = F::kStates;

  // grid: real step times. t0, t1 replace its ends.
  static FrozenSolution<S> Solve(Method method, const std::vector<double>& grid, S t0, S t1,
                                 std::vector<S> y, const std::vector<S>& p,
                                 const std::vector<double>& save_times) {
    const rk::TableauView table = rk::GetTableau(method);
    const size_t steps = grid.size() - 1;
    FrozenSolution<S> solution;
    size_t next = 0;
    for (size_t i = 0; i < steps; ++i) {
      const S t = i == 0 ? t0 : S(grid[i]);
      const S end = i + 1 == steps ? t1 : S(grid[i + 1]);
      const std::vector<std::vector<S>> k = Stages(table, t, end, y, p);
      const std::vector<S> y1 = Combine(y, k, end - t, Weights(table));
      const bool forward = grid.back() >= grid.front();
      while (next < save_times.size() &&
             (forward ? save_times[next] <= grid[i + 1] : save_times[next] >= grid[i + 1])) {
        const double ts = save_times[next++];
        const bool inner_end = ts == grid[i + 1] && i + 1 < steps;
        const std::vector<S> value =
            inner_end ? y1 : Combine(y, k, end - t, Dense(table, (S(ts) - t) / (end - t)));
        solution.saved.insert(solution.saved.end(), value.begin(), value.end());
      }
      y = y1;
    }
    solution.terminal = y;
    return solution;
  }

 private:
  static std::vector<std::vector<S>> Stages(const rk::TableauView& table, S t, S end,
                                            const std::vector<S>& y, const std::vector<S>& p) {
    std::vector<std::vector<S>> k;
    for (int i = 0; i < table.rows; ++i) {
      std::vector<S> a(i);
      for (int j = 0; j < i; ++j) a[j] = S(table.a[i * table.rows + j]);
      const std::vector<S> stage = Combine(y, k, end - t, a);
      k.emplace_back(n);
      F::Eval(t + S(table.c[i]) * (end - t), stage.data(), p.data(), k.back().data());
    }
    return k;
  }

  static std::vector<S> Weights(const rk::TableauView& table) {
    std::vector<S> b;
    for (const double weight : table.b) b.push_back(S(weight));
    return b;
  }

  static std::vector<S> Dense(const rk::TableauView& table, S theta) {
    std::vector<S> b(table.rows);
    for (int i = 0; i < table.rows; ++i) {
      S power = theta;
      for (int d = 0; d < table.dense_degree; ++d, power = power * theta) {
        b[i] = b[i] + S(table.dense[i * table.dense_degree + d]) * power;
      }
    }
    return b;
  }

  static std::vector<S> Combine(const std::vector<S>& y, const std::vector<std::vector<S>>& k, S h,
                                const std::vector<S>& weights) {
    std::vector<S> sum(y);
    for (size_t j = 0; j < weights.size(); ++j) {
      for (int i = 0; i < n; ++i) sum[i] = sum[i] + h * weights[j] * k[j][i];
    }
    return sum;
  }
};

// Three coupled equations with explicit time, quotients and transcendental functions.
struct MixedField {
  static constexpr int kStates = 3, kParams = 4;
  template <typename S>
  static void Eval(S t, const S* y, const S* p, S* dy) {
    using std::exp;
    using std::sin;
    dy[0] = p[0] * y[1] - p[1] * y[0] * y[2];
    dy[1] = sin(p[2] * t) - y[1] / (S(1.0) + y[0] * y[0]);
    dy[2] = exp(-(p[3] * t)) * y[0] - S(0.5) * y[2];
  }
};

}  // namespace costate::testing

#endif  // COSTATE_TESTS_ENGINE_GRADIENTS_TEMPLATE_FIELD_H_
