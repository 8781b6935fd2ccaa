#include "server/convert/options.h"

#include <string>

#include "server/validate/simulation.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

TEST(SolveOptionsFromProto, KeepsTheEnginesDefaults) {
  bool method_auto = false;
  const SolveOptions options = SolveOptionsFromProto(v1::SolveOptions(), &method_auto);
  EXPECT_TRUE(method_auto);
  EXPECT_EQ(options.control.rtol, 1e-6);
  EXPECT_EQ(options.control.atol, std::vector<double>{1e-9});
  EXPECT_EQ(options.control.controller, StepControl::Controller::kPI);
  EXPECT_EQ(options.max_steps, 1'000'000);
  EXPECT_EQ(options.save.kind, SaveAt::Kind::kEnd);
  EXPECT_EQ(options.wall_budget, absl::InfiniteDuration());
  EXPECT_EQ(options.lanes, 0);
}

// What is sent comes back.
class OptionsText : public ::testing::TestWithParam<std::string> {};

TEST_P(OptionsText, RoundTrips) {
  const auto sent = FromText<v1::SolveOptions>(GetParam());
  ASSERT_TRUE(ValidateSolveOptions("o", sent).ok());
  bool method_auto = false;
  v1::SolveOptions back;
  SolveOptionsToProto(SolveOptionsFromProto(sent, &method_auto), &back);
  EXPECT_THAT(back, Partially(GetParam()));
  EXPECT_FALSE(method_auto);
}

INSTANTIATE_TEST_SUITE_P(
    All, OptionsText,
    ::testing::Values(
        "method: METHOD_EULER fixed { step: 0.25 }", "method: METHOD_MIDPOINT max_steps: 7",
        "method: METHOD_HEUN return_grid: true", "method: METHOD_RALSTON2 lanes: 8",
        "method: METHOD_RALSTON3 wall_budget { seconds: 3 nanos: 250000000 }",
        "method: METHOD_BOSH3 save { every_steps: 5 }", "method: METHOD_RK4 save { end: true }",
        "method: METHOD_TSIT5 adaptive { rtol: 0 atol: [1, 2, 3] controller: CONTROLLER_I }",
        "method: METHOD_DOPRI5 adaptive { controller: CONTROLLER_PID beta1: 1 beta2: 2 beta3: 3 "
        "safety: 0.5 min_factor: 0.1 max_factor: 4 initial_step: 0.125 min_step: 1e-9 max_step: 2 "
        "}",
        "method: METHOD_DOPRI8 adaptive { controller: CONTROLLER_PI }",
        "method: METHOD_RK4 coupling: 0.75 fixed { step: 0.5 }",
        "method: METHOD_ALF eta: 0.875 fixed { step: 0.5 }"));

// Whoever reads an answer sees the damping in force, and a coupling only where there is one.
TEST(SolveOptions, SchemesAreEchoed) {
  v1::SolveOptions back;
  SolveOptionsToProto(SolveOptions{.method = Method::kAlf}, &back);
  EXPECT_EQ(back.eta(), 1);
  EXPECT_FALSE(back.has_coupling());
  back.Clear();
  SolveOptionsToProto(SolveOptions{.method = Method::kRk4, .coupling = 1.0}, &back);
  EXPECT_EQ(back.coupling(), 1);
  EXPECT_FALSE(back.has_eta());
}

TEST(SolveOptions, RoundTripsArrays) {
  v1::SolveOptions sent;
  sent.set_method(v1::METHOD_TSIT5);
  sent.mutable_grid()->mutable_times()->set_data(DoublesToBytes({0, 0.5, 2}));
  sent.mutable_grid()->mutable_times()->add_shape(3);
  sent.mutable_save()->mutable_times()->mutable_times()->set_data(DoublesToBytes({1, 1}));
  sent.mutable_save()->mutable_times()->mutable_times()->add_shape(2);
  bool method_auto = false;
  v1::SolveOptions back;
  SolveOptionsToProto(SolveOptionsFromProto(sent, &method_auto), &back);
  EXPECT_THAT(back, Partially(sent.ShortDebugString()));
}

// Every value of the wire's enum but UNSPECIFIED names a method of its own.
TEST(SolveOptions, RoundTripsEveryMethod) {
  for (int number = v1::Method_MIN + 1; number <= v1::Method_MAX; ++number) {
    v1::SolveOptions sent;
    sent.set_method(static_cast<v1::Method>(number));
    bool method_auto = false;
    v1::SolveOptions back;
    SolveOptionsToProto(SolveOptionsFromProto(sent, &method_auto), &back);
    EXPECT_EQ(back.method(), sent.method());
  }
}

