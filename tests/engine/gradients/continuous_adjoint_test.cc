// Continuous adjoints against closed forms, against a discrete adjoint at tolerances far below
// theirs, and against each other.
#include "engine/gradients/continuous_adjoint.h"

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;

constexpr GradientMethod kContinuous[] = {GradientMethod::kBacksolve,
                                          GradientMethod::kInterpolating,
                                          GradientMethod::kQuadrature, GradientMethod::kGauss};

std::string NameOf(GradientMethod method) {
  return std::string(GetGradientMethodInfo(method).name);
}

std::vector<double> Flatten(const AdjointResult& adjoint) {
  std::vector<double> all = adjoint.initial_state;
  all.insert(all.end(), adjoint.params.begin(), adjoint.params.end());
  all.push_back(adjoint.t0);
  all.push_back(adjoint.t1);
  all.insert(all.end(), adjoint.times.begin(), adjoint.times.end());
  return all;
}

// |a - b| / |b|
double Distance(const std::vector<double>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double error = 0, size = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return std::sqrt(error / size);
}

std::vector<double> Weights(size_t size, double phase) {
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
      : problem_(problem), options_(options), adjoint_(adjoint) {
    AdjointInput input = {.problem = problem_, .options = options_, .adjoint = adjoint_};
    input.hooks.cancellation = cancellation;
    input.deadline = deadline;
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
  absl::Status status_;
  std::unique_ptr<AdjointMethod> method_;
  Trajectory trajectory_;
};

SolveOptions Tolerance(double rtol, Method method = Method::kTsit5) {
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

class EveryContinuous : public ::testing::TestWithParam<GradientMethod> {};

// The error follows the tolerance, within a factor that stays the same over six decades.
template <typename F>
void ExpectFollowsTolerance(const Case<F>& c, GradientMethod method) {
  for (const double rtol : {1e-4, 1e-6, 1e-8, 1e-10}) {
    const double error = ClosedFormError(c, method, rtol);
    EXPECT_LT(error, 30 * rtol) << NameOf(method) << " at " << rtol;
  }
}

TEST_P(EveryContinuous, Decay) {
  ExpectFollowsTolerance<Decay>({.y0 = {1.5}, .p = {0.7}, .t1 = 2}, GetParam());
}
TEST_P(EveryContinuous, Oscillator) {
  ExpectFollowsTolerance<Oscillator>({.y0 = {1, 0.5}, .p = {1.3}, .t1 = 5}, GetParam());
}
TEST_P(EveryContinuous, Logistic) {
  ExpectFollowsTolerance<Logistic>({.y0 = {0.3}, .p = {1.1, 2.5}, .t1 = 3}, GetParam());
}
TEST_P(EveryContinuous, Driven) {
  ExpectFollowsTolerance<Driven>({.y0 = {1.2, 0.8}, .p = {0.9}, .t1 = 4}, GetParam());
}

TEST_P(EveryContinuous, TakesBackwardToleranceAndMethod) {
  const Case<Logistic> c = {.y0 = {0.3}, .p = {1.1, 2.5}, .t1 = 3};
  AdjointOptions loose;
  loose.backward_rtol = 1e-3;
  loose.backward_atol = 1e-6;
  AdjointOptions other;
  other.backward_method = Method::kDopri8;
  const double tight = ClosedFormError(c, GetParam(), 1e-10);
  EXPECT_GT(ClosedFormError(c, GetParam(), 1e-10, loose), 10 * tight);
  EXPECT_LT(ClosedFormError(c, GetParam(), 1e-10, loose), 1e-2);
  EXPECT_LT(ClosedFormError(c, GetParam(), 1e-10, other), 1e-8);
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

TEST_P(EveryContinuous, ParameterIntegralThatLambdaDoesNotSee) {
  EXPECT_LT(ClosedFormError<Hum>({.y0 = {0.3}, .p = {2.0}, .t1 = 3}, GetParam(), 1e-8), 1e-6);
}

TEST(Seminorm, TakesFewerStepsForTheSameState) {
  const Case<Hum> c = {.y0 = {0.3}, .p = {2.0}, .t1 = 3};
  const GenericMap<Hum> field;
  const double t0 = 0;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&c.t1, 1);
  problem.y0 = c.y0;
  problem.params = c.p;
  const auto steps = [&](bool seminorm) {
    AdjointOptions adjoint;
    adjoint.seminorm = seminorm;
    Adjoint solved(GradientMethod::kInterpolating, problem, Tolerance(1e-8), adjoint);
    const auto result = solved.PullBack({}, {}, {1.0});
    EXPECT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->initial_state[0], 1.0);  // lambda is constant
    return solved.method().stats().backward_steps;
  };
  EXPECT_LT(4 * steps(true), steps(false));
  AdjointOptions adjoint;
  adjoint.seminorm = true;
  const Case<Logistic> logistic = {.y0 = {0.3}, .p = {1.1, 2.5}, .t1 = 3};
  for (const GradientMethod method : {GradientMethod::kInterpolating, GradientMethod::kBacksolve}) {
    EXPECT_LT(ClosedFormError(logistic, method, 1e-8, adjoint), 1e-6);
  }
}

// Every method of integration, on the problem with every kind of dependence.

struct Cotangent {
  std::vector<double> times, saved, terminal;
};
Cotangent MixedCotangent(const MixedProblem& mixed) {
  return {mixed.SaveTimes(), Weights(mixed.SaveTimes().size() * 3, 0.3), Weights(3, 2.0)};
}

const std::vector<double>& MixedReference(bool backwards) {
  static const auto* const values = [] {
    auto* both = new std::vector<std::vector<double>>;
    for (const bool turned : {false, true}) {
      MixedProblem mixed;
      if (turned) std::swap(mixed.t0, mixed.t1);
      SolveOptions options = Tolerance(1e-13, Method::kDopri8);
      options.save.kind = SaveAt::Kind::kTimes;
      options.save.times = mixed.SaveTimes();
      Adjoint solved(GradientMethod::kBackprop, mixed.problem(), options);
      const Cotangent c = MixedCotangent(mixed);
      both->push_back(Flatten(solved.PullBack(c.times, c.saved, c.terminal).value()));
    }
    return both;
  }();
  return (*values)[backwards];
}

double MixedError(GradientMethod method, const SolveOptions& options, bool backwards,
                  const AdjointOptions& adjoint = {}) {
  MixedProblem mixed;
  if (backwards) std::swap(mixed.t0, mixed.t1);
  Adjoint solved(method, mixed.problem(), options, adjoint);
  EXPECT_TRUE(solved.status().ok()) << solved.status();
  const Cotangent c = MixedCotangent(mixed);
  const auto result = solved.PullBack(c.times, c.saved, c.terminal);
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) return std::numeric_limits<double>::infinity();
  return Distance(Flatten(*result), MixedReference(backwards));
}

