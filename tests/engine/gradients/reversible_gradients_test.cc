// Gradients of reversible schemes against complex steps through the recursions of the papers, for
// every discrete method; and steps taken back: exact where they can be, and never silently wrong.
#include <algorithm>
#include <cmath>
#include <complex>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "engine/gradients/adjoint.h"
#include "engine/gradients/forward.h"
#include "engine/solvers/integrate.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/frozen_scheme.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

using ::costate::testing::FrozenScheme;
using ::costate::testing::FrozenSolution;
using ::costate::testing::MixedField;
using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;
using ::costate::testing::TemplateField;

std::vector<Scheme> Schemes() {
  std::vector<Scheme> schemes = {Scheme(Method::kAlf, std::nullopt, 1),
                                 Scheme(Method::kAlf, std::nullopt, 0.8), Method::kReversibleHeun,
                                 Method::kLeapfrogMidpoint};
  for (const Method method : RungeKuttaMethods()) schemes.emplace_back(method, 0.99, 1);
  schemes.emplace_back(Method::kTsit5, 1.0, 1);
  schemes.emplace_back(Method::kRk4, 0.7, 1);
  return schemes;
}

std::string NameOf(const Scheme& scheme) {
  std::string name(GetMethodInfo(scheme).name);
  if (scheme.coupling) name += "_" + std::to_string(static_cast<int>(100 * *scheme.coupling));
  if (scheme.eta != 1) name += "_damped";
  return name;
}

std::string NameOf(const std::tuple<Scheme, Steps>& parameters) {
  const char* const kSteps[] = {"_fixed", "_adaptive", "_grid"};
  return NameOf(std::get<0>(parameters)) + kSteps[static_cast<int>(std::get<1>(parameters))];
}

SolveOptions OptionsOf(const MixedProblem& mixed, const Scheme& scheme, Steps steps) {
  SolveOptions options = MixedOptions(mixed, scheme.method, steps);
  options.coupling = scheme.coupling;
  options.eta = scheme.eta;
  return options;
}

std::vector<double> Weights(size_t size, double phase) {
  std::vector<double> weights(size);
  for (size_t i = 0; i < size; ++i) weights[i] = std::sin(1.7 * static_cast<double>(i) + phase);
  return weights;
}

// d(weights . values)/d(column) for all columns of MixedProblem.
std::vector<double> Expected(const MixedProblem& mixed, const Scheme& scheme,
                             const std::vector<double>& grid, const std::vector<double>& times,
                             const std::vector<double>& saved,
                             const std::vector<double>& terminal) {
  using C = std::complex<double>;
  constexpr double kStep = 1e-60;
  std::vector<double> gradient;
  for (int column = 0; column < MixedProblem::kColumns; ++column) {
    std::vector<C> y(mixed.y0.begin(), mixed.y0.end()), p(mixed.params.begin(), mixed.params.end());
    C t0 = mixed.t0, t1 = mixed.t1;
    C& x = column < 3 ? y[column] : column < 7 ? p[column - 3] : column == 7 ? t0 : t1;
    x += C(0, kStep);
    const FrozenSolution<C> solution =
        FrozenScheme<MixedField, C>(scheme, p).Solve(grid, t0, t1, y, times);
    double sum = 0;
    for (size_t i = 0; i < saved.size(); ++i) sum += saved[i] * solution.saved[i].imag() / kStep;
    for (size_t i = 0; i < terminal.size(); ++i) {
      sum += terminal[i] * solution.terminal[i].imag() / kStep;
    }
    gradient.push_back(sum);
  }
  return gradient;
}

std::vector<double> Flatten(const AdjointResult& adjoint) {
  std::vector<double> all = adjoint.initial_state;
  all.insert(all.end(), adjoint.params.begin(), adjoint.params.end());
  all.push_back(adjoint.t0);
  all.push_back(adjoint.t1);
  return all;
}

struct Reversed {
  Trajectory trajectory;
  std::vector<AdjointResult> results;
  AdjointStats stats;
};

