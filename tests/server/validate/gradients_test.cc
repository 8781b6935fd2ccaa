#include "server/validate/gradients.h"

#include <string>

#include "engine/base/field_error.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

constexpr char kSimulation[] = "simulation { model { text: 'x' } t1: 1 } ";
constexpr char kLoss[] = "loss { terms { terminal { state_weights { values: 1 } } } } ";

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
  EXPECT_EQ(field("cotangents { terms { integral { integrand: 'x' } } }"),
            "cotangents[0].terms[0].integral");
  EXPECT_EQ(field("cotangents { terms { expression { text: 'x' times { values: 1 } } } }"),
            "cotangents[0].terms[0].expression");
}

TEST(ValidateComputeVjpRequest, HasNoRoomForReportsAndTimes) {
  const auto field = [](const std::string& text) {
    return FieldOf(ValidateComputeVjpRequest(FromText<v1::ComputeVjpRequest>(
                       std::string(kSimulation) + "cotangents { terms { terminal { } } } " + text)))
        .value_or("");
  };
  EXPECT_EQ(field("gradient { method: GRADIENT_METHOD_GAUSS }"), "");
  EXPECT_EQ(field("gradient { report { } }"), "gradient.report");
  EXPECT_EQ(field("gradient { want_time_gradient: true }"), "gradient.want_time_gradient");
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

TEST(ValidateComputeHvpRequest, NeedsVectors) {
  const auto field = [](const std::string& text) {
    return FieldOf(ValidateComputeHvpRequest(FromText<v1::ComputeHvpRequest>(text))).value_or("");
  };
  const std::string simulation = kSimulation;
  EXPECT_EQ(field(""), "simulation");
  EXPECT_EQ(field(simulation), "loss");
  EXPECT_EQ(field(simulation + kLoss), "vectors");
  EXPECT_EQ(field(simulation + kLoss + "vectors { shape: [1, 2] values: [1, nan] }"),
            "vectors.values[1]");
  EXPECT_EQ(field(simulation + kLoss + "vectors { shape: [2, 2] values: [1, 2] }"), "vectors");
  EXPECT_EQ(field(simulation + kLoss + "vectors { values: 1 } wrt: ''"), "wrt[0]");
  EXPECT_EQ(field(simulation + kLoss + "vectors { values: 1 } gauss_newton: true"), "");
}

TEST(ValidateCheckGradientRequest, ChecksMethodsAndWhatTheyShare) {
  const auto field = [](const std::string& text) {
    return FieldOf(ValidateCheckGradientRequest(
                       FromText<v1::CheckGradientRequest>(std::string(kSimulation) + kLoss + text)))
        .value_or("");
  };
  EXPECT_EQ(field(""), "");
  EXPECT_EQ(field("methods: [GRADIENT_METHOD_BACKPROP, GRADIENT_METHOD_SEGMENTED] gradient { "
                  "segments: 5 }"),
            "");
  EXPECT_EQ(field("methods: 0"), "methods[0]");
  EXPECT_EQ(field("methods: [1, 99]"), "methods[1]");
  EXPECT_EQ(field("methods: [1, 12]"), "methods[1]");
  EXPECT_EQ(field("methods: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), "");
  EXPECT_EQ(field("methods: [1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), "methods");
  EXPECT_EQ(field("gradient { method: GRADIENT_METHOD_FORWARD }"), "gradient.method");
  EXPECT_EQ(field("gradient { report { level: LEVEL_BASIC } }"), "gradient.report");
  EXPECT_EQ(field("gradient { segments: -5 }"), "gradient.segments");
  EXPECT_EQ(field("gradient { want_time_gradient: true }"), "");
}

constexpr char kName[] = "kept_solve: 'solves/0123456789abcdef0123456789abcdef' ";

TEST(ValidateKeptSolves, BringsItsOwnSimulation) {
  const auto gradient = [](const std::string& text) {
    return FieldOf(ValidateComputeGradientRequest(FromText<v1::ComputeGradientRequest>(text)))
        .value_or("");
  };
  const auto vjp = [](const std::string& text) {
    return FieldOf(ValidateComputeVjpRequest(FromText<v1::ComputeVjpRequest>(text))).value_or("");
  };
  const std::string cotangents = "cotangents { terms { terminal { } } } ";
  const std::string named = kName;
  EXPECT_EQ(gradient(named + kLoss + "want_saved: true"), "");
  EXPECT_EQ(vjp(named + cotangents), "");
  EXPECT_EQ(gradient(named), "loss");
  EXPECT_EQ(vjp(named), "cotangents");
  EXPECT_EQ(vjp(named + "cotangents { terms { integral { integrand: 'x' } } }"),
            "cotangents[0].terms[0].integral");
  for (const std::string& own : {std::string("wrt: 'k'"), std::string("gradient { }")}) {
    const std::string field = own.substr(0, own.find_first_of(": "));
    EXPECT_EQ(gradient(named + kLoss + own), field);
    EXPECT_EQ(vjp(named + cotangents + own), field);
  }
  EXPECT_EQ(gradient(named + kLoss + kSimulation), "simulation");
  for (const char* name : {"solves/0123", "solves/0123456789ABCDEF0123456789abcdef",
                           "models/0123456789abcdef0123456789abcdef", "\\n", "x"}) {
    EXPECT_EQ(gradient(std::string("kept_solve: '") + name + "' " + kLoss), "kept_solve") << name;
    EXPECT_EQ(FieldOf(ValidateReleaseSolveRequest(
                          FromText<v1::ReleaseSolveRequest>(std::string("name: '") + name + "'")))
                  .value_or(""),
              "name");
  }
}

TEST(ValidateKeepSolveRequest, ChecksLifetimeAndChoices) {
  const auto field = [](const std::string& text) {
    return FieldOf(
               ValidateKeepSolveRequest(FromText<v1::KeepSolveRequest>(text), absl::Seconds(10)))
        .value_or("");
  };
  const std::string simulation = kSimulation;
  EXPECT_EQ(field(simulation), "");
  EXPECT_EQ(field(""), "simulation");
  EXPECT_EQ(field(simulation + "lifetime { seconds: 10 }"), "");
  EXPECT_EQ(field(simulation + "lifetime { seconds: 10 nanos: 1 }"), "lifetime");
  EXPECT_EQ(field(simulation + "lifetime { nanos: 1000000000 }"), "lifetime");
  EXPECT_EQ(field(simulation + "lifetime { }"), "lifetime");
  EXPECT_EQ(field(simulation + "lifetime { seconds: 9223372036854775807 }"), "lifetime");
  EXPECT_EQ(field(simulation + "wrt: ''"), "wrt[0]");
  EXPECT_EQ(field(simulation + "gradient { report { level: LEVEL_OFF } }"), "gradient.report");
  EXPECT_EQ(field(simulation + "gradient { want_time_gradient: true }"), "");
  EXPECT_EQ(field(simulation + "gradient { checkpoints: -1 }"), "gradient.checkpoints");
  EXPECT_EQ(field("simulation { model { text: 'x' } t1: 1 options { save { every_steps: 1 } } }"),
            "simulation.options.save.every_steps");
}

}  // namespace
}  // namespace costate
