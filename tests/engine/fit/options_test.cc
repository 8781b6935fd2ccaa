#include <optional>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "engine/fit/fit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/fit/fake_objective.h"

namespace costate::fit {
namespace {

using testing::Element;
using testing::FakeObjective;
using ::testing::HasSubstr;
using testing::LinearModel;

FakeObjective OfSize(int64_t q, int64_t parts = 1) {
  std::vector<FreeElement> elements;
  for (int64_t j = 0; j < q; ++j) elements.push_back(Element("e" + std::to_string(j), 1));
  return FakeObjective(elements, LinearModel({}, {}), parts);
}

FitOptions Asking(optimise::Algorithm algorithm) {
  FitOptions options;
  options.method_auto = false;
  options.optimiser.algorithm = algorithm;
  return options;
}

void ExpectRefused(const Objective& objective, const FitOptions& options, const std::string& field,
                   const std::string& message) {
  const absl::Status status = ResolveFitOptions(objective, options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << field;
  EXPECT_EQ(FieldOf(status), std::optional<std::string>(field)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

TEST(FitOptionsTest, ChoosesTheMethodBySize) {
  const FitOptions small = ResolveFitOptions(OfSize(200), {}).value();
  EXPECT_EQ(small.optimiser.algorithm, optimise::Algorithm::kLevenbergMarquardt);
  EXPECT_EQ(small.optimiser.max_iterations, 200);
  EXPECT_FALSE(small.method_auto || small.max_iterations_auto);
  const FitOptions large = ResolveFitOptions(OfSize(201), {}).value();
  EXPECT_EQ(large.optimiser.algorithm, optimise::Algorithm::kLbfgsb);
}

TEST(FitOptionsTest, ChoosesIterationsByMethod) {
  const auto iterations = [](FitOptions options) {
    return ResolveFitOptions(OfSize(2), options).value().optimiser.max_iterations;
  };
  EXPECT_EQ(iterations(Asking(optimise::Algorithm::kLbfgsb)), 200);
  EXPECT_EQ(iterations(Asking(optimise::Algorithm::kAdam)), 1000);
  EXPECT_EQ(iterations(Asking(optimise::Algorithm::kAdamW)), 1000);
  FitOptions nlopt = Asking(optimise::Algorithm::kNlopt);
  nlopt.optimiser.nlopt_algorithm = "LN_BOBYQA";
  EXPECT_EQ(iterations(nlopt), 10'000);
  nlopt.max_iterations_auto = false;
  nlopt.optimiser.max_iterations = 77;
  EXPECT_EQ(iterations(nlopt), 77);
}

TEST(FitOptionsTest, WhatIsResolvedStaysSo) {
  const FakeObjective objective = OfSize(3, 4);
  FitOptions options = Asking(optimise::Algorithm::kAdam);
  options.optimiser.batch_size = 2;
  const FitOptions once = ResolveFitOptions(objective, options).value();
  EXPECT_EQ(once.optimiser.num_parts, 4);
  const FitOptions twice = ResolveFitOptions(objective, once).value();
  EXPECT_EQ(twice.optimiser.max_iterations, once.optimiser.max_iterations);
  EXPECT_EQ(twice.optimiser.algorithm, once.optimiser.algorithm);
}

TEST(FitOptionsTest, BoundsTheNumberOfStarts) {
  FitOptions options;
  options.starts = 0;
  ExpectRefused(OfSize(2), options, "starts", "1 to 1000000");
  options.starts = 1'000'001;
  ExpectRefused(OfSize(2), options, "starts", "1 to 1000000");
  options.starts = 1'000'000;
  EXPECT_TRUE(ResolveFitOptions(OfSize(2), options).ok());
  ExpectRefused(OfSize(100), options, "starts", "at most 167772 with 100 free elements");
}

TEST(FitOptionsTest, RefusesWhatTheMethodHasNoUseFor) {
  FitOptions options;
  options.optimiser.clip_norm = 1;
  ExpectRefused(OfSize(2), options, "clip_norm", "levenberg_marquardt has no use for it");
  options = Asking(optimise::Algorithm::kLbfgsb);
  options.optimiser.batch_size = 1;
  ExpectRefused(OfSize(2), options, "batch_size", "or use adam or adamw");
  options = Asking(optimise::Algorithm::kLbfgsb);
  options.optimiser.schedule.kind = optimise::Schedule::Kind::kCosine;
  ExpectRefused(OfSize(2), options, "schedule", "adam or adamw");
  options = Asking(optimise::Algorithm::kAdam);
  options.optimiser.nlopt_algorithm = "LN_BOBYQA";
  ExpectRefused(OfSize(2), options, "nlopt_algorithm", "or use nlopt");
}

TEST(FitOptionsTest, BatchesAreOfConditions) {
  FitOptions options = Asking(optimise::Algorithm::kAdam);
  options.optimiser.batch_size = 3;
  EXPECT_TRUE(ResolveFitOptions(OfSize(2, 3), options).ok());
  ExpectRefused(OfSize(2, 2), options, "batch_size", "0 (all) to 2");
  options.optimiser.batch_size = -1;
  ExpectRefused(OfSize(2, 2), options, "batch_size", "0 (all) to 2");
}

TEST(FitOptionsTest, RangesAreThoseOfTheOptimiser) {
  FitOptions options = Asking(optimise::Algorithm::kAdam);
  options.optimiser.learning_rate = -1;
  ExpectRefused(OfSize(2), options, "learning_rate", "-1");
  options = Asking(optimise::Algorithm::kNlopt);
  options.optimiser.nlopt_algorithm = "LN_SBPLX";
  ExpectRefused(OfSize(1001), options, "nlopt_algorithm", "at most 1000 free elements");
  options.starts = 1001;
  ExpectRefused(OfSize(2), options, "starts", "at most 1000 with nlopt");
  options = Asking(optimise::Algorithm::kNlopt);
  options.optimiser.nlopt_algorithm = "LD_SLSQP";
  ExpectRefused(OfSize(2), options, "nlopt_algorithm", "LD_SLSQP");
}

TEST(FitOptionsTest, GlobalMethodsNeedABox) {
  FitOptions options = Asking(optimise::Algorithm::kNlopt);
  options.optimiser.nlopt_algorithm = "GN_CRS2_LM";
  ExpectRefused(OfSize(2), options, "nlopt_algorithm", "'e0' has none on one side");
  const FakeObjective boxed({Element("a", 1, 0, 2), Element("b", 1, 0.1, 2, Scale::kLog)},
                            LinearModel({}, {}));
  EXPECT_TRUE(ResolveFitOptions(boxed, options).ok());
  const FakeObjective logit({Element("a", 1, 0, 2, Scale::kLogit)}, LinearModel({}, {}));
  ExpectRefused(logit, options, "nlopt_algorithm", "search it on another scale");
  options.optimiser.nlopt_algorithm = "LN_SBPLX";
  EXPECT_TRUE(ResolveFitOptions(OfSize(2), options).ok());
}

TEST(FitOptionsTest, GradientsMustFitTheMethod) {
  FitOptions options;
  options.gradient.method = GradientMethod::kForward;
  EXPECT_TRUE(ResolveFitOptions(OfSize(2), options).ok());
  options.gradient.method = GradientMethod::kBackprop;
  ExpectRefused(OfSize(2), options, "gradient.method", "or use the method lbfgsb with backprop");
  options.method_auto = false;
  options.optimiser.algorithm = optimise::Algorithm::kLbfgsb;
  EXPECT_TRUE(ResolveFitOptions(OfSize(2), options).ok());
  options.optimiser.algorithm = optimise::Algorithm::kNlopt;
  options.optimiser.nlopt_algorithm = "LN_SBPLX";
  ExpectRefused(OfSize(2), options, "gradient.method", "take no gradients");
  options = {};
  options.gradient.adjoint.checkpoints = 4;
  ExpectRefused(OfSize(2), options, "gradient.checkpoints", "forward has no use for it");
}

}  // namespace
}  // namespace costate::fit
