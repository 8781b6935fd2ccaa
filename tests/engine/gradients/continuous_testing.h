// What the tests of continuous adjoints share: a solve with its adjoint, and closed forms.
#ifndef COSTATE_TESTS_ENGINE_GRADIENTS_CONTINUOUS_TESTING_H_
#define COSTATE_TESTS_ENGINE_GRADIENTS_CONTINUOUS_TESTING_H_

#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/gradients/adjoint.h"
#include "engine/gradients/method.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate::testing {

inline constexpr GradientMethod kContinuous[] = {
    GradientMethod::kBacksolve, GradientMethod::kInterpolating, GradientMethod::kQuadrature,
    GradientMethod::kGauss};

inline std::string NameOf(GradientMethod method) {
  return std::string(GetGradientMethodInfo(method).name);
}

inline std::vector<double> Flatten(const AdjointResult& adjoint) {
  std::vector<double> all = adjoint.initial_state;
  all.insert(all.end(), adjoint.params.begin(), adjoint.params.end());
  all.push_back(adjoint.t0);
  all.push_back(adjoint.t1);
  all.insert(all.end(), adjoint.times.begin(), adjoint.times.end());
  return all;
}

// |a - b| / |b|
inline double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double error = 0, size = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(error / size);
}

inline std::vector<double> Weights(size_t size, double phase) {
  std::vector<double> weights(size);
  for (size_t i = 0; i < size; ++i) weights[i] = std::sin(1.7 * static_cast<double>(i) + phase);
  return weights;
}

// A solve with its adjoint, kept together.
class Adjoint {
 public:
  Adjoint(GradientMethod method, const Problem& problem, const SolveOptions& options,
          const AdjointOptions& adjoint = {}, const Cancellation* cancellation = nullptr,
          absl::Time deadline = absl::InfiniteFuture())
      : problem_(problem), options_(options), adjoint_(adjoint), stop_{cancellation, deadline} {
    AdjointInput input = {.problem = problem_, .options = options_, .adjoint = adjoint_};
    input.stop = &stop_;
    input.want_times = true;
    auto made = MakeAdjointMethod(method, input);
    status_ = made.status();
    if (!made.ok()) return;
    method_ = *std::move(made);
    auto trajectory = method_->Solve();
    status_ = trajectory.status();
    if (trajectory.ok()) trajectory_ = *std::move(trajectory);
  }

  const absl::Status& status() const { return status_; }
  const Trajectory& trajectory() const { return trajectory_; }
  AdjointMethod& method() { return *method_; }

  absl::StatusOr<AdjointResult> PullBack(const std::vector<double>& times,
                                         const std::vector<double>& saved,
                                         const std::vector<double>& terminal) {
    const StateCotangents cotangents = {times, saved, terminal};
    auto results = method_->PullBack(absl::MakeConstSpan(&cotangents, 1));
    if (!results.ok()) return results.status();
    return std::move((*results)[0]);
  }

 private:
  const Problem problem_;
  const SolveOptions options_;
  const AdjointOptions adjoint_;
  const StopSource stop_;
  absl::Status status_;
  std::unique_ptr<AdjointMethod> method_;
  Trajectory trajectory_;
};

inline SolveOptions Tolerance(double rtol, Method method = Method::kTsit5) {
  SolveOptions options;
  options.method = method;
  options.control.rtol = rtol;
  options.control.atol = {rtol * 1e-3};
  return options;
}

// Closed forms.

template <typename F>
struct Case {
  std::vector<double> y0, p;
  double t1;
};

// L = sum_k w_k . y(t_k) + w . y(t1) of the exact solution, differentiated by central differences
// of order 4: exact to about 1e-12.
template <typename F>
std::vector<double> ExactGradient(const Case<F>& c, const std::vector<double>& times,
                                  const std::vector<double>& saved,
                                  const std::vector<double>& terminal) {
  constexpr int n = F::kStates;
  const auto loss = [&](const std::vector<double>& x) {
    const double *y0 = x.data(), *p = y0 + n, *t1 = p + c.p.size(), *t = t1 + 1;
    double y[n], sum = 0;
    for (size_t k = 0; k < times.size(); ++k) {
      F::Solution(t[k], y0, p, y);
      for (int i = 0; i < n; ++i) sum += saved[k * n + i] * y[i];
    }
    F::Solution(*t1, y0, p, y);
    for (int i = 0; i < n; ++i) sum += terminal[i] * y[i];
    return sum;
  };
  std::vector<double> x = c.y0;
  x.insert(x.end(), c.p.begin(), c.p.end());
  x.push_back(c.t1);
  x.insert(x.end(), times.begin(), times.end());
  std::vector<double> gradient;
  for (size_t j = 0; j < x.size(); ++j) {
    const auto at = [&](double d) {
      std::vector<double> moved = x;
      moved[j] += d;
      return loss(moved);
    };
    constexpr double h = 1e-3;
    gradient.push_back((8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h));
  }
  return gradient;
}

template <typename F>
double ClosedFormError(const Case<F>& c, GradientMethod method, double rtol,
                       const AdjointOptions& adjoint = {}) {
  const GenericMap<F> field;
  const double t0 = 0;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&c.t1, 1);
  problem.y0 = c.y0;
  problem.params = c.p;
  SolveOptions options = Tolerance(rtol);
  options.save.kind = SaveAt::Kind::kTimes;
  options.save.times = {0, 0.1 * c.t1, 0.5 * c.t1, 0.5 * c.t1, 0.9 * c.t1, c.t1};
  const std::vector<double> saved = Weights(6 * F::kStates, 0.3);
  const std::vector<double> terminal = Weights(F::kStates, 2.0);
  Adjoint solved(method, problem, options, adjoint);
  EXPECT_TRUE(solved.status().ok()) << solved.status();
  const auto result = solved.PullBack(options.save.times, saved, terminal);
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) return 1;
  std::vector<double> gradient = result->initial_state;
  gradient.insert(gradient.end(), result->params.begin(), result->params.end());
  gradient.push_back(result->t1);
  gradient.insert(gradient.end(), result->times.begin(), result->times.end());
  return Distance(gradient, ExactGradient<F>(c, options.save.times, saved, terminal));
}

// y' = p sin(40 t): lambda is constant, so nothing in its solve sees how fast the integrand of the
// parameter integral moves. y(T) = y0 + p (1 - cos(40 T)) / 40.
struct Hum {
  static constexpr int64_t kStates = 1, kParams = 1, kValues = 1;
  template <typename S>
  void operator()(const S& t, const S* y, const S* p, S* f) const {
    using std::sin;
    f[0] = p[0] * sin(40.0 * t) + 0.0 * y[0];
  }
  static void Solution(double t, const double* y0, const double* p, double* y) {
    y[0] = y0[0] + p[0] * (1 - std::cos(40 * t)) / 40;
  }
};

struct Cotangent {
  std::vector<double> times, saved, terminal;
};
inline Cotangent MixedCotangent(const MixedProblem& mixed) {
  return {mixed.SaveTimes(), Weights(mixed.SaveTimes().size() * 3, 0.3), Weights(3, 2.0)};
}

}  // namespace costate::testing

#endif  // COSTATE_TESTS_ENGINE_GRADIENTS_CONTINUOUS_TESTING_H_
