#include "server/convert/report.h"

#include <cmath>
#include <set>
#include <string>

#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::ElementsAre;

TEST(GradientReportToProto, ConvertsEveryFigure) {
  GradientReport report;
  report.scaled_norm = 1;
  report.scaled_error = 2;
  report.cosine_uncertainty = 3;
  report.loss = 4;
  report.plain_loss = 5;
  report.residual_norm = 6;
  report.saved_error_norm = 7;
  report.tangent_error_max = 8;
  report.tangent_error_quantile90 = 9;
  report.tangent_error_share = 10;
  report.stiffness_share = 11;
  report.directional_derivative = 12;
  report.directional_difference = 13;
  report.directional_noise = 14;
  report.growth = 15;
  report.lyapunov = 16;
  report.transient = 17;
  report.transient_time = 18;
  report.reconstruction_error = 19;
  report.linear_range = 20;
  report.verdict = Verdict::kRough;
  report.summary = "so";
  report.advice = {"do", "that"};
  report.abs_error = {1, 2};
  report.digits = {3, 4};
  report.noise_floor = {5, 6};
  report.plain_difference = {7, 8};
  report.error_measured = true;
  report.same_steps = false;
  report.tangents_controlled = true;
  report.tangents_are_probes = true;
  report.refinement_difference = {9, 10};
  report.second_method_difference = {11, 12};
  report.second_method = GradientMethod::kGauss;
  report.checks = {{Check::kNoiseFloor, 2.5}, {Check::kGrowth, 20}};
  v1::GradientReport proto;
  GradientReportToProto(report, &proto);
  EXPECT_THAT(proto, Partially(R"pb(
                verdict: VERDICT_ROUGH
                summary: "so"
                advice: "do"
                advice: "that"
                scaled_norm: 1
                scaled_error: 2
                cosine_uncertainty: 3
                loss: 4
                plain_loss: 5
                residual_norm: 6
                saved_error_norm: 7
                tangent_error_max: 8
                tangent_error_quantile90: 9
                tangent_error_share_above_one: 10
                stiffness_share: 11
                directional_derivative: 12
                directional_difference: 13
                directional_noise: 14
                growth: 15
                lyapunov: 16
                transient: 17
                transient_time: 18
                reconstruction_error: 19
                linear_range: 20
                error_measured: true
                tangents_controlled: true
                tangents_are_probes: true
                second_method: GRADIENT_METHOD_GAUSS
                checks { name: "noise_floor" cost_in_solves: 2.5 }
                checks { name: "growth" cost_in_solves: 20 })pb"));
  EXPECT_FALSE(proto.same_steps());
  EXPECT_THAT(Doubles(proto.abs_error()), ElementsAre(1, 2));
  EXPECT_THAT(Doubles(proto.digits()), ElementsAre(3, 4));
  EXPECT_THAT(Doubles(proto.noise_floor()), ElementsAre(5, 6));
  EXPECT_THAT(Doubles(proto.plain_difference()), ElementsAre(7, 8));
  EXPECT_THAT(Doubles(proto.refinement_difference()), ElementsAre(9, 10));
  EXPECT_THAT(Doubles(proto.second_method_difference()), ElementsAre(11, 12));
  // Nothing of the message was forgotten above.
  for (int i = 0; i < proto.GetDescriptor()->field_count(); ++i) {
    const auto* field = proto.GetDescriptor()->field(i);
    if (field->name() == "same_steps") continue;
    EXPECT_TRUE(field->is_repeated() ? proto.GetReflection()->FieldSize(proto, field) > 0
                                     : proto.GetReflection()->HasField(proto, field))
        << field->name();
  }
}

TEST(GradientReportToProto, LeavesOutWhatIsNotComputed) {
  v1::GradientReport proto;
  GradientReportToProto(GradientReport(), &proto);
  EXPECT_EQ(proto.verdict(), v1::GradientReport::VERDICT_UNKNOWN);
  EXPECT_TRUE(std::isnan(proto.growth()));
  EXPECT_TRUE(std::isnan(proto.scaled_error()));
  EXPECT_TRUE(Doubles(proto.abs_error()).empty());
  EXPECT_EQ(proto.second_method(), v1::GRADIENT_METHOD_UNSPECIFIED);
}

TEST(GradientReportToProto, KnowsEveryVerdict) {
  std::set<int> seen;
  GradientReport report;
  for (int verdict = 0; verdict <= static_cast<int>(Verdict::kUnknown); ++verdict) {
    report.verdict = static_cast<Verdict>(verdict);
    v1::GradientReport proto;
    GradientReportToProto(report, &proto);
    seen.insert(proto.verdict());
  }
  EXPECT_EQ(seen.size(), 10u);
  EXPECT_EQ(seen.count(v1::GradientReport::VERDICT_UNSPECIFIED), 0u);
  EXPECT_EQ(*seen.rbegin(), v1::GradientReport::Verdict_MAX);
}

}  // namespace
}  // namespace costate
