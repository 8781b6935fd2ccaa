// Gradients of losses through the door: closed forms, both methods against each other, finite
// differences of fresh solves, and the contracts of a result.
#include "engine/differentiate.h"

#include <cmath>
#include <complex>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::Batch;
using ::costate::testing::CompileProblem;
using ::costate::testing::CompileText;
using ::costate::testing::SaveTimes;
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;
using ::costate::testing::TerminalState;
using ::costate::testing::TestEngine;
using ::testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr GradientMethod kMethods[] = {GradientMethod::kForward, GradientMethod::kBackprop};
const Channel kFirstState = {Channel::Kind::kState, 0};
const Channel kFirstOutput = {Channel::Kind::kOutput, 0};

GradientResult MustDifferentiate(const GradientRequest& request) {
  auto result = TestEngine().Differentiate(request);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

std::vector<double> Gradient(const GradientRequest& request) {
  return MustDifferentiate(request).trajectories.at(0).gradient;
}

void ExpectNear(const std::vector<double>& actual, const std::vector<double>& expected,
                double relative) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], relative * std::max(1.0, std::fabs(expected[i]))) << i;
  }
}

// y(t) = a exp(-k (t - t0)).
constexpr char kDecay[] =
    "model decay\nparam a = 3\nparam k = 0.7\nstate y = a\ny' = -k*y\noutput u = t*a*y^2\n";

TEST(Differentiate, DecayAtItsEnd) {
  GradientRequest request = {.simulation = Simulate(CompileText(kDecay), 1, 3, 1e-11, 1e-13),
                             .loss = TerminalState({1}),
                             .wrt = {"k", "t0", "y", "t1", "a"}};
  const double y = 3 * std::exp(-1.4);
  for (const GradientMethod method : kMethods) {
    request.gradient.method = method;
    const GradientResult result = MustDifferentiate(request);
    EXPECT_NEAR(result.trajectories[0].loss, y, 1e-10);
    ExpectNear(result.trajectories[0].gradient, {-2 * y, 0.7 * y, y / 3, -0.7 * y, y / 3}, 1e-9);
    EXPECT_EQ(result.method, method);
    EXPECT_EQ(result.method_reason, "");
  }
}

// u = t a y^2 at t1 and at a fixed time; the explicit t counts only where the time moves.
TEST(Differentiate, OutputsWithExplicitTimeAndParameters) {
  GradientRequest request = {.simulation = Simulate(CompileText(kDecay), 0, 2, 1e-11, 1e-13),
                             .loss = {},
                             .wrt = {"a", "k", "t0", "t1"}};
  request.loss.terms.emplace_back(Terminal{.state = {}, .output = {1}});
  const double u1 = 2 * 27 * std::exp(-2.8);
  const double u2 = 0.5 * 27 * std::exp(-0.7);
  for (const GradientMethod method : kMethods) {
    request.gradient.method = method;
    ExpectNear(Gradient(request), {u1, -4 * u1, 1.4 * u1, u1 / 2 - 1.4 * u1}, 1e-8);
    GradientRequest fixed = request;
    fixed.loss.terms[0] = Linear{.times = {0.5}, .states = {}, .outputs = {1}};
    ExpectNear(Gradient(fixed), {u2, -1 * u2, 1.4 * u2, 0}, 1e-8);
  }
}

TEST(Differentiate, GivenInitialValuesCutTheirDependence) {
  GradientRequest request = {
      .simulation = Simulate(
          CompileText("model m\nparam a = 2\nstate x = a*t\nstate z = a^2\nx' = 0\nz' = 0\n"), 3,
          4),
      .loss = TerminalState({1, 1}),
      .wrt = {"a", "x", "z", "t0"}};
  for (const GradientMethod method : kMethods) {
    request.gradient.method = method;
    request.simulation.initial_state = {};
    ExpectNear(Gradient(request), {3 + 4, 1, 1, 2}, 1e-14);
    request.simulation.initial_state = {Scalar("x", 10)};
    ExpectNear(Gradient(request), {4, 1, 1, 0}, 1e-14);
  }
}

