// A kept solve gives, loss after loss, what the calls that solve give: bit for bit, for every
// method, whatever happened in the calls between.
#include "engine/kept_solve.h"

#include <atomic>
#include <cmath>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/field_error.h"
#include "engine/gradients/method.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::Batch;
using ::costate::testing::CompileText;
using ::costate::testing::SaveTimes;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;
using ::costate::testing::TerminalState;
using ::costate::testing::TestEngine;
using ::testing::HasSubstr;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
const std::vector<double> kTimes = {0.5, 1.5, 4, 7};

std::vector<GradientMethod> KeepingMethods() {
  std::vector<GradientMethod> methods;
  for (const GradientMethod method : AllGradientMethods()) {
    const GradientFamily family = GetGradientMethodInfo(method).family;
    if (family != GradientFamily::kDifference) methods.push_back(method);
  }
  methods.push_back(GradientMethod::kReversible);
  return methods;
}

GradientOptions With(GradientMethod method) {
  GradientOptions options;
  options.method = method;
  if (method == GradientMethod::kBacksolve) {
    options.adjoint.backward_rtol = 1e-8;
    options.adjoint.backward_atol = 1e-10;
  }
  if (method == GradientMethod::kCheckpointed) options.adjoint.checkpoints = 3;
  return options;
}

// Predator and prey, with an output and an initial value that depends on a parameter.
std::shared_ptr<const Model> Predators() {
  return CompileText(
      "model lv\nparam a = 1.1\nparam b = 0.4\nparam c = 0.4\nparam d = 0.1\nparam unused[30]\n"
      "state x = 10*a\n"
      "state y = 5\nx' = a*x - b*x*y\ny' = d*x*y - c*y\noutput u = x*y + b*t\n");
}

Simulation Solvable(GradientMethod method, double t0, double t1) {
  Simulation simulation = Simulate(Predators(), t0, t1);
  if (method != GradientMethod::kReversible) return simulation;
  simulation.method_auto = false;
  simulation.options.coupling = 0.999;
  return simulation;
}

KeepRequest Keeping(GradientMethod method) {
  KeepRequest request = {.simulation = Solvable(method, 0, 8),
                         .wrt = {"a", "y", "c", "t0", "t1"},
                         .gradient = With(method)};
  SaveTimes(&request.simulation, kTimes);
  return request;
}

std::unique_ptr<KeptSolve> MustKeep(const KeepRequest& request) {
  auto kept = TestEngine().Keep(request);
  EXPECT_TRUE(kept.ok()) << kept.status();
  return kept.ok() ? *std::move(kept) : nullptr;
}

Loss Weighted(double phase) {
  Linear term;
  term.times = kTimes;
  for (size_t i = 0; i < kTimes.size(); ++i) {
    const double x = static_cast<double>(i) + phase;
    term.states.insert(term.states.end(), {std::sin(x), std::cos(2 * x)});
    term.outputs.push_back(std::sin(3 * x));
  }
  Loss loss;
  loss.terms.emplace_back(std::move(term));
  return loss;
}

Loss AlsoAtTheEnd(Loss loss) {
  loss.terms.emplace_back(Terminal{.state = {1, -2}, .output = {0.5}});
  return loss;
}

// Every kind of loss a kept solve takes, each at all of its times.
std::vector<Loss> Losses() {
  Loss expression;
  expression.terms.emplace_back(
      ExpressionLoss{.text = "sum((log(x) - w*log(y))^2) + b*u[1]",
                     .times = kTimes,
                     .data = {{.name = "w", .shape = {4}, .values = {1, 2, 0.5, 1}}}});
  return {Squares({Channel::Kind::kState, 0}, kTimes, {8, 3, kNaN, 1}), Weighted(0.3),
          AlsoAtTheEnd(Weighted(1.1)), std::move(expression)};
}

// The same in one call.
GradientResult InOneCall(const KeepRequest& request, const Loss& loss) {
  GradientRequest one = {.simulation = request.simulation,
                         .loss = loss,
                         .wrt = request.wrt,
                         .gradient = request.gradient};
  auto result = TestEngine().Differentiate(one);
  EXPECT_TRUE(result.ok()) << result.status();
  return *std::move(result);
}

bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] != b[i] && !(std::isnan(a[i]) && std::isnan(b[i]))) return false;
  }
  return true;
}

void ExpectSame(const GradientResult& kept, const GradientResult& one) {
  ASSERT_EQ(kept.trajectories.size(), one.trajectories.size());
  EXPECT_EQ(kept.method, one.method);
  for (size_t b = 0; b < one.trajectories.size(); ++b) {
    const auto& k = kept.trajectories[b];
    const auto& o = one.trajectories[b];
    EXPECT_TRUE(SameBits({k.loss}, {o.loss})) << k.loss << " " << o.loss;
    EXPECT_TRUE(SameBits(k.gradient, o.gradient)) << ::testing::PrintToString(k.gradient);
    EXPECT_TRUE(SameBits(k.times, o.times));
    EXPECT_TRUE(SameBits(k.saved.states, o.saved.states));
    EXPECT_TRUE(SameBits(k.saved.outputs, o.saved.outputs));
    EXPECT_EQ(k.termination.reason, o.termination.reason);
    EXPECT_EQ(k.stats.solve.accepted_steps, o.stats.solve.accepted_steps);
    EXPECT_EQ(k.stats.adjoint.replayed_steps, o.stats.adjoint.replayed_steps);
    EXPECT_EQ(k.stats.adjoint.backward_steps, o.stats.adjoint.backward_steps);
  }
}

class KeptSolves : public ::testing::TestWithParam<GradientMethod> {};

TEST_P(KeptSolves, GivesTheBitsOfOneCallForLossAfterLoss) {
  KeepRequest request = Keeping(GetParam());
  request.gradient.want_times = true;
  const auto kept = MustKeep(request);
  EXPECT_EQ(kept->facts().method, GetParam());
  for (int round = 0; round < 2; ++round) {
    for (const Loss& loss : Losses()) {
      const auto result = kept->Differentiate(loss);
      ASSERT_TRUE(result.ok()) << result.status();
      ExpectSame(*result, InOneCall(request, loss));
    }
  }
  const SolveResult solution = kept->Solution();
  const GradientResult one = InOneCall(request, Losses()[0]);
  EXPECT_EQ(solution.trajectories[0].times, kTimes);
  EXPECT_EQ(solution.trajectories[0].num_reached, 4);
  EXPECT_EQ(solution.trajectories[0].states, one.trajectories[0].saved.states);
  EXPECT_EQ(solution.outputs[0], one.trajectories[0].saved.outputs);
}

TEST_P(KeptSolves, GivesTheBitsOfOneCallToCotangents) {
  const KeepRequest request = Keeping(GetParam());
  const auto kept = MustKeep(request);
  const std::vector<Loss> cotangents = {Weighted(0.2), AlsoAtTheEnd(Weighted(2)), Weighted(5)};
  VjpRequest one = {.simulation = request.simulation,
                    .cotangents = cotangents,
                    .wrt = request.wrt,
                    .gradient = request.gradient};
  const auto expected = TestEngine().ComputeVjp(one);
  ASSERT_TRUE(expected.ok()) << expected.status();
  for (int round = 0; round < 2; ++round) {
    const auto result = kept->ComputeVjp(cotangents);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->gradients, expected->gradients);
    EXPECT_EQ(result->values, expected->values);
    EXPECT_EQ(result->primal.saved.states, expected->primal.saved.states);
    EXPECT_EQ(result->primal.stats.adjoint.replayed_steps,
              expected->primal.stats.adjoint.replayed_steps);
  }
}