absl::StatusOr<Reversed> Reverse(GradientMethod method, const Problem& problem,
                                 const SolveOptions& options, const AdjointOptions& adjoint,
                                 const std::vector<StateCotangents>& cotangents) {
  AdjointInput input = {.problem = problem, .options = options, .adjoint = adjoint};
  input.want_times = true;
  absl::StatusOr<std::unique_ptr<AdjointMethod>> made = MakeAdjointMethod(method, input);
  if (!made.ok()) return made.status();
  Reversed run;
  absl::StatusOr<Trajectory> trajectory = (*made)->Solve();
  if (!trajectory.ok()) return trajectory.status();
  run.trajectory = *std::move(trajectory);
  absl::StatusOr<std::vector<AdjointResult>> results = (*made)->PullBack(cotangents);
  if (!results.ok()) return results.status();
  run.results = *std::move(results);
  run.stats = (*made)->stats();
  return run;
}

void ExpectClose(const std::vector<double>& actual, const std::vector<double>& expected,
                 double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], tolerance * std::max(1.0, std::fabs(expected[i])))
        << "element " << i;
  }
}

class ReversibleGradients : public ::testing::TestWithParam<std::tuple<Scheme, Steps>> {
 protected:
  const Scheme& scheme() const { return std::get<0>(GetParam()); }
  double rounding() const {
    const bool table = scheme().coupling.has_value();
    // lambda = 0.7 divides rounding errors by 0.7 at every step back.
    return 10 * (table ? ::costate::testing::Rounding(scheme().method) : 2e-13);
  }

  const MixedProblem mixed_;
  const Problem problem_ = mixed_.problem();
  const SolveOptions options_ = OptionsOf(mixed_, scheme(), std::get<1>(GetParam()));
  const std::vector<double> times_ = options_.save.times;
  const std::vector<double> saved_ = Weights(times_.size() * 3, 0.3), terminal_ = Weights(3, 2.0);
  const StateCotangents cotangents_ = {times_, saved_, terminal_};
};

TEST_P(ReversibleGradients, EveryWayBackMatchesComplexSteps) {
  struct Way {
    GradientMethod method;
    AdjointOptions adjoint;
  };
  std::vector<Way> ways = {{GradientMethod::kBackprop, {}},
                           {GradientMethod::kCheckpointed, {.checkpoints = 3}},
                           {GradientMethod::kSegmented, {.segments = 3}},
                           {GradientMethod::kReversible, {}}};
  for (const int64_t every : {1, 4, 1000}) {
    // 1 / |1 - 2 eta| = 1.7 to the power of the number of steps.
    if (every > 4 && scheme().eta != 1) continue;
    Way way = {GradientMethod::kReversible, {}};
    way.adjoint.checkpoint_every = every;
    ways.push_back(way);
  }
  for (const Way& way : ways) {
    SCOPED_TRACE(std::string(GetGradientMethodInfo(way.method).name));
    const auto run = Reverse(way.method, problem_, options_, way.adjoint, {cotangents_});
    ASSERT_TRUE(run.ok()) << run.status();
    ASSERT_GT(run->trajectory.grid.size(), 3u);
    ExpectClose(Flatten(run->results[0]),
                Expected(mixed_, scheme(), run->trajectory.grid, times_, saved_, terminal_),
                rounding());
  }
}

// Each lane of a block of cotangents is what it is alone.
TEST_P(ReversibleGradients, CotangentsDoNotDependOnTheirNumber) {
  const std::vector<double> other = Weights(saved_.size(), 1.1);
  const StateCotangents second = {times_, other, {}};
  const auto alone = Reverse(GradientMethod::kReversible, problem_, options_, {}, {second});
  const auto both =
      Reverse(GradientMethod::kReversible, problem_, options_, {}, {cotangents_, second});
  ASSERT_TRUE(alone.ok() && both.ok());
  EXPECT_EQ(Flatten(alone->results[0]), Flatten(both->results[1]));
  EXPECT_EQ(alone->results[0].times, both->results[1].times);
}

