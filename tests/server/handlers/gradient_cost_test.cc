// Costs against each other: what does more work costs more, and texts count before they are known.
#include "server/handlers/gradient_cost.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/limits.h"
#include "tests/server/compiled_model.h"

namespace costate {
namespace {

GradientRequest Request(GradientMethod method) {
  GradientRequest request;
  request.simulation.model = ModelOf(kTensorModel);
  request.simulation.t1 = {1};
  request.gradient.method = method;
  return request;
}

double Solves(const GradientRequest& request, int64_t columns) {
  return EstimateGradientCost(request, columns) / Engine::EstimateCost(request.simulation, 0);
}

TEST(EstimateGradientCost, GrowsWithColumnsWhereTheMethodDoes) {
  for (const GradientMethod method : AllGradientMethods()) {
    const GradientRequest request = Request(method);
    const bool by_column = method == GradientMethod::kForward ||
                           GetGradientMethodInfo(method).family == GradientFamily::kDifference;
    EXPECT_EQ(Solves(request, 1000) > Solves(request, 1), by_column)
        << GetGradientMethodInfo(method).name;
    EXPECT_GE(Solves(request, 1), 2);
  }
  EXPECT_EQ(Solves(Request(GradientMethod::kAuto), 1000),
            Solves(Request(GradientMethod::kAuto), 1e6))
      << "auto goes in reverse";
}

TEST(EstimateGradientCost, AddsEachCheckOfAReport) {
  GradientRequest request = Request(GradientMethod::kBackprop);
  const double plain = Solves(request, 3);
  request.gradient.report.growth = true;
  EXPECT_EQ(Solves(request, 3), plain) << "no report, no check";
  request.gradient.report = {.wanted = true};
  const double basic = Solves(request, 3);
  EXPECT_GT(basic, plain + 2);
  EXPECT_LT(basic, plain + 8);
  for (bool ReportOptions::* check :
       {&ReportOptions::tolerance_refinement, &ReportOptions::second_method,
        &ReportOptions::directional_difference, &ReportOptions::growth,
        &ReportOptions::linear_range}) {
    request.gradient.report = {.wanted = true};
    request.gradient.report.*check = true;
    EXPECT_GT(Solves(request, 3), basic + 1);
  }
}

TEST(EstimateGradientCost, CountsTheReportsOfABatch) {
  GradientRequest request = Request(GradientMethod::kBackprop);
  request.simulation.t1.assign(64, request.simulation.t1[0]);
  const double plain = Solves(request, 3);
  request.gradient.report = {.wanted = true, .every = 1};
  const double all = Solves(request, 3) - plain;
  request.gradient.report.every = 0;
  EXPECT_NEAR(Solves(request, 3) - plain, all / 16, 1e-9 * all);
  request.gradient.report.every = 100;
  EXPECT_NEAR(Solves(request, 3) - plain, all / 64, 1e-9 * all);
}

TEST(EstimateVjpCost, CountsCotangents) {
  VjpRequest request;
  request.simulation = Request(GradientMethod::kAuto).simulation;
  request.gradient.method = GradientMethod::kBackprop;
  request.cotangents.resize(1);
  const double one = EstimateVjpCost(request, 4);
  request.cotangents.resize(7);
  EXPECT_EQ(EstimateVjpCost(request, 4), 7 * one);
}

TEST(EstimateHvpCost, CountsVectors) {
  HvpRequest request;
  request.simulation = Request(GradientMethod::kAuto).simulation;
  const double one = EstimateHvpCost(request, 1);
  EXPECT_GT(one, Engine::EstimateCost(request.simulation, 0));
  EXPECT_GT(EstimateHvpCost(request, 100), 50 * one);
}

TEST(EstimateCheckCost, IsTheSumOfItsMethods) {
  CheckRequest request;
  request.gradient = Request(GradientMethod::kAuto);
  request.methods = {GradientMethod::kForward};
  const double forward = EstimateCheckCost(request, 4);
  request.methods = {GradientMethod::kGauss};
  const double gauss = EstimateCheckCost(request, 4);
  request.methods = {GradientMethod::kForward, GradientMethod::kGauss};
  EXPECT_EQ(EstimateCheckCost(request, 4), forward + gauss);
}

TEST(EstimateLossCompileCost, CountsTexts) {
  Loss loss;
  loss.terms.emplace_back(Terminal{});
  EXPECT_EQ(EstimateLossCompileCost(loss), 0);
  loss.terms.emplace_back(IntegralLoss{std::string(1 << 20, 'x')});
  EXPECT_GT(EstimateLossCompileCost(loss), limits::kInteractiveCost) << "not beside small calls";
  const double integral = EstimateLossCompileCost(loss);
  loss.terms.emplace_back(
      ExpressionLoss{.text = std::string(1 << 20, 'x'), .times = {}, .data = {}});
  EXPECT_EQ(EstimateLossCompileCost(loss), 2 * integral);
}

TEST(EstimateKeepCost, IsThatOfAGradientWithoutReport) {
  const GradientRequest gradient = Request(GradientMethod::kGauss);
  const KeepRequest keep = {.simulation = gradient.simulation, .gradient = gradient.gradient};
  EXPECT_EQ(EstimateKeepCost(keep, 3), EstimateGradientCost(gradient, 3));
}

}  // namespace
}  // namespace costate