class EveryPair : public ::testing::TestWithParam<std::tuple<GradientMethod, Method>> {};

TEST_P(EveryPair, AdaptiveMatchesTheDiscreteAdjointAtTightTolerance) {
  const auto [gradient, method] = GetParam();
  if (GetMethodInfo(method).error_order == 0) return;
  for (const bool backwards : {false, true}) {
    MixedProblem mixed;
    if (backwards) std::swap(mixed.t0, mixed.t1);
    const double rtol = GetMethodInfo(method).order <= 3 ? 1e-7 : 1e-10;
    SolveOptions options = Tolerance(rtol, method);
    options.save.kind = SaveAt::Kind::kTimes;
    options.save.times = mixed.SaveTimes();
    EXPECT_LT(MixedError(gradient, options, backwards), 300 * rtol);
  }
}

// Twice as many steps divide the error by 2^r, r the order of the method or, if less, one more than
// that of its dense output, on which f_y is evaluated. With the few steps that leave a high order
// above rounding, it shows less clearly.
double LeastOrder(Method method) {
  const MethodInfo& info = GetMethodInfo(method);
  return std::min(info.order, info.dense_order + 1) - (info.order >= 5 ? 1.0 : 0.5);
}
// The solution grows backwards, and asks for more.
int FewSteps(Method method, bool backwards) {
  const int order = GetMethodInfo(method).order;
  if (order >= 7) return backwards ? 40 : 10;
  return order >= 4 ? 40 : 160;
}