// x(t) for the damped oscillator; complex parameters give exact derivatives.
template <typename S>
S Oscillator(double t, S omega, S zeta, S x0, S v0) {
  const S a = zeta * omega;
  const S w = std::sqrt(omega * omega - a * a);
  return std::exp(-a * t) * (x0 * std::cos(w * t) + (v0 + a * x0) / w * std::sin(w * t));
}

TEST(Differentiate, DampedOscillatorFit) {
  const std::vector<double> times = {0, 0.4, 1.1, 2.5, 2.5, 6, 10};
  const std::vector<double> data = {1, 0.7, -0.5, kNaN, 0.3, 0.2, -0.1};
  const double p[] = {2, 0.1, 1, 0};
  GradientRequest request = {
      .simulation = Simulate(CompileProblem("damped_oscillator.ode"), 0, 10, 1e-11, 1e-13),
      .loss = Squares(kFirstState, times, data)};
  std::vector<double> expected(4);
  double loss = 0;
  for (int j = 0; j < 4; ++j) {
    std::complex<double> sum = 0;
    for (size_t i = 0; i < times.size(); ++i) {
      if (std::isnan(data[i])) continue;
      std::complex<double> q[4] = {p[0], p[1], p[2], p[3]};
      q[j] += std::complex<double>(0, 1e-50);
      const std::complex<double> r = Oscillator(times[i], q[0], q[1], q[2], q[3]) - data[i];
      sum += r * r;
    }
    expected[j] = sum.imag() / 1e-50;
    loss = sum.real();
  }
  for (const GradientMethod method : kMethods) {
    request.gradient.method = method;
    const GradientResult result = MustDifferentiate(request);
    EXPECT_NEAR(result.trajectories[0].loss, loss, 1e-9);
    ExpectNear(result.trajectories[0].gradient, expected, 1e-8);
  }
}

// A tensor model in which every derivative path is alive.
GradientRequest TensorRequest() {
  GradientRequest request;
  request.simulation =
      Simulate(CompileText("model net\n"
                           "param W[3, 3] = [[-0.5, 0.2, 0.1], [0.3, -0.4, 0], [0, 0.6, -0.7]]\n"
                           "param b[3] = [0.1, -0.2, 0.3]\nparam s = 1.5\n"
                           "state y[3] = s*b + [1, 0, 0]\nstate z = s\n"
                           "y' = W @ tanh(y) + b*sin(t)\nz' = -s*z*y[0]\n"
                           "output e = sum(y^2)*s + t\noutput q = z*b[1]\n"),
               0.2, 3);
  LeastSquares fit;
  fit.channel = {Channel::Kind::kOutput, 0};
  fit.times = {0.2, 1, 2.2, 3};
  fit.values = {1, 2, 1.5, 0.5};
  fit.sigma = {0.5, 1, 2, 1};
  request.loss.terms.emplace_back(fit);
  request.loss.terms.emplace_back(
      Linear{.times = {1, 2}, .states = {1, 0, -1, 2, 0.5, 0, 0, 1}, .outputs = {0, 3, 0, -1}});
  request.loss.terms.emplace_back(Terminal{.state = {0, 1, 0, 0}, .output = {0.3, -0.2}});
  request.wrt = {"W", "s", "y", "t0", "b", "t1", "z"};
  return request;
}

TEST(Differentiate, MethodsAgreeOnTheSameGrid) {
  for (const Method method : RungeKuttaMethods()) {
    GradientRequest request = TensorRequest();
    request.simulation.method_auto = false;
    request.simulation.options.method = method;
    request.simulation.options.control.kind = StepControl::Kind::kGrid;
    request.simulation.options.control.grid = {0.2, 0.4, 0.7, 1, 1.4, 1.9, 2.2, 2.7, 3};
    request.gradient.method = GradientMethod::kForward;
    const GradientResult forward = MustDifferentiate(request);
    request.gradient.method = GradientMethod::kBackprop;
    const GradientResult backprop = MustDifferentiate(request);
    EXPECT_EQ(forward.trajectories[0].loss, backprop.trajectories[0].loss);
    ExpectNear(forward.trajectories[0].gradient, backprop.trajectories[0].gradient, 1e-12);
  }
}

