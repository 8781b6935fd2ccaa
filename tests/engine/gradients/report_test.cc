#include "engine/gradients/report.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

// |p*g| = 5 at p = (1, 2), with figures that find nothing wrong.
ReportContext Context() {
  ReportContext context;
  context.gradient = {3, 2};
  context.column_values = {1, 2};
  context.rtol = 1e-6;
  return context;
}
GradientReport Clean() {
  GradientReport report;
  report.loss = report.plain_loss = 1;
  report.noise_floor = {3e-6, 2e-6};
  report.refinement_difference = {3e-6, 2e-6};
  report.tangent_error_quantile90 = 0.9;
  report.tangent_error_max = 1;
  report.tangents_controlled = true;
  report.stiffness_share = 0;
  report.residual_norm = 1;
  report.saved_error_norm = 1e-6;
  return report;
}

Verdict Of(GradientReport report, const ReportContext& context = Context()) {
  Judge(context, &report);
  EXPECT_THAT(report.summary, Not(IsEmpty()));
  EXPECT_TRUE(report.verdict == Verdict::kGood || !report.advice.empty());
  return report.verdict;
}

TEST(Judge, Good) {
  GradientReport report = Clean();
  Judge(Context(), &report);
  EXPECT_EQ(report.verdict, Verdict::kGood);
  EXPECT_THAT(report.advice, IsEmpty());
  EXPECT_THAT(report.scaled_norm, DoubleEq(5));
  EXPECT_THAT(report.scaled_error, DoubleEq(5e-6));
  EXPECT_THAT(report.cosine_uncertainty, DoubleEq(1e-6));
  EXPECT_THAT(report.abs_error, ElementsAre(DoubleEq(3e-6), DoubleEq(2e-6)));
  EXPECT_NEAR(report.digits[0], 6, 1e-12);
  EXPECT_TRUE(report.error_measured);
}

TEST(Judge, ErrorsByWhatWasMeasured) {
  GradientReport report = Clean();
  report.noise_floor = {1e-3, 1e-9};
  report.second_method_difference = {1, 1};  // refinement comes first
  report.refinement_difference = {2e-4, 5e-4};
  Judge(Context(), &report);
  EXPECT_THAT(report.abs_error, ElementsAre(DoubleEq(1e-3), DoubleEq(5e-4)));

  report.refinement_difference.clear();
  report.second_method_difference = {2e-4, 5e-4};
  Judge(Context(), &report);
  EXPECT_THAT(report.abs_error, ElementsAre(DoubleEq(1.2e-3), DoubleEq(5e-4 + 1e-9)));
  EXPECT_TRUE(report.error_measured);

  report.second_method_difference.clear();
  Judge(Context(), &report);
  EXPECT_FALSE(report.error_measured);
  EXPECT_NEAR(report.abs_error[0], 1e-3 + 5 * 0.9e-6 * 3, 1e-15);
  EXPECT_THAT(report.summary, HasSubstr("not measured"));
}

// A difference that vanishes in one component says nothing about that component.
TEST(Judge, DistrustsLuckInOneComponent) {
  GradientReport report = Clean();
  report.noise_floor = {0, 0};
  report.refinement_difference = {0.03, 0};
  Judge(Context(), &report);
  EXPECT_NEAR(report.abs_error[1], 0.1 * 0.03 / 5 * 2, 1e-15);
}

TEST(Judge, UnknownWithoutFigures) {
  GradientReport report;
  Judge(Context(), &report);
  EXPECT_EQ(report.verdict, Verdict::kUnknown);
  EXPECT_THAT(report.abs_error, IsEmpty());
  EXPECT_TRUE(std::isnan(report.scaled_error));
  EXPECT_THAT(report.advice[0], HasSubstr("tolerance_refinement"));
  // The floor of a linear loss is zero, which is no measurement.
  report.noise_floor = {0, 0};
  EXPECT_EQ(Of(report), Verdict::kUnknown);
}

TEST(Judge, FailedWhenEndedEarlyNotFiniteOrLost) {
  ReportContext context = Context();
  context.termination = Termination::Reason::kStepUnderflow;
  EXPECT_EQ(Of(Clean(), context), Verdict::kFailed);
  context = Context();
  context.gradient[1] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(Of(Clean(), context), Verdict::kFailed);
  GradientReport report = Clean();
  report.reconstruction_error = 1001;
  EXPECT_EQ(Of(report), Verdict::kFailed);
  report.reconstruction_error = 999;
  EXPECT_EQ(Of(report), Verdict::kGood);
}