TEST_P(KeptSolves, OneCutShortSpoilsNothing) {
  const KeepRequest request = Keeping(GetParam());
  const auto kept = MustKeep(request);
  const Loss loss = Losses()[2];
  const GradientResult expected = InOneCall(request, loss);
  Cancellation before;
  before.Cancel(Cancellation::Reason::kClientCancelled);
  const auto cut = kept->Differentiate(loss, &before);
  ASSERT_TRUE(cut.ok()) << cut.status();
  EXPECT_EQ(cut->trajectories[0].termination.reason, Termination::Reason::kCancelled);
  EXPECT_TRUE(std::isnan(cut->trajectories[0].gradient[0]));
  ExpectSame(kept->Differentiate(loss).value(), expected);
  // At any moment on the way back.
  for (int spins = 1; spins < 2000; spins *= 2) {
    Cancellation during;
    std::thread other([&] {
      std::atomic<int> count{0};
      while (count.fetch_add(1) < 50 * spins) {
      }
      during.Cancel(Cancellation::Reason::kClientCancelled);
    });
    const auto maybe = kept->Differentiate(loss, &during);
    other.join();
    ASSERT_TRUE(maybe.ok()) << maybe.status();
    ExpectSame(kept->Differentiate(loss).value(), expected);
  }
}

TEST_P(KeptSolves, SeveralThreadsAtOnce) {
  const KeepRequest request = Keeping(GetParam());
  const auto kept = MustKeep(request);
  const std::vector<Loss> losses = Losses();
  std::vector<GradientResult> expected;
  for (const Loss& loss : losses) expected.push_back(InOneCall(request, loss));
  std::vector<std::vector<double>> gradients(losses.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < losses.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 5; ++round) {
        gradients[i] = kept->Differentiate(losses[i]).value().trajectories[0].gradient;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < losses.size(); ++i) {
    EXPECT_EQ(gradients[i], expected[i].trajectories[0].gradient) << i;
  }
}

TEST_P(KeptSolves, BatchesShareTheMemoryBudget) {
  KeepRequest request = Keeping(GetParam());
  std::vector<double> a;
  for (int b = 0; b < 19; ++b) a.push_back(0.9 + 0.03 * b);
  request.simulation.params = {Batch("a", a)};
  const auto kept = MustKeep(request);
  EXPECT_EQ(kept->facts().terminations.size(), 19u);
  for (const Loss& loss : Losses()) {
    const auto result = kept->Differentiate(loss);
    ASSERT_TRUE(result.ok()) << result.status();
    ExpectSame(*result, InOneCall(request, loss));
  }
  if (GetParam() == GradientMethod::kForward) return;  // has no budget
  constexpr int64_t kTight = 300'000;
  // Less than all steps take with their stages: enough for a checkpoint or two of each.
  request.simulation.options.method = Method::kTsit5;
  request.simulation.method_auto = false;
  request.simulation.options.control.rtol = 1e-10;
  request.gradient.adjoint.memory_budget = kTight;
  const auto tight = TestEngine().Keep(request);
  ASSERT_EQ(tight.ok(), GetParam() != GradientMethod::kBackprop) << tight.status();
  if (!tight.ok()) {
    EXPECT_EQ(tight.status().code(), absl::StatusCode::kResourceExhausted);
    return;
  }
  const auto result = (*tight)->Differentiate(Losses()[1]);
  ASSERT_TRUE(result.ok()) << result.status();
  int64_t stored = 0;
  for (const auto& one : result->trajectories) stored += one.stats.adjoint.peak_stored_bytes;
  EXPECT_LE(stored, kTight);
  EXPECT_GT(stored, 0);
  ExpectSame(*result, InOneCall(request, Losses()[1]));
}

TEST_P(KeptSolves, TrajectoriesThatEndedEarlyHaveNoGradient) {
  KeepRequest request = Keeping(GetParam());
  request.simulation.options.max_steps = 12;
  const auto kept = MustKeep(request);
  const Loss loss = Losses()[2];
  for (int round = 0; round < 2; ++round) {
    const auto result = kept->Differentiate(loss);
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->trajectories[0].termination.reason, Termination::Reason::kMaxSteps);
    EXPECT_TRUE(std::isnan(result->trajectories[0].gradient[0]));
    ExpectSame(*result, InOneCall(request, loss));
  }
  const SolveResult solution = kept->Solution();
  EXPECT_LT(solution.trajectories[0].num_reached, 4);
  EXPECT_TRUE(std::isnan(solution.trajectories[0].states.back()));
}