TEST_P(EveryPair, FixedStepsConvergeAtTheirOrder) {
  const auto [gradient, method] = GetParam();
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, method, Steps::kFixed);
  const auto error = [&, gradient = gradient](int steps) {
    options.control.fixed_step = (mixed.t1 - mixed.t0) / steps;
    return MixedError(gradient, options, false);
  };
  const int steps = FewSteps(method, false);
  const double coarse = error(steps), fine = error(2 * steps);
  EXPECT_GT(std::log2(coarse / fine), LeastOrder(method)) << coarse << " to " << fine;
}

TEST_P(EveryPair, GridStepsConvergeAtTheirOrder) {
  const auto [gradient, method] = GetParam();
  for (const bool backwards : {false, true}) {
    MixedProblem mixed;
    if (backwards) std::swap(mixed.t0, mixed.t1);
    SolveOptions options = MixedOptions(mixed, method, Steps::kGrid);
    const auto error = [&, gradient = gradient](int steps) {
      options.control.grid.clear();
      for (int i = 0; i < steps; ++i) {
        const double s = static_cast<double>(i) / steps;
        const double uneven = s * (1 + 0.3 * (s - 1));
        options.control.grid.push_back(mixed.t0 + uneven * (mixed.t1 - mixed.t0));
      }
      options.control.grid.push_back(mixed.t1);
      return MixedError(gradient, options, backwards);
    };
    const int steps = FewSteps(method, backwards);
    const double coarse = error(steps), fine = error(2 * steps);
    EXPECT_GT(std::log2(coarse / fine), LeastOrder(method))
        << coarse << " to " << fine << (backwards ? " backwards" : "");
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryPair,
                         ::testing::Combine(::testing::ValuesIn(kContinuous),
                                            ::testing::ValuesIn(AllMethods().begin(),
                                                                AllMethods().end())),
                         [](const auto& info) {
                           return NameOf(std::get<0>(info.param)) + "_" +
                                  std::string(GetMethodInfo(std::get<1>(info.param)).name);
                         });

// Properties every continuous adjoint has.

TEST_P(EveryContinuous, SolvesForwardsWithTheSameBits) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kAdaptive);
  const auto alone = Integrate(mixed.problem(), options);
  ASSERT_TRUE(alone.ok());
  Adjoint solved(GetParam(), mixed.problem(), options);
  EXPECT_EQ(solved.trajectory().states, (*alone)[0].states);
  EXPECT_EQ(solved.trajectory().grid, (*alone)[0].grid);
  EXPECT_THAT(solved.method().terminal_state(),
              ::testing::ElementsAreArray(absl::MakeConstSpan((*alone)[0].states).last(3)));
}

TEST_P(EveryContinuous, SameBitsAloneAndTogether) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kDopri5, Steps::kAdaptive);
  Adjoint solved(GetParam(), mixed.problem(), options);
  std::vector<std::vector<double>> saved, terminal;
  std::vector<StateCotangents> cotangents;
  for (int v = 0; v < 5; ++v) {
    saved.push_back(Weights(options.save.times.size() * 3, 0.1 * v));
    terminal.push_back(Weights(3, 0.7 * v));
  }
  for (int v = 0; v < 5; ++v) cotangents.push_back({options.save.times, saved[v], terminal[v]});
  const auto together = solved.method().PullBack(cotangents);
  ASSERT_TRUE(together.ok()) << together.status();
  for (int v = 0; v < 5; ++v) {
    Adjoint fresh(GetParam(), mixed.problem(), options);
    const auto alone = fresh.PullBack(options.save.times, saved[v], terminal[v]);
    ASSERT_TRUE(alone.ok());
    EXPECT_EQ(Flatten((*together)[v]), Flatten(*alone)) << v;
  }
}