TEST_P(ReversibleGradients, TangentsMatchCotangents) {
  const auto run = Reverse(GradientMethod::kBackprop, problem_, options_, {}, {cotangents_});
  ASSERT_TRUE(run.ok());
  constexpr int kColumns = MixedProblem::kColumns;
  TangentSeeds seeds;
  seeds.num_columns = kColumns;
  seeds.initial.assign(3 * kColumns, 0.0);
  seeds.params.assign(4 * kColumns, 0.0);
  for (int i = 0; i < 3; ++i) seeds.initial[i * kColumns + i] = 1;
  for (int i = 0; i < 4; ++i) seeds.params[i * kColumns + 3 + i] = 1;
  seeds.t0.assign(kColumns, 0.0);
  seeds.t0[7] = 1;
  seeds.t1.assign(kColumns, 0.0);
  seeds.t1[8] = 1;
  seeds.scale.assign(kColumns, 1.0);
  const auto forward =
      SolveWithTangents(problem_, options_, seeds, TangentControl::kPrimalOnly, {});
  ASSERT_TRUE(forward.ok()) << forward.status();
  EXPECT_EQ(forward->trajectory.grid, run->trajectory.grid);
  EXPECT_EQ(forward->trajectory.states, run->trajectory.states);
  std::vector<double> gradient(kColumns);
  for (int q = 0; q < kColumns; ++q) {
    for (size_t i = 0; i < saved_.size(); ++i) {
      gradient[q] += saved_[i] * forward->tangents[i * kColumns + q];
    }
    for (size_t i = 0; i < 3; ++i)
      gradient[q] += terminal_[i] * forward->terminal[i * kColumns + q];
  }
  ExpectClose(gradient, Flatten(run->results[0]), rounding());
}

INSTANTIATE_TEST_SUITE_P(All, ReversibleGradients,
                         ::testing::Combine(::testing::ValuesIn(Schemes()),
                                            ::testing::Values(Steps::kFixed, Steps::kAdaptive,
                                                              Steps::kGrid)),
                         [](const auto& info) { return NameOf(info.param); });

// y' = p0 (y - cos(p1 t)): decays to a slow solution at rate -p0; the exact solution of A.5.
struct Chase {
  static constexpr int kStates = 1, kParams = 2;
  template <typename S>
  static void Eval(S t, const S* y, const S* p, S* dy) {
    using std::sin;
    dy[0] = p[0] * (y[0] - sin(p[1] * t + S(1.5707963267948966)));
  }
};

class LongWayBack : public ::testing::Test {
 protected:
  // 1,000 steps of RK4 over [0, 10].
  Reversed Solve(GradientMethod method, double rate, double coupling, int64_t every = 0) {
    return SolveBy({Method::kRk4, coupling, 1}, method, rate, every);
  }

  Reversed SolveBy(const Scheme& scheme, GradientMethod method, double rate, int64_t every = 0) {
    params_ = {rate, 1.0};
    SolveOptions options;
    options.method = scheme.method;
    options.coupling = scheme.coupling;
    options.control.kind = StepControl::Kind::kFixed;
    options.control.fixed_step = 0.01;
    Problem problem;
    problem.field = &field_;
    problem.t0 = absl::MakeConstSpan(&t0_, 1);
    problem.t1 = absl::MakeConstSpan(&t1_, 1);
    problem.y0 = y0_;
    problem.params = params_;
    AdjointOptions adjoint;
    adjoint.checkpoint_every = method == GradientMethod::kReversible ? every : 0;
    const auto run = Reverse(method, problem, options, adjoint, {{{}, {}, one_}});
    EXPECT_TRUE(run.ok()) << run.status();
    return run.ok() ? *run : Reversed();
  }

  const TemplateField<Chase> field_;
  const double t0_ = 0, t1_ = 10;
  const std::vector<double> y0_ = {1.0}, one_ = {1.0};
  std::vector<double> params_;
};

TEST_F(LongWayBack, EqualsBackpropWhereRoundingAllows) {
  for (const double coupling : {0.999, 0.99}) {
    for (const double rate : {-0.5, 0.3, -1.0}) {
      const Reversed back = Solve(GradientMethod::kReversible, rate, coupling);
      const Reversed stored = Solve(GradientMethod::kBackprop, rate, coupling);
      ExpectClose(back.results[0].params, stored.results[0].params, 1e-10);
      ExpectClose(back.results[0].initial_state, stored.results[0].initial_state, 1e-10);
      EXPECT_LT(back.stats.reconstruction_error, 1e-3);
      EXPECT_LT(back.stats.peak_stored_bytes, 10000);  // 8,008 of them step times
      EXPECT_GT(stored.stats.peak_stored_bytes, 80000);
    }
  }
}