// Central differences of the loss over fresh adaptive solves.
TEST(Differentiate, MatchesFiniteDifferencesOfFreshSolves) {
  GradientRequest request = TensorRequest();
  request.simulation.options.control.rtol = 1e-12;
  request.simulation.options.control.atol = {1e-13};
  const std::vector<double> gradient = Gradient(request);
  const auto loss = [&request](double s, double shift, double z) {
    GradientRequest moved = request;
    moved.simulation.params = {Scalar("s", s)};
    moved.simulation.params.push_back(
        {.name = "b", .shape = {3}, .values = {0.1, -0.2 + shift, 0.3}});
    moved.simulation.initial_state = {Scalar("z", z)};
    return MustDifferentiate(moved).trajectories[0].loss;
  };
  constexpr double h = 1e-4;
  const double ds = (loss(1.5 + h, 0, 1.5 + h) - loss(1.5 - h, 0, 1.5 - h)) / (2 * h);
  const double db = (loss(1.5, h, 1.5) - loss(1.5, -h, 1.5)) / (2 * h);
  const double dz = (loss(1.5, 0, 1.5 + h) - loss(1.5, 0, 1.5 - h)) / (2 * h);
  EXPECT_NEAR(gradient[9], ds, 1e-6 * std::fabs(ds));
  EXPECT_NEAR(gradient[9 + 1 + 3 + 1 + 1], db, 1e-6 * std::fabs(db));
  EXPECT_NEAR(gradient.back(), dz, 1e-6 * std::max(1.0, std::fabs(dz)));
}

// t0 and t1 move the outer ends of a given grid; the loss has only terminal terms, whose time
// moves along.
TEST(Differentiate, EndsOfTheGridByTheirDefinition) {
  GradientRequest request = TensorRequest();
  request.loss.terms = {Terminal{.state = {1, 2, 3, 4}, .output = {5, 6}}};
  request.wrt = {"t0", "t1"};
  request.simulation.options.control.kind = StepControl::Kind::kGrid;
  const auto with_ends = [&request](double t0, double t1) {
    GradientRequest moved = request;
    moved.simulation.t0 = {t0};
    moved.simulation.t1 = {t1};
    moved.simulation.options.control.grid = {t0, 0.7, 1.3, 2.1, t1};
    return moved;
  };
  const auto loss = [&](double t0, double t1) {
    return MustDifferentiate(with_ends(t0, t1)).trajectories[0].loss;
  };
  constexpr double h = 1e-5;
  const double d0 = (loss(0.2 + h, 3) - loss(0.2 - h, 3)) / (2 * h);
  const double d1 = (loss(0.2, 3 + h) - loss(0.2, 3 - h)) / (2 * h);
  for (const GradientMethod method : kMethods) {
    request.gradient.method = method;
    ExpectNear(Gradient(with_ends(0.2, 3)), {d0, d1}, 1e-8);
  }
}

TEST(Differentiate, ColumnsDoNotDependOnHowTheyAreSplit) {
  GradientRequest request = TensorRequest();
  request.gradient.method = GradientMethod::kForward;
  request.gradient.tangent_control = TangentControl::kPrimalOnly;
  const std::vector<double> whole = Gradient(request);
  const std::vector<std::string> names = request.wrt;
  std::vector<double> pieces;
  for (const std::string& name : names) {
    request.wrt = {name};
    const std::vector<double> piece = Gradient(request);
    pieces.insert(pieces.end(), piece.begin(), piece.end());
  }
  EXPECT_EQ(pieces, whole);
}

TEST(Differentiate, AReturnedGridGivesTheSameGradientAgain) {
  GradientRequest request = TensorRequest();
  request.simulation.options.return_grid = true;
  request.gradient.method = GradientMethod::kForward;
  request.gradient.tangent_control = TangentControl::kFull;
  const GradientResult first = MustDifferentiate(request);
  request.simulation.options.control.kind = StepControl::Kind::kGrid;
  request.simulation.options.control.grid = first.trajectories[0].grid;
  const GradientResult again = MustDifferentiate(request);
  EXPECT_EQ(again.trajectories[0].loss, first.trajectories[0].loss);
  EXPECT_EQ(again.trajectories[0].gradient, first.trajectories[0].gradient);
}