TEST(GradientOptions, ConvertsBothWays) {
  auto options = GradientOptionsFromProto(FromText<v1::GradientOptions>(
      "method: GRADIENT_METHOD_BACKPROP tangent_control: TANGENT_CONTROL_PRIMAL_ONLY"));
  EXPECT_EQ(options.method, GradientMethod::kBackprop);
  EXPECT_EQ(options.tangent_control, TangentControl::kPrimalOnly);
  options = GradientOptionsFromProto(v1::GradientOptions());
  EXPECT_EQ(options.method, GradientMethod::kAuto);
  EXPECT_EQ(options.tangent_control, TangentControl::kFull);
  EXPECT_EQ(GradientMethodToProto(GradientMethod::kForward), v1::GRADIENT_METHOD_FORWARD);
  EXPECT_EQ(TangentControlToProto(TangentControl::kFull), v1::TANGENT_CONTROL_FULL);
}

TEST(GradientOptions, ConvertsEveryChoice) {
  const GradientOptions options = GradientOptionsFromProto(FromText<v1::GradientOptions>(R"pb(
    method: GRADIENT_METHOD_BACKSOLVE
    memory_budget_bytes: 1000
    checkpoints: 2
    segments: 3
    checkpoint_every: 4
    backward { method: METHOD_DOPRI8 rtol: 0.25 atol: 0.125 seminorm: true }
    difference { frozen_grid: true step: 0.5 }
    want_time_gradient: true
  )pb"));
  EXPECT_EQ(options.method, GradientMethod::kBacksolve);
  EXPECT_EQ(options.adjoint.memory_budget, 1000);
  EXPECT_EQ(options.adjoint.checkpoints, 2);
  EXPECT_EQ(options.adjoint.segments, 3);
  EXPECT_EQ(options.adjoint.checkpoint_every, 4);
  EXPECT_EQ(options.adjoint.backward_method, Method::kDopri8);
  EXPECT_EQ(options.adjoint.backward_rtol, 0.25);
  EXPECT_EQ(options.adjoint.backward_atol, 0.125);
  EXPECT_TRUE(options.adjoint.seminorm);
  EXPECT_TRUE(options.difference.frozen_grid);
  EXPECT_EQ(options.difference.step, 0.5);
  EXPECT_TRUE(options.want_times);
  EXPECT_FALSE(options.report.wanted) << "reports are converted apart";
}

TEST(GradientOptions, KeepsTheEnginesDefaults) {
  const GradientOptions options = GradientOptionsFromProto(v1::GradientOptions());
  EXPECT_EQ(options.adjoint.memory_budget, AdjointOptions().memory_budget);
  EXPECT_EQ(options.adjoint.checkpoints, 0);
  EXPECT_FALSE(options.adjoint.backward_method.has_value());
  EXPECT_FALSE(options.adjoint.backward_rtol.has_value());
  EXPECT_FALSE(options.adjoint.backward_atol.has_value());
  EXPECT_FALSE(options.difference.step.has_value());
  EXPECT_FALSE(options.want_times);
  EXPECT_EQ(options.adjoint.scratch_directory, "");
}

TEST(GradientOptions, RoundTripsEveryMethod) {
  for (const GradientMethod method : AllGradientMethods()) {
    const v1::GradientMethod proto = GradientMethodToProto(method);
    EXPECT_NE(proto, v1::GRADIENT_METHOD_UNSPECIFIED);
    EXPECT_EQ(GradientMethodFromProto(proto), method);
  }
  EXPECT_EQ(GradientMethodFromProto(v1::GRADIENT_METHOD_UNSPECIFIED), GradientMethod::kAuto);
}

TEST(ReportOptions, AreWantedUnlessOff) {
  const auto convert = [](const std::string& text) {
    return ReportOptionsFromProto(FromText<v1::ReportOptions>(text));
  };
  EXPECT_TRUE(convert("").wanted);
  EXPECT_TRUE(convert("level: LEVEL_BASIC").wanted);
  EXPECT_FALSE(convert("level: LEVEL_OFF").wanted);
  EXPECT_FALSE(convert("").growth);
  EXPECT_TRUE(convert("tolerance_refinement: true").tolerance_refinement);
  EXPECT_TRUE(convert("second_method: true").second_method);
  EXPECT_TRUE(convert("directional_difference: true").directional_difference);
  EXPECT_TRUE(convert("growth: true").growth);
  EXPECT_TRUE(convert("linear_range: true").linear_range);
  EXPECT_EQ(convert("").every, 0);
  EXPECT_EQ(convert("every: 3").every, 3);
}

TEST(TimestampToProto, CountsFromTheEpoch) {
  const google::protobuf::Timestamp proto =
      TimestampToProto(absl::FromUnixSeconds(1'700'000'000) + absl::Milliseconds(250));
  EXPECT_EQ(proto.seconds(), 1'700'000'000);
  EXPECT_EQ(proto.nanos(), 250'000'000);
}

TEST(DurationToProto, SplitsSeconds) {
  EXPECT_THAT(DurationToProto(absl::Milliseconds(2500)),
              EqualsProto(FromText<google::protobuf::Duration>("seconds: 2 nanos: 500000000")));
}

}  // namespace
}  // namespace costate