TEST_P(KeptSolves, BackwardsInTimeAndAtTheEndAlone) {
  KeepRequest request = Keeping(GetParam());
  request.simulation = Solvable(GetParam(), 8, 0);
  SaveTimes(&request.simulation, {7, 4, 1.5, 0.5});
  auto kept = MustKeep(request);
  Loss loss = Squares({Channel::Kind::kOutput, 0}, {1.5, 7, 0.5, 4}, {1, 2, 3, 4});
  ExpectSame(kept->Differentiate(loss).value(), InOneCall(request, loss));
  request.simulation.options.save = {};
  kept = MustKeep(request);
  ASSERT_NE(kept, nullptr);
  ExpectSame(kept->Differentiate(TerminalState({2, 1})).value(),
             InOneCall(request, TerminalState({2, 1})));
  const auto at_time = kept->Differentiate(Squares({Channel::Kind::kState, 0}, {0}, {1}));
  EXPECT_THAT(at_time.status().message(), HasSubstr("terminal term"));
}

INSTANTIATE_TEST_SUITE_P(All, KeptSolves, ::testing::ValuesIn(KeepingMethods()),
                         [](const auto& info) {
                           return std::string(GetGradientMethodInfo(info.param).name);
                         });

// Some of the saved times: the same sum with fewer terms, so the same gradient as of a solve that
// saved them alone.
TEST(KeptSolve, LossesMayUseSomeOfTheTimes) {
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop,
                                      GradientMethod::kCheckpointed, GradientMethod::kGauss}) {
    const KeepRequest request = Keeping(method);
    const auto kept = MustKeep(request);
    const Loss loss = Squares({Channel::Kind::kState, 1}, {4, 0.5, 4}, {1, 2, 3});
    const auto result = kept->Differentiate(loss);
    ASSERT_TRUE(result.ok()) << result.status();
    const GradientResult one = InOneCall(request, loss);
    EXPECT_EQ(result->trajectories[0].loss, one.trajectories[0].loss);
    EXPECT_EQ(result->trajectories[0].gradient, one.trajectories[0].gradient);
  }
}

TEST(KeptSolve, CountsWhatItHolds) {
  const auto forward = MustKeep(Keeping(GradientMethod::kForward));
  // Tangents of 2 states in 5 columns at 4 times and the end, and 3 values at each.
  EXPECT_GE(forward->stored_bytes(), 8 * (5 * 2 * 5 + 5 * 3));
  EXPECT_LE(forward->stored_bytes(), 8 * 5 * 2 * 5 + 20'000);
  const auto backprop = MustKeep(Keeping(GradientMethod::kBackprop));
  const int64_t before = backprop->stored_bytes();
  const auto result = backprop->Differentiate(Weighted(1)).value();
  const int64_t steps = result.trajectories[0].stats.solve.accepted_steps;
  EXPECT_GE(before, 8 * steps * 2 * 7);
  EXPECT_EQ(backprop->stored_bytes(), before);
  // One segment with its stages is made on the way back.
  const auto segmented = MustKeep(Keeping(GradientMethod::kSegmented));
  const int64_t solved = segmented->stored_bytes();
  ASSERT_TRUE(segmented->Differentiate(Weighted(1)).ok());
  EXPECT_GT(segmented->stored_bytes(), solved);
}

TEST(KeptSolve, AutoChoosesAsInOneCall) {
  KeepRequest request = Keeping(GradientMethod::kAuto);
  EXPECT_EQ(MustKeep(request)->facts().method, GradientMethod::kForward);
  request.wrt = {"a", "unused"};
  auto kept = MustKeep(request);
  EXPECT_EQ(kept->facts().method, GradientMethod::kBackprop);
  EXPECT_THAT(kept->facts().method_reason, HasSubstr("31 columns"));
  // The guess of a thousand steps fits; those of 100 trajectories do not.
  request.gradient.adjoint.memory_budget = 2'000'000;
  request.simulation.t1 = {100};
  request.simulation.params = {Batch("a", std::vector<double>(100, 1.0))};
  kept = MustKeep(request);
  EXPECT_EQ(kept->facts().method, GradientMethod::kCheckpointed);
  EXPECT_THAT(kept->facts().method_reason, HasSubstr("in the end"));
}

TEST(KeptSolve, TheWallBudgetHoldsForEachCall) {
  KeepRequest request = Keeping(GradientMethod::kBackprop);
  request.simulation.options.wall_budget = absl::Seconds(30);
  const auto kept = MustKeep(request);
  ASSERT_TRUE(kept->Differentiate(Weighted(1)).ok());
  request.simulation.options.wall_budget = absl::Nanoseconds(1);
  const auto spent = MustKeep(request);
  const auto result = spent->Differentiate(Weighted(1));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->trajectories[0].termination.reason, Termination::Reason::kWallBudget);
}