TEST_P(EveryContinuous, ScalesWithTheLoss) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kAdaptive);
  Adjoint solved(GetParam(), mixed.problem(), options);
  Cotangent c = MixedCotangent(mixed);
  const auto full = solved.PullBack(c.times, c.saved, c.terminal);
  for (double& x : c.saved) x *= 0x1p-60;
  for (double& x : c.terminal) x *= 0x1p-60;
  const auto small = solved.PullBack(c.times, c.saved, c.terminal);
  ASSERT_TRUE(full.ok() && small.ok());
  const std::vector<double> expected = Flatten(*full), got = Flatten(*small);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(got[i] * 0x1p60, expected[i], 1e-6 * std::fabs(expected[i]) + 1e-12) << i;
  }
}

TEST_P(EveryContinuous, NoStepsLeaveTheCotangent) {
  MixedProblem mixed;
  mixed.t1 = mixed.t0;
  Adjoint solved(GetParam(), mixed.problem(), SolveOptions());
  const auto result = solved.PullBack({mixed.t0}, {1, 2, 3}, {10, 20, 30});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(result->initial_state, ::testing::ElementsAre(11, 22, 33));
  EXPECT_THAT(result->params, ::testing::Each(0.0));
  EXPECT_EQ(solved.method().stats().backward_steps, 0);
}

TEST_P(EveryContinuous, NothingIsSolvedForNothing) {
  const MixedProblem mixed;
  const SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kAdaptive);
  Adjoint solved(GetParam(), mixed.problem(), options);
  const auto result =
      solved.PullBack(options.save.times, std::vector<double>(options.save.times.size() * 3), {});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Flatten(*result), ::testing::Each(0.0));
  EXPECT_EQ(solved.method().stats().backward_steps, 0);
}

TEST_P(EveryContinuous, CotangentThatIsNotFiniteGivesNaN) {
  const MixedProblem mixed;
  Adjoint solved(GetParam(), mixed.problem(), Tolerance(1e-6));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto result = solved.PullBack({}, {}, {1, nan, 0});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_THAT(Flatten(*result), ::testing::Each(::testing::IsNan()));
}