// Each figure just below and just above its threshold.
TEST(Judge, Boundaries) {
  const auto with = [](auto change) {
    GradientReport report = Clean();
    change(report);
    return Of(report);
  };
  EXPECT_EQ(with([](GradientReport& r) { r.growth = 1.01e10; }), Verdict::kChaotic);
  EXPECT_EQ(with([](GradientReport& r) { r.growth = 0.99e10; }), Verdict::kToleranceTooLoose);
  EXPECT_EQ(with([](GradientReport& r) { r.growth = 1.01e6; }), Verdict::kToleranceTooLoose);
  EXPECT_EQ(with([](GradientReport& r) { r.growth = 0.99e6; }), Verdict::kGood);
  const auto ratio = [&](double quantile, bool controlled) {
    return with([&](GradientReport& r) {
      r.tangent_error_quantile90 = quantile;
      r.tangents_controlled = controlled;
    });
  };
  EXPECT_EQ(ratio(2.01e4, false), Verdict::kUncontrolled);
  EXPECT_EQ(ratio(1.99e4, false), Verdict::kGood);
  EXPECT_EQ(ratio(2.01e4, true), Verdict::kGood);
  const auto refined = [&](double relative) {
    return with([&](GradientReport& r) { r.refinement_difference = {3 * relative, 2 * relative}; });
  };
  EXPECT_EQ(refined(1.01), Verdict::kIndistinguishableFromZero);
  EXPECT_EQ(refined(0.99), Verdict::kRough);
  EXPECT_EQ(refined(0.051), Verdict::kRough);
  EXPECT_EQ(refined(0.049), Verdict::kGood);
  EXPECT_EQ(with([](GradientReport& r) { r.residual_norm = 2.9e-6; }), Verdict::kDataAtSolverNoise);
  EXPECT_EQ(with([](GradientReport& r) { r.residual_norm = 3.1e-6; }), Verdict::kGood);
}

// Most of the gradient comes from which steps were taken.
TEST(Judge, StepsDecide) {
  GradientReport report = Clean();
  report.same_steps = false;
  report.plain_loss = 0;
  report.plain_difference = {3, 2};
  Judge(Context(), &report);
  EXPECT_EQ(report.verdict, Verdict::kIndistinguishableFromZero);
  EXPECT_THAT(report.abs_error, ElementsAre(3, 2));
  EXPECT_THAT(report.summary, HasSubstr("plain solve"));
  report.plain_difference = {3 * 0.7, 2 * 0.7};
  EXPECT_EQ(Of(report), Verdict::kGood);
}

TEST(Judge, StabilityLimitedUnlessTheErrorWasMeasured) {
  GradientReport report = Clean();
  report.stiffness_share = 0.31;
  EXPECT_EQ(Of(report), Verdict::kGood);
  report.refinement_difference.clear();
  EXPECT_EQ(Of(report), Verdict::kStabilityLimited);
  report.stiffness_share = 0.29;
  EXPECT_EQ(Of(report), Verdict::kGood);
}

// Refinement alone does not clear uncontrolled tangents, with a witness of another kind it does.
TEST(Judge, UncontrolledUnlessTwoWitnessesAgree) {
  GradientReport report = Clean();
  report.tangents_controlled = false;
  report.tangent_error_quantile90 = 1e5;
  EXPECT_EQ(Of(report), Verdict::kUncontrolled);
  report.second_method_difference = {0.3, 0.2};
  EXPECT_EQ(Of(report), Verdict::kUncontrolled);
  report.second_method_difference = {3e-5, 2e-5};
  EXPECT_EQ(Of(report), Verdict::kGood);
  report.second_method_difference.clear();
  report.directional_derivative = 1;
  report.directional_difference = 1.0001;
  report.directional_noise = 1e-5;
  EXPECT_EQ(Of(report), Verdict::kGood);
  report.directional_noise = 1;
  EXPECT_EQ(Of(report), Verdict::kUncontrolled);
  report.directional_noise = 1e-5;
  report.refinement_difference.clear();
  EXPECT_EQ(Of(report), Verdict::kUncontrolled);
}

// Everything wrong at once, then mended in order of the verdicts.
TEST(Judge, Precedence) {
  ReportContext context = Context();
  context.termination = Termination::Reason::kMaxSteps;
  GradientReport report = Clean();
  report.growth = 1e11;
  report.tangents_controlled = false;
  report.tangent_error_quantile90 = 1e6;
  report.refinement_difference = {3, 2};
  report.residual_norm = 0;
  report.stiffness_share = 1;
  EXPECT_EQ(Of(report, context), Verdict::kFailed);
  context.termination = Termination::Reason::kReachedEnd;
  EXPECT_EQ(Of(report, context), Verdict::kChaotic);
  report.growth = 1e9;
  EXPECT_EQ(Of(report, context), Verdict::kUncontrolled);
  report.tangent_error_quantile90 = 1;
  EXPECT_EQ(Of(report, context), Verdict::kToleranceTooLoose);
  report.growth = 1;
  EXPECT_EQ(Of(report, context), Verdict::kIndistinguishableFromZero);
  report.refinement_difference = {0.3, 0.2};
  EXPECT_EQ(Of(report, context), Verdict::kDataAtSolverNoise);
  report.residual_norm = 1;
  EXPECT_EQ(Of(report, context), Verdict::kStabilityLimited);
  report.stiffness_share = 0;
  EXPECT_EQ(Of(report, context), Verdict::kRough);
  report.refinement_difference = {0, 0};
  EXPECT_EQ(Of(report, context), Verdict::kGood);
}