absl::Status Refused(const KeepRequest& request) { return TestEngine().Keep(request).status(); }

TEST(KeptSolve, RefusesWhatCannotBeKept) {
  for (const GradientMethod method :
       {GradientMethod::kFiniteDifference, GradientMethod::kComplexStep}) {
    const absl::Status status = Refused(Keeping(method));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(FieldOf(status), "gradient.method");
    EXPECT_THAT(status.message(), HasSubstr("backprop"));
  }
  KeepRequest steps = Keeping(GradientMethod::kForward);
  steps.simulation.options.save.kind = SaveAt::Kind::kSteps;
  EXPECT_EQ(FieldOf(Refused(steps)), "options.save");
  KeepRequest name = Keeping(GradientMethod::kForward);
  name.wrt = {"nobody"};
  EXPECT_EQ(FieldOf(Refused(name)), "wrt[0]");
  KeepRequest useless = Keeping(GradientMethod::kForward);
  useless.gradient.adjoint.segments = 3;
  EXPECT_EQ(FieldOf(Refused(useless)), "gradient.segments");
}

TEST(KeptSolve, RefusesLossesItHasNoValuesFor) {
  const auto kept = MustKeep(Keeping(GradientMethod::kBackprop));
  const auto field = [&](const Loss& loss) { return FieldOf(kept->Differentiate(loss).status()); };
  const Loss unsaved = Squares({Channel::Kind::kState, 0}, {4, 3.5}, {1, 1});
  EXPECT_EQ(field(unsaved), "loss.terms[0].times[1]");
  EXPECT_THAT(kept->Differentiate(unsaved).status().message(), HasSubstr("nearest is 4"));
  Loss expression;
  expression.terms.emplace_back(ExpressionLoss{.text = "sum(x)", .times = {6}, .data = {}});
  EXPECT_EQ(field(expression), "loss.terms[0].expression.times[0]");
  Loss running = Weighted(1);
  running.terms.emplace_back(IntegralLoss{"x^2"});
  EXPECT_EQ(field(running), "loss.terms[1].integral");
  EXPECT_EQ(field(Squares({Channel::Kind::kState, 5}, {4}, {1})), "loss.terms[0].channel");
  EXPECT_EQ(FieldOf(kept->ComputeVjp({Weighted(1), unsaved}).status()), "cotangents[1].terms[0]");
  EXPECT_EQ(FieldOf(kept->ComputeVjp({}).status()), "cotangents");
  Loss wrong_time;
  wrong_time.terms.emplace_back(Linear{.times = {2}, .states = {1, 1}, .outputs = {}});
  EXPECT_EQ(FieldOf(kept->ComputeVjp({wrong_time}).status()), "cotangents[0].terms[0].times[0]");
  KeepRequest batch = Keeping(GradientMethod::kBackprop);
  batch.simulation.params = {Batch("a", {1, 2})};
  EXPECT_EQ(FieldOf(MustKeep(batch)->ComputeVjp({Weighted(1)}).status()), "kept_solve");
}

}  // namespace
}  // namespace costate