// |a| T = 50: without kept states all digits would be lost on the way back.
TEST_F(LongWayBack, KeepsStatesWhereDigitsWouldBeLost) {
  const Reversed stored = Solve(GradientMethod::kBackprop, -5.0, 0.95);
  const Reversed back = Solve(GradientMethod::kReversible, -5.0, 0.95);
  ExpectClose(back.results[0].params, stored.results[0].params, 1e-10);
  EXPECT_LT(back.stats.reconstruction_error, 1e-3);
  const Reversed never = Solve(GradientMethod::kReversible, -5.0, 0.95, 1000);
  EXPECT_GT(never.stats.reconstruction_error, 1e3);  // and the report says FAILED
  const Reversed often = Solve(GradientMethod::kReversible, -5.0, 0.95, 20);
  ExpectClose(often.results[0].params, stored.results[0].params, 1e-10);
}

// EES(2, 5) is undone up to its order only: far from the states it passed, whatever the rounding.
// What a further walk keeps brings it back, at a few states more.
TEST_F(LongWayBack, StartsAgainFromWhatAFurtherWalkKeeps) {
  const Reversed stored = SolveBy(Method::kEes25, GradientMethod::kBackprop, -3.0);
  const Reversed back = SolveBy(Method::kEes25, GradientMethod::kReversible, -3.0);
  ExpectClose(back.results[0].params, stored.results[0].params, 1e-10);
  EXPECT_LT(back.stats.reconstruction_error, 1e-3);
  EXPECT_GT(back.stats.recomputed_steps, 0);
  EXPECT_LT(back.stats.peak_stored_bytes, stored.stats.peak_stored_bytes / 3);
}

TEST_F(LongWayBack, KeepsTheBudgetOrSaysSo) {
  params_ = {-1.0, 1.0};
  SolveOptions options;
  options.method = Method::kRk4;
  options.coupling = 0.999;
  options.control.kind = StepControl::Kind::kFixed;
  options.control.fixed_step = 0.01;
  Problem problem;
  problem.field = &field_;
  problem.t0 = absl::MakeConstSpan(&t0_, 1);
  problem.t1 = absl::MakeConstSpan(&t1_, 1);
  problem.y0 = y0_;
  problem.params = params_;
  AdjointOptions adjoint;
  for (const int64_t budget : {1000, 5000, 20000, 40000}) {
    adjoint.memory_budget = budget;
    const auto run =
        Reverse(GradientMethod::kReversible, problem, options, adjoint, {{{}, {}, one_}});
    if (run.ok()) {
      EXPECT_LE(run->stats.peak_stored_bytes, budget);
    } else {
      EXPECT_EQ(run.status().code(), absl::StatusCode::kResourceExhausted);
      EXPECT_LT(budget, 20000);
    }
  }
}

// A nearly symmetric method goes back to a power of h far above its order.
TEST(NearlySymmetric, ComesBackToAHighPowerOfTheStep) {
  const MixedProblem mixed;
  const Problem problem = mixed.problem();
  const std::pair<Method, int> kMethods[] = {{Method::kEes25, 6}, {Method::kEes27, 8}};
  for (const auto& [method, power] : kMethods) {
    std::vector<double> errors;
    for (const double h : {0.2, 0.1}) {
      auto stepper = MakeStepper(method, mixed.field, 1).value();
      auto inverse = MakeStepInverse(method, mixed.field).value();
      stepper->Reset(0, mixed.t0, mixed.y0.data(), mixed.params.data(), nullptr);
      const double end = mixed.t0 + h;
      stepper->Step(&end);
      inverse->SetParams(0, mixed.params.data());
      std::vector<double> start(3);
      EXPECT_FALSE(inverse->Undo(&mixed.t0, &end, stepper->y_new(), start.data(), nullptr));
      double error = 0;
      for (int i = 0; i < 3; ++i) error = std::max(error, std::fabs(start[i] - mixed.y0[i]));
      errors.push_back(error);
    }
    EXPECT_NEAR(std::log2(errors[0] / errors[1]), power, 0.5) << power;
  }
}

}  // namespace
}  // namespace costate