TEST(Differentiate, BatchesGiveEachTrajectoryItsOwn) {
  const std::vector<double> rates = {0.3, 0.7, 2.0};
  GradientRequest request = {.simulation = Simulate(CompileText(kDecay), 0, 2, 1e-10, 1e-12),
                             .loss = Squares(kFirstOutput, {0.5, 1, 2}, {1, 2, 3}),
                             .wrt = {"k", "a"}};
  for (const GradientMethod method : kMethods) {
    request.gradient.method = method;
    request.simulation.params = {Batch("k", rates)};
    const GradientResult together = MustDifferentiate(request);
    EXPECT_TRUE(together.resolution.batched);
    for (size_t b = 0; b < rates.size(); ++b) {
      request.simulation.params = {Scalar("k", rates[b])};
      const GradientResult alone = MustDifferentiate(request);
      EXPECT_EQ(alone.trajectories[0].gradient, together.trajectories.at(b).gradient);
      EXPECT_EQ(alone.trajectories[0].loss, together.trajectories[b].loss);
    }
  }
}

TEST(Differentiate, SaveTimesLieWithinEverySpan) {
  GradientRequest request = {.simulation = Simulate(CompileText(kDecay), 0, 2),
                             .loss = Squares(kFirstState, {0.5, 1.5}, {1, 2}),
                             .wrt = {"k"}};
  request.simulation.t1 = {2, 3, 4};
  EXPECT_EQ(MustDifferentiate(request).trajectories.size(), 3u);
  request.simulation.t1 = {2, 1.25, 4};
  absl::Status status = TestEngine().Differentiate(request).status();
  EXPECT_EQ(FieldOf(status).value_or(""), "loss.terms[0].times[1]");
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("within [0, 1.25]"));
  request.simulation.t0 = {0, 0, 3};
  status = TestEngine().Differentiate(request).status();
  EXPECT_EQ(FieldOf(status).value_or(""), "loss");
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("starts at 3, one ends at 1.25"));
}

TEST(Differentiate, AnEmptySpanLeavesTheInitialState) {
  GradientRequest request = {.simulation = Simulate(CompileText(kDecay), 1, 1),
                             .loss = Squares(kFirstState, {1}, {1}),
                             .wrt = {"a", "k", "y"}};
  request.loss.terms.emplace_back(Terminal{.state = {10}, .output = {}});
  for (const GradientMethod method : kMethods) {
    request.gradient.method = method;
    const GradientResult result = MustDifferentiate(request);
    EXPECT_EQ(result.trajectories[0].loss, 4 + 30);
    EXPECT_EQ(result.trajectories[0].gradient, (std::vector<double>{14, 0, 14}));
  }
}

TEST(Differentiate, AnEarlyEndIsNaNWithItsReason) {
  GradientRequest request = {
      .simulation = Simulate(CompileText("model pole\nparam a = 1\nstate y = a\ny' = y^2\n"), 0, 2),
      .loss = Squares(kFirstState, {0.5, 1.5}, {0, 0})};
  for (const GradientMethod method : kMethods) {
    request.gradient.method = method;
    const GradientResult result = MustDifferentiate(request);
    const auto& one = result.trajectories[0];
    EXPECT_NE(one.termination.reason, Termination::Reason::kReachedEnd);
    EXPECT_TRUE(std::isnan(one.loss));
    EXPECT_TRUE(std::isnan(one.gradient.at(0)));
    EXPECT_NEAR(one.saved.states[0], 2, 1e-5);
    EXPECT_TRUE(std::isnan(one.saved.states[1]));
  }
}

TEST(Differentiate, ANaNLossHasANaNGradient) {
  GradientRequest request = {
      .simulation = Simulate(CompileText("model m\nparam a = 1\nstate y = a\ny' = -1\n"
                                         "output u = log(y)\n"),
                             0, 2),
      .loss = Squares(kFirstOutput, {2}, {0})};
  for (const GradientMethod method : kMethods) {
    request.gradient.method = method;
    const GradientResult result = MustDifferentiate(request);
    EXPECT_TRUE(std::isnan(result.trajectories[0].loss));
    EXPECT_TRUE(std::isnan(result.trajectories[0].gradient[0]));
  }
}