TEST_P(EveryContinuous, StopsWhenCancelledOrOutOfTime) {
  const MixedProblem mixed;
  const auto run = [&](Cancellation::Reason reason, absl::Time deadline) {
    Cancellation cancellation;
    Adjoint solved(GetParam(), mixed.problem(), Tolerance(1e-6), {}, &cancellation, deadline);
    if (reason != Cancellation::Reason::kNone) cancellation.Cancel(reason);
    return solved.PullBack({}, {}, {1, 0, 0}).status().code();
  };
  using Reason = Cancellation::Reason;
  const absl::Time never = absl::InfiniteFuture();
  EXPECT_EQ(run(Reason::kClientCancelled, never), absl::StatusCode::kCancelled);
  EXPECT_EQ(run(Reason::kDeadlineExceeded, never), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(run(Reason::kShuttingDown, never), absl::StatusCode::kUnavailable);
  EXPECT_EQ(run(Reason::kNone, absl::InfinitePast()), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(run(Reason::kNone, never), absl::StatusCode::kOk);
}

// The field of Decay, which cancels after a number of evaluations.
class CancelsItself : public DifferentiableMap {
 public:
  CancelsItself(Cancellation* cancellation, int64_t* calls_left)
      : context_{inner_.Get(MapKernel::kVjp, 1).value(), cancellation, calls_left} {}
  int64_t num_states() const override { return 1; }
  int64_t num_params() const override { return 1; }
  int64_t num_values() const override { return 1; }
  int simd_lanes() const override { return 1; }
  absl::StatusOr<Kernel> Get(MapKernel kind, int lanes) const override {
    if (kind != MapKernel::kVjp) return inner_.Get(kind, lanes);
    return Kernel(&Run, &context_, nullptr, 1, context_.kernel.scratch_size());
  }

 private:
  struct Context {
    Kernel kernel;
    Cancellation* cancellation;
    int64_t* calls_left;
  };
  static void Run(const void* context, const double* const* in, double* const* out,
                  double* scratch) {
    const Context& c = *static_cast<const Context*>(context);
    if (--*c.calls_left == 0) c.cancellation->Cancel(Cancellation::Reason::kClientCancelled);
    c.kernel(in, out, scratch);
  }
  const GenericMap<Decay> inner_;
  const Context context_;
};

TEST_P(EveryContinuous, StopsWithinAStepWhenCancelledOnTheWay) {
  Cancellation cancellation;
  int64_t calls_left = 100;
  const CancelsItself field(&cancellation, &calls_left);
  const double t0 = 0, t1 = 5, y0 = 1, p = 1;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&t1, 1);
  problem.y0 = absl::MakeConstSpan(&y0, 1);
  problem.params = absl::MakeConstSpan(&p, 1);
  Adjoint solved(GetParam(), problem, Tolerance(1e-12), {}, &cancellation);
  EXPECT_EQ(solved.PullBack({}, {}, {1.0}).status().code(), absl::StatusCode::kCancelled);
  EXPECT_GT(calls_left, -100);
}

TEST_P(EveryContinuous, RefusesWhatDoesNotFit) {
  const MixedProblem mixed;
  Adjoint solved(GetParam(), mixed.problem(), Tolerance(1e-6));
  EXPECT_EQ(solved.PullBack({1.0, 2.0}, {1, 2, 3}, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  AdjointOptions adjoint;
  adjoint.backward_rtol = 1e-6;
  adjoint.backward_method = Method::kRk4;
  Adjoint refused(GetParam(), mixed.problem(), Tolerance(1e-6), adjoint);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(EveryContinuous, OutOfStepsIsAFailureWithAReason) {
  const MixedProblem mixed;
  SolveOptions options = Tolerance(1e-4);
  options.max_steps = 40;
  AdjointOptions adjoint;
  adjoint.backward_rtol = 1e-12;
  adjoint.backward_atol = 1e-14;
  Adjoint solved(GetParam(), mixed.problem(), options, adjoint);
  ASSERT_TRUE(solved.status().ok()) << solved.status();
  const auto result = solved.PullBack({}, {}, {1, 0, 0});
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(BackwardEnd(result.status()), Termination::Reason::kMaxSteps);
  EXPECT_LE(solved.method().stats().backward_steps + solved.method().stats().backward_rejected, 40);
}

INSTANTIATE_TEST_SUITE_P(All, EveryContinuous, ::testing::ValuesIn(kContinuous),
                         [](const auto& info) { return NameOf(info.param); });

// Budgets: fewer states kept, the same bits.

class EveryDense : public ::testing::TestWithParam<GradientMethod> {};

TEST_P(EveryDense, SameBitsHoweverFewStatesAreKept) {
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kFixed);
  options.control.fixed_step = (mixed.t1 - mixed.t0) / 1000;
  const Cotangent c = MixedCotangent(mixed);
  Adjoint all(GetParam(), mixed.problem(), options);
  const auto expected = all.PullBack(c.times, c.saved, c.terminal);
  ASSERT_TRUE(expected.ok()) << expected.status();
  const int64_t full = all.method().stats().peak_stored_bytes;
  for (const int64_t every : {2, 7, 64, 5000}) {
    AdjointOptions adjoint;
    adjoint.checkpoint_every = every;
    Adjoint some(GetParam(), mixed.problem(), options, adjoint);
    const auto result = some.PullBack(c.times, c.saved, c.terminal);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(Flatten(*result), Flatten(*expected)) << every;
  }
  AdjointOptions adjoint;
  adjoint.memory_budget = full * 3 / 4;
  Adjoint tight(GetParam(), mixed.problem(), options, adjoint);
  ASSERT_TRUE(tight.status().ok()) << tight.status();
  const auto result = tight.PullBack(c.times, c.saved, c.terminal);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(Flatten(*result), Flatten(*expected));
  EXPECT_LE(tight.method().stats().peak_stored_bytes, adjoint.memory_budget);
  EXPECT_GT(tight.method().stats().recomputed_steps, all.method().stats().recomputed_steps);
}

TEST_P(EveryDense, RefusesABudgetThatIsTooSmall) {
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kFixed);
  options.control.fixed_step = (mixed.t1 - mixed.t0) / 1000;
  AdjointOptions adjoint;
  adjoint.memory_budget = 9'000;
  Adjoint refused(GetParam(), mixed.problem(), options, adjoint);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(refused.status().message()), ::testing::HasSubstr("no fewer than"));
}

INSTANTIATE_TEST_SUITE_P(All, EveryDense,
                         ::testing::Values(GradientMethod::kInterpolating,
                                           GradientMethod::kQuadrature, GradientMethod::kGauss),
                         [](const auto& info) { return NameOf(info.param); });

// Backsolve.

TEST(Backsolve, MeasuresReconstructionAndKeepsSaveTimesOnly) {
  const MixedProblem mixed;
  SolveOptions options = Tolerance(1e-8);
  Adjoint solved(GradientMethod::kBacksolve, mixed.problem(), options);
  EXPECT_TRUE(std::isnan(solved.method().stats().reconstruction_error));
  ASSERT_TRUE(solved.PullBack({}, {}, {1, 2, 3}).ok());
  const AdjointStats stats = solved.method().stats();
  EXPECT_GT(stats.reconstruction_error, 1e-3);
  EXPECT_LT(stats.reconstruction_error, 1e3);
  EXPECT_EQ(stats.peak_stored_bytes, 8 * (4 + 3));  // t1 and y(t1) as saved, and the end state
  EXPECT_GT(stats.backward_steps, 10);
}

// y -> K within rounding: the way back is lost, and whatever comes out says so.
TEST(Backsolve, TellsWhatCannotBeReconstructed) {
  const GenericMap<Logistic> field;
  const std::vector<double> y0 = {0.5}, p = {4.0, 1.0};
  const double t0 = 0;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.y0 = y0;
  problem.params = p;
  for (const double t1 : {6.0, 12.0, 20.0}) {
    problem.t1 = absl::MakeConstSpan(&t1, 1);
    Adjoint solved(GradientMethod::kBacksolve, problem, Tolerance(1e-8));
    const auto result = solved.PullBack({}, {}, {1.0});
    EXPECT_GT(solved.method().stats().reconstruction_error, 1e3) << t1;
    if (!result.ok()) {
      EXPECT_TRUE(BackwardEnd(result.status()).has_value()) << result.status();
      EXPECT_THAT(std::string(result.status().message()), ::testing::HasSubstr("use backprop"));
    }
  }
}

// The same solve, with states stored often enough to start from.
TEST(Backsolve, SaveTimesRestoreIt) {
  const GenericMap<Logistic> field;
  const std::vector<double> y0 = {0.5}, p = {4.0, 1.0};
  const double t0 = 0, t1 = 6;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&t1, 1);
  problem.y0 = y0;
  problem.params = p;
  SolveOptions options = Tolerance(1e-8);
  options.save.kind = SaveAt::Kind::kTimes;
  for (int i = 0; i <= 60; ++i) options.save.times.push_back(0.1 * i);
  options.save.times.back() = t1;
  Adjoint solved(GradientMethod::kBacksolve, problem, options);
  const auto result = solved.PullBack(options.save.times, std::vector<double>(61), {1.0});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_LT(solved.method().stats().reconstruction_error, 1e3);
  // dy/dy0 = e^{rt} K^2 / (K + y0 (e^{rt} - 1))^2 with K = 1
  const double e = std::exp(p[0] * t1), expected = e / std::pow(1 + y0[0] * (e - 1), 2);
  EXPECT_NEAR(result->initial_state[0], expected, 1e-5 * expected);
}

TEST(Backsolve, KeepsTheBudget) {
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kAdaptive);
  AdjointOptions adjoint;
  adjoint.memory_budget = 100;
  Adjoint refused(GradientMethod::kBacksolve, mixed.problem(), options, adjoint);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace costate