TEST(Judge, ADirectionalDifferenceThatIsOffRaisesTheError) {
  GradientReport report = Clean();
  report.directional_derivative = 1;
  report.directional_difference = 1.1;
  report.directional_noise = 0.01;
  Judge(Context(), &report);
  EXPECT_NEAR(report.scaled_error, 0.09 * std::sqrt(2), 1e-12);
  report.directional_noise = 0.2;
  Judge(Context(), &report);
  EXPECT_NEAR(report.scaled_error, 5e-6, 1e-15);
}

// A loss in other units is judged alike, however large or small those are.
TEST(Judge, UnitsOfTheLossDoNotMatter) {
  for (const double unit : {1e-200, 1e200}) {
    ReportContext context = Context();
    GradientReport report = Clean();
    for (std::vector<double>* figures :
         {&context.gradient, &report.noise_floor, &report.refinement_difference}) {
      for (double& x : *figures) x *= unit;
    }
    Judge(context, &report);
    EXPECT_EQ(report.verdict, Verdict::kGood) << unit;
    EXPECT_THAT(report.scaled_norm, DoubleEq(5 * unit));
    EXPECT_NEAR(report.cosine_uncertainty, 1e-6, 1e-15);
  }
}

// `method` is the solver's; every advice that names another gradient method names its argument.
TEST(Judge, AdviceCallsTheArgumentByItsName) {
  std::vector<std::string> advice;
  const auto collect = [&](auto change) {
    ReportContext context = Context();
    context.method = GradientMethod::kBacksolve;
    GradientReport report = Clean();
    report.tangents_controlled = false;
    change(context, report);
    Judge(context, &report);
    advice.insert(advice.end(), report.advice.begin(), report.advice.end());
  };
  collect([](ReportContext& c, GradientReport&) { c.gradient[0] = kNotComputed; });
  collect(
      [](ReportContext& c, GradientReport&) { c.termination = Termination::Reason::kMaxSteps; });
  collect([](ReportContext&, GradientReport& r) { r.reconstruction_error = 1e6; });
  collect([](ReportContext&, GradientReport& r) { r.tangent_error_quantile90 = 1e6; });
  collect([](ReportContext&, GradientReport& r) { r.refinement_difference = {0.3, 0.2}; });
  collect([](ReportContext&, GradientReport& r) {
    r.refinement_difference.clear();
    r.stiffness_share = 1;
  });
  int named = 0;
  for (const std::string& text : advice) {
    const size_t at = text.find("method='");
    if (at == std::string::npos) continue;
    ++named;
    EXPECT_TRUE(at >= 9 && text.substr(at - 9, 9) == "gradient_") << text;
  }
  EXPECT_GE(named, 6);
}

TEST(Judge, AdviceFitsTheWayBack) {
  ReportContext context = Context();
  context.method = GradientMethod::kReversible;
  GradientReport report = Clean();
  report.reconstruction_error = 1e6;
  Judge(context, &report);
  EXPECT_EQ(report.verdict, Verdict::kFailed);
  EXPECT_THAT(report.summary, HasSubstr("undoing steps are off by 1e+06 tolerances"));
  ASSERT_EQ(report.advice.size(), 2u);
  EXPECT_THAT(report.advice[0], HasSubstr("Leave checkpoint_every out"));
  context.method = GradientMethod::kBacksolve;
  report = Clean();
  report.reconstruction_error = 1e6;
  Judge(context, &report);
  EXPECT_THAT(report.summary, HasSubstr("solved backwards is off by 1e+06 tolerances"));
}

TEST(Judge, AdviceNamesValues) {
  GradientReport report = Clean();
  report.growth = 1e8;
  Judge(Context(), &report);
  EXPECT_THAT(report.advice[0], HasSubstr("rtol=1e-10 (now 1e-06)"));
  report = Clean();
  report.refinement_difference = {0.3, 0.2};
  ReportContext fixed = Context();
  fixed.rtol = kNotComputed;
  Judge(fixed, &report);
  EXPECT_THAT(report.advice[0], HasSubstr("half the step size"));
}

TEST(Names, AreThoseOfTheWire) {
  EXPECT_EQ(VerdictName(Verdict::kIndistinguishableFromZero), "INDISTINGUISHABLE_FROM_ZERO");
  EXPECT_EQ(CheckName(Check::kNoiseFloor), "noise_floor");
}

}  // namespace
}  // namespace costate