// Work that was stopped on its way: gradient_pass_test.
TEST(Differentiate, WorkCancelledBeforeItStartsIsAnErrorWithItsReason) {
  Cancellation cancellation;
  cancellation.Cancel(Cancellation::Reason::kShuttingDown);
  GradientRequest request = TensorRequest();
  for (const GradientMethod method : kMethods) {
    request.gradient.method = method;
    EXPECT_EQ(TestEngine().Differentiate(request, &cancellation).status().code(),
              absl::StatusCode::kUnavailable);
  }
}

TEST(Differentiate, AutoGoesByTheNumberOfColumns) {
  GradientRequest few = {.simulation = Simulate(CompileText(kDecay), 0, 1),
                         .loss = TerminalState({1})};
  const GradientResult forward = MustDifferentiate(few);
  EXPECT_EQ(forward.method, GradientMethod::kForward);
  EXPECT_THAT(forward.method_reason, HasSubstr("2 columns"));
  GradientRequest many = {
      .simulation = Simulate(
          CompileText("model w\nparam W[20, 20]\nstate y[20] = 0\ny' = W @ y + 1\n"), 0, 1),
      .loss = TerminalState(std::vector<double>(20, 1.0))};
  many.simulation.params = {
      {.name = "W", .shape = {20, 20}, .values = std::vector<double>(400, 0.01)}};
  many.simulation.initial_state = {
      {.name = "y", .shape = {20}, .values = std::vector<double>(20, 0.5)}};
  const GradientResult backprop = MustDifferentiate(many);
  EXPECT_EQ(backprop.method, GradientMethod::kBackprop);
  EXPECT_THAT(backprop.method_reason, HasSubstr("400 columns"));
}

TEST(Differentiate, RefusesAndSaysWhere) {
  const auto field = [](auto change) {
    GradientRequest request = {.simulation = Simulate(CompileText(kDecay), 0, 1),
                               .loss = Squares(kFirstState, {0.5}, {1})};
    change(request);
    return FieldOf(TestEngine().Differentiate(request).status()).value_or("none");
  };
  EXPECT_EQ(field([](GradientRequest& r) { r.wrt = {"b"}; }), "wrt[0]");
  EXPECT_EQ(field([](GradientRequest& r) { r.loss.terms.clear(); }), "loss.terms");
  EXPECT_EQ(field([](GradientRequest& r) { r.simulation.t1 = {2, 0.25}; }),
            "loss.terms[0].times[0]");
  EXPECT_EQ(field([](GradientRequest& r) { r.simulation.options.control.rtol = -1; }),
            "options.adaptive.rtol");
}

// The loss of a run against its own record is exactly zero when the values' arithmetic and steps
// do not change with tangents on board (numerics.md D.4: "primal-only step control").
TEST(Differentiate, AFitToItsOwnRecordIsExactlyZero) {
  const auto model = CompileProblem("neuron.ode");
  SolveRequest plain = {.simulation = Simulate(model, 0, 500, 1e-3, 1e-6)};
  plain.simulation.options.save.kind = SaveAt::Kind::kSteps;
  const auto record = TestEngine().Solve(plain);
  ASSERT_TRUE(record.ok()) << record.status();
  const Trajectory& trajectory = record->trajectories[0];
  std::vector<double> v;
  for (size_t r = 0; r < trajectory.times.size(); ++r) v.push_back(trajectory.states[13 * r]);
  GradientRequest request = {.simulation = Simulate(model, 0, 500, 1e-3, 1e-6),
                             .loss = Squares(kFirstState, trajectory.times, v)};
  request.gradient.tangent_control = TangentControl::kPrimalOnly;
  for (const GradientMethod method : kMethods) {
    request.gradient.method = method;
    const GradientResult result = MustDifferentiate(request);
    EXPECT_EQ(result.trajectories[0].loss, 0);
    EXPECT_THAT(result.trajectories[0].gradient, ::testing::Each(0.0));
  }
}

}  // namespace
}  // namespace costate
