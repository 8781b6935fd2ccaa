// The estimate against sizes counted by hand: doubles of 8 bytes.
#include "server/handlers/memory_estimate.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "engine/base/limits.h"
#include "engine/kept_solve.h"
#include "tests/server/compiled_model.h"

namespace costate {
namespace {

constexpr int64_t kMessage = 1 << 20;

// n = 5 states, 5 outputs, m = 4 parameters.
Simulation Tensors() {
  Simulation simulation;
  simulation.model = ModelOf(kTensorModel);
  simulation.t1 = {1};
  simulation.options.save.kind = SaveAt::Kind::kTimes;
  simulation.options.save.times.assign(100, 0.5);
  return simulation;
}

TEST(EstimateSolveBytes, CountsResultAndAnswer) {
  SolveRequest request = {.simulation = Tensors()};
  const int64_t own = 8 * (5 + 4);
  EXPECT_EQ(EstimateSolveBytes(request, false, kMessage), own + 2 * 8 * 100 * 11);
  EXPECT_EQ(EstimateSolveBytes(request, true, kMessage), own);
  request.want_outputs = false;
  EXPECT_EQ(EstimateSolveBytes(request, false, kMessage), own + 2 * 8 * 100 * 6);
  request.simulation.params = {{.name = "k", .shape = {7}, .values = std::vector<double>(7, 1)}};
  EXPECT_EQ(EstimateSolveBytes(request, false, kMessage), 7 * (own + 2 * 8 * 100 * 6));
}

TEST(EstimateSolveBytes, RowsOfStepsEndWithTheMessage) {
  SolveRequest request = {.simulation = Tensors()};
  request.simulation.options.save.kind = SaveAt::Kind::kSteps;
  request.simulation.options.max_steps = 10;
  EXPECT_EQ(EstimateSolveBytes(request, false, kMessage), 8 * 9 + 2 * 8 * 10 * 11);
  request.simulation.options.max_steps = limits::kMaxSteps;
  request.simulation.t1 = {1e9};
  request.simulation.options.control.kind = StepControl::Kind::kFixed;
  request.simulation.options.control.fixed_step = 1;
  EXPECT_EQ(EstimateSolveBytes(request, false, kMessage), 8 * 9 + 2 * kMessage);
}

// A reverse pass stores each step with its stages; the engine's bound is the most.
TEST(EstimateGradientBytes, CountsStoredStepsOrTangents) {
  GradientRequest request = {.simulation = Tensors()};
  request.simulation.method_auto = false;
  request.simulation.options.method = Method::kRk4;
  request.simulation.options.control.kind = StepControl::Kind::kFixed;
  request.simulation.options.control.fixed_step = 0x1p-10;
  request.gradient.method = GradientMethod::kBackprop;
  const int64_t common = 8 * 9 + 8 * 11 + 2 * 8 * 4;
  const int64_t steps = 8 * 1024 * (1 + 5 * (1 + 4));
  EXPECT_EQ(EstimateGradientBytes(request, 4), common + steps);
  request.gradient.method = GradientMethod::kForward;
  const int64_t tangents = 8 * 10 * 4 + 8 * (7 * 5 + 4) * 4;
  EXPECT_EQ(EstimateGradientBytes(request, 4), common + tangents);
  request.gradient.method = GradientMethod::kAuto;
  EXPECT_EQ(EstimateGradientBytes(request, 4), common + steps);
  request.simulation.options.max_steps = limits::kMaxSteps;
  request.simulation.options.control.fixed_step = 1e-9;
  request.gradient.method = GradientMethod::kBackprop;
  EXPECT_EQ(EstimateGradientBytes(request, 4), common + limits::kMaxRecordingBytes);
}

TEST(EstimateGradientBytes, CountsReports) {
  GradientRequest request = {.simulation = Tensors()};
  request.gradient.method = GradientMethod::kForward;
  request.loss.terms.emplace_back(ExpressionLoss{.text = "x", .times = {1, 2, 3}, .data = {}});
  const int64_t without = EstimateGradientBytes(request, 4);
  request.gradient.report.wanted = true;
  const int64_t rows = 4, values = 11;
  EXPECT_EQ(EstimateGradientBytes(request, 4),
            without + 2 * 8 * rows * values + 2 * (6 * 8 * 4 + 1024))
      << "one report";
  const int64_t basic = EstimateGradientBytes(request, 4);
  request.gradient.report.second_method = true;
  EXPECT_GT(EstimateGradientBytes(request, 4), basic + 8 * 10'000) << "stored steps";
}

// Never more than the answer has: what could be sent is not refused.
TEST(LeastGradientAnswerBytes, CountsWhatIsCertain) {
  GradientRequest request = {.simulation = Tensors()};
  request.simulation.t1.assign(1000, 1.0);
  Linear linear;
  linear.times = {1, 0.5, 1, 0.5, 0.25};  // three different ones
  request.loss.terms.push_back(linear);
  request.gradient.report.wanted = false;
  const double plain = LeastGradientAnswerBytes(request, 4, false);
  EXPECT_GE(plain, 1000 * 8 * (1 + 4));
  EXPECT_LE(plain, 1000 * (8 * (1 + 4) + 24));
  EXPECT_EQ(LeastGradientAnswerBytes(request, 4, true) - plain, 1000 * 8 * 3 * 10);
  request.gradient.want_times = true;
  EXPECT_EQ(LeastGradientAnswerBytes(request, 4, false) - plain, 1000 * 8 * 3);
  request.gradient.want_times = false;
  request.gradient.report = {.wanted = true, .every = 1};
  EXPECT_EQ(LeastGradientAnswerBytes(request, 4, false) - plain, 1000 * 400);
  request.gradient.report.every = 3;
  EXPECT_EQ(LeastGradientAnswerBytes(request, 4, false) - plain, 334 * 400);
}

TEST(EstimateGradientBytes, DifferencesStoreNoSteps) {
  GradientRequest request = {.simulation = Tensors()};
  request.gradient.method = GradientMethod::kFiniteDifference;
  const int64_t difference = EstimateGradientBytes(request, 4);
  request.gradient.method = GradientMethod::kGauss;
  EXPECT_LT(difference, EstimateGradientBytes(request, 4));
  request.gradient.adjoint.memory_budget = 1 << 20;
  const int64_t bounded = EstimateGradientBytes(request, 4);
  EXPECT_LT(bounded, (1 << 20) + (1 << 16));
  EXPECT_GT(bounded, 1 << 20);
}

TEST(EstimateCheckBytes, TakesTheLargestMethod) {
  CheckRequest request;
  request.gradient.simulation = Tensors();
  request.methods = {GradientMethod::kFiniteDifference};
  const int64_t difference = EstimateCheckBytes(request, 4);
  request.methods = {GradientMethod::kFiniteDifference, GradientMethod::kBackprop};
  const int64_t both = EstimateCheckBytes(request, 4);
  EXPECT_GT(both, difference);
  request.methods = {GradientMethod::kBackprop};
  EXPECT_LT(EstimateCheckBytes(request, 4), both) << "the results of all are kept";
}

TEST(EstimateDiskBytes, CountsCheckpointsBeyondMemory) {
  Simulation simulation = Tensors();
  simulation.options.control.kind = StepControl::Kind::kFixed;
  simulation.options.control.fixed_step = 0x1p-10;
  AdjointOptions adjoint;
  adjoint.memory_budget = 4000;
  EXPECT_EQ(EstimateDiskBytes(simulation, adjoint, GradientMethod::kAuto), 1024 * 8 * 5 - 1000);
  adjoint.checkpoints = 100;
  EXPECT_EQ(EstimateDiskBytes(simulation, adjoint, GradientMethod::kCheckpointed), 3000);
  adjoint.checkpoints = 1'000'000'000;
  EXPECT_EQ(EstimateDiskBytes(simulation, adjoint, GradientMethod::kCheckpointed),
            1024 * 8 * 5 - 1000);
  EXPECT_EQ(EstimateDiskBytes(simulation, adjoint, GradientMethod::kSegmented), 0);
  adjoint.memory_budget = 1 << 20;
  EXPECT_EQ(EstimateDiskBytes(simulation, adjoint, GradientMethod::kCheckpointed), 0);
}

TEST(EstimateHvpBytes, GrowsWithVectors) {
  HvpRequest request;
  request.simulation = Tensors();
  request.simulation.options.max_steps = 100;
  const int64_t one = EstimateHvpBytes(request, 4, 1);
  EXPECT_GT(EstimateHvpBytes(request, 4, 10), 4 * one);
}

TEST(EstimateVjpBytes, CountsGradientsOfEachCotangent) {
  VjpRequest request = {.simulation = Tensors()};
  request.gradient.method = GradientMethod::kForward;
  request.cotangents.resize(3);
  const int64_t one = EstimateVjpBytes(request, 4);
  EXPECT_GT(one, 2 * 8 * 3 * 4);
  request.cotangents.resize(1000);
  EXPECT_GT(EstimateVjpBytes(request, 4) - one, 2 * 8 * 997 * 4);
}

TEST(EstimateTangentBytes, GrowsWithDirections) {
  const int64_t one = EstimateTangentBytes(Tensors(), 4, 1);
  const int64_t own = 8 * 9;
  EXPECT_GT(one, own + 2 * 8 * 100 * 10);
  EXPECT_EQ(EstimateTangentBytes(Tensors(), 4, 6) - own, 6 * (one - own));
}

// Passes of all trajectories are held together, saved values three times: kept, copied, answered.
TEST(EstimateKeepBytes, CountsAllPasses) {
  KeepRequest request = {.simulation = Tensors()};
  request.simulation.method_auto = false;
  request.simulation.options.method = Method::kRk4;
  request.simulation.options.control.kind = StepControl::Kind::kFixed;
  request.simulation.options.control.fixed_step = 0x1p-10;
  request.gradient.method = GradientMethod::kBackprop;
  const int64_t steps = 8 * 1024 * (1 + 5 * (1 + 4));
  EXPECT_EQ(EstimateKeepBytes(request, 4), 8 * 9 + 3 * 8 * 100 * 11 + steps);
  request.simulation.params = {{.name = "k", .shape = {3}, .values = {1, 1, 1}}};
  EXPECT_EQ(EstimateKeepBytes(request, 4), 3 * (8 * 9 + 3 * 8 * 100 * 11 + steps));
  request.gradient.adjoint.memory_budget = 1000;
  EXPECT_EQ(EstimateKeepBytes(request, 4), 3 * (8 * 9 + 3 * 8 * 100 * 11) + 1000);
}

TEST(EstimateKeptBytes, CountsResultsAndWeights) {
  KeepRequest request = {.simulation = Tensors()};
  request.simulation.options.save.times = {0.25, 0.5};
  const auto kept = InterpretingEngine().Keep(request).value();
  // [2, 11] saved values, one more set for each cotangent, and gradients of 4 columns.
  EXPECT_EQ(EstimateKeptBytes(*kept, 1), 2 * 8 * (2 * 11 + 2 * 11 + 4));
  EXPECT_EQ(EstimateKeptBytes(*kept, 9), 2 * 8 * (2 * 11 + 9 * 2 * 11 + 9 * 4));
}

}  // namespace
}  // namespace costate
