#include "server/validate/gradients.h"

#include <string>

#include "engine/base/field_error.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

constexpr char kSimulation[] = "simulation { model { text: 'x' } t1: 1 } ";
constexpr char kLoss[] = "loss { terms { terminal { state_weights { values: 1 } } } } ";

struct Case {
  const char* name;
  const char* loss;
  const char* field;  // empty: the loss is fine
};

class LossText : public ::testing::TestWithParam<Case> {};

TEST_P(LossText, IsJudged) {
  const absl::Status status = ValidateLoss("loss", FromText<v1::Loss>(GetParam().loss));
  EXPECT_EQ(FieldOf(status).value_or(""), GetParam().field) << status;
}

INSTANTIATE_TEST_SUITE_P(
    All, LossText,
    ::testing::Values(
        Case{"none", "", "loss.terms"}, Case{"empty_term", "terms { }", "loss.terms[0]"},
        Case{"least_squares",
             "terms { least_squares { output: 'o' times { values: 1 } values { values: nan } } }",
             ""},
        Case{"no_channel", "terms { least_squares { times { values: 1 } values { values: 1 } } }",
             "loss.terms[0].least_squares.channel"},
        Case{"no_times", "terms { least_squares { state: 's' } }",
             "loss.terms[0].least_squares.times"},
        Case{"lengths",
             "terms { least_squares { state: 's' times { values: [1, 2] } values { values: 1 } } }",
             "loss.terms[0].least_squares.values"},
        Case{"inf_value",
             "terms { least_squares { state: 's' times { values: 1 } values { values: inf } } }",
             "loss.terms[0].least_squares.values.values[0]"},
        Case{"nan_time",
             "terms { least_squares { state: 's' times { values: nan } values { values: 1 } } }",
             "loss.terms[0].least_squares.times.values[0]"},
        Case{"second", "terms { terminal { } } terms { linear { } }", "loss.terms[1].linear.times"},
        Case{"weights",
             "terms { linear { times { values: 1 } state_weights { shape: [1, 2] values: 1 } } }",
             "loss.terms[0].linear.state_weights"},
        Case{"terminal_nan", "terms { terminal { output_weights { values: nan } } }",
             "loss.terms[0].terminal.output_weights.values[0]"}),
    [](const auto& tested) { return tested.param.name; });

TEST(ValidateComputeGradientRequest, ChecksPresenceAndChoices) {
  const auto judge = [](const std::string& text) {
    return ValidateComputeGradientRequest(FromText<v1::ComputeGradientRequest>(text));
  };
  const std::string whole = std::string(kSimulation) + kLoss;
  EXPECT_TRUE(judge(whole + "wrt: 'k' gradient { method: GRADIENT_METHOD_BACKPROP }").ok());
  EXPECT_EQ(FieldOf(judge("")).value_or(""), "simulation");
  EXPECT_EQ(FieldOf(judge(kSimulation)).value_or(""), "loss");
  EXPECT_EQ(FieldOf(judge(whole + "wrt: ''")).value_or(""), "wrt[0]");
  EXPECT_EQ(
      FieldOf(judge(std::string(kLoss) +
                    "simulation { model { text: 'x' } t1: 1 options { save { end: true } } }"))
          .value_or(""),
      "simulation.options.save");
}

TEST(ValidateComputeGradientRequest, SaysWhichMethodsAreBuilt) {
  for (int number = v1::GradientMethod_MIN; number <= v1::GradientMethod_MAX; ++number) {
    auto request = FromText<v1::ComputeGradientRequest>(std::string(kSimulation) + kLoss);
    request.mutable_gradient()->set_method(static_cast<v1::GradientMethod>(number));
    const absl::Status status = ValidateComputeGradientRequest(request);
    if (number <= v1::GRADIENT_METHOD_BACKPROP) {
      EXPECT_TRUE(status.ok()) << status;
      continue;
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
    EXPECT_EQ(FieldOf(status).value_or(""), "gradient.method");
    EXPECT_THAT(std::string(status.message()), HasSubstr("GRADIENT_METHOD_FORWARD"));
  }
}

TEST(ValidateComputeVjpRequest, TakesLinearTermsOnly) {
  const auto field = [](const std::string& text) {
    return FieldOf(ValidateComputeVjpRequest(
                       FromText<v1::ComputeVjpRequest>(std::string(kSimulation) + text)))
        .value_or("");
  };
  EXPECT_EQ(field("cotangents { terms { terminal { } } }"), "");
  EXPECT_EQ(field(""), "cotangents");
  EXPECT_EQ(field("cotangents { terms { terminal { } } } cotangents { terms { terminal { } } terms "
                  "{ least_squares { state: 's' times { values: 1 } values { values: 1 } } } }"),
            "cotangents[1].terms[1].least_squares");
}

TEST(ValidateComputeJvpRequest, NeedsDirections) {
  const auto field = [](const std::string& text) {
    return FieldOf(ValidateComputeJvpRequest(FromText<v1::ComputeJvpRequest>(text))).value_or("");
  };
  const std::string simulation = kSimulation;
  EXPECT_EQ(field(simulation), "directions");
  EXPECT_EQ(field(simulation + "directions { values: 1 }"), "");
  EXPECT_EQ(field(simulation + "directions { values: 1 } tangent_control: 7"), "tangent_control");
  EXPECT_EQ(field("simulation { model { text: 'x' } t1: 1 options { save { every_steps: 1 } } } "
                  "directions { values: 1 }"),
            "simulation.options.save.every_steps");
}

TEST(ValidateComputeSensitivitiesRequest, RefusesRowsThatFollowSteps) {
  const auto request = FromText<v1::ComputeSensitivitiesRequest>(
      "simulation { model { text: 'x' } t1: 1 options { save { every_steps: 1 } } }");
  EXPECT_EQ(FieldOf(ValidateComputeSensitivitiesRequest(request)).value_or(""),
            "simulation.options.save.every_steps");
}

}  // namespace
}  // namespace costate
