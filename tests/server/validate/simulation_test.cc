#include "server/validate/simulation.h"

#include <string>

#include "engine/base/field_error.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

// Text of a Simulation that lacks nothing, with `more` in it.
v1::SolveRequest RequestWith(const std::string& more) {
  return FromText<v1::SolveRequest>("simulation { model { text: 'x' } t1: 1 " + more + " }");
}

struct Case {
  const char* name;
  const char* more;
  const char* field;  // under "simulation."; empty: the request is fine
  const char* message;
};

class SimulationText : public ::testing::TestWithParam<Case> {};

TEST_P(SimulationText, IsJudged) {
  const absl::Status status = ValidateSolveRequest(RequestWith(GetParam().more));
  if (*GetParam().field == '\0') {
    EXPECT_TRUE(status.ok()) << status;
    return;
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(status).value_or("none"), std::string("simulation.") + GetParam().field);
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Spans, SimulationText,
    ::testing::Values(Case{"plain", "", "", ""}, Case{"backwards", "t0: 2", "", ""},
                      Case{"t0_nan", "t0: nan", "t0[0]", "got nan, expected a finite number"},
                      Case{"t1_inf", "t1: inf", "t1[1]", "got inf"}),
    [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Values, SimulationText,
    ::testing::Values(Case{"scalar", "params { name: 'k' array { values: 1 } }", "", ""},
                      Case{"batch", "params { name: 'k' array { values: [1, 2] } }", "", ""},
                      Case{"no_name", "params { array { values: 1 } }", "params[0].name",
                           "missing"},
                      Case{"no_array", "params { name: 'k' }", "params[0].array", "missing"},
                      Case{"bad_shape", "initial_state { name: 'y' array { shape: 2 values: 1 } }",
                           "initial_state[0].array", "declares 2 elements, the data has 1"},
                      Case{"nan_value", "params { name: 'k' array { values: nan } }",
                           "params[0].array.values[0]", "finite"}),
    [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Options, SimulationText,
    ::testing::Values(
        Case{"method", "options { method: METHOD_TSIT5 }", "", ""},
        Case{"max_steps", "options { max_steps: -1 }", "options.max_steps", "1 to 1000000000"},
        Case{"max_steps_large", "options { max_steps: 1000000001 }", "options.max_steps", "1 to"},
        Case{"lanes", "options { lanes: -8 }", "options.lanes", "got -8"},
        Case{"wall_zero", "options { wall_budget { } }", "options.wall_budget", "> 0"},
        Case{"wall_nanos", "options { wall_budget { seconds: 1 nanos: -5 } }",
             "options.wall_budget", "> 0"},
        Case{"wall_huge", "options { wall_budget { seconds: 9223372036854775807 } }",
             "options.wall_budget", "duration"},
        Case{"every_zero", "options { save { every_steps: 0 } }", "options.save.every_steps",
             "integer >= 1"},
        Case{"no_times", "options { save { times { } } }", "options.save.times.times", "missing"},
        Case{"times_nan", "options { save { times { times { values: nan } } } }",
             "options.save.times.times.values[0]", "finite"},
        Case{"fixed_unset", "options { fixed { } }", "options.fixed.step", "got 0"},
        Case{"fixed_negative", "options { fixed { step: -1 } }", "options.fixed.step", "> 0"},
        Case{"grid_short", "options { grid { times { values: 1 } } }", "options.grid.times",
             "at least 2"}),
    [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Schemes, SimulationText,
    ::testing::Values(
        Case{"coupling", "options { method: METHOD_RK4 coupling: 0.999 }", "", ""},
        Case{"coupling_one", "options { coupling: 1 }", "", ""},
        Case{"coupling_zero", "options { coupling: 0 }", "options.coupling", "got 0, expected"},
        Case{"coupling_negative", "options { coupling: -0.5 }", "options.coupling", "(0, 1]"},
        Case{"coupling_large", "options { coupling: 1.001 }", "options.coupling", "(0, 1]"},
        Case{"coupling_nan", "options { coupling: nan }", "options.coupling", "got nan"},
        Case{"coupling_inf", "options { coupling: inf }", "options.coupling", "got inf"},
        Case{"eta", "options { method: METHOD_ALF eta: 0.8 }", "", ""},
        Case{"eta_half", "options { method: METHOD_ALF eta: 0.5 }", "options.eta", "undone"},
        Case{"eta_nan", "options { method: METHOD_ALF eta: nan }", "options.eta", "(0, 1]"},
        Case{"eta_large", "options { method: METHOD_ALF eta: 1.5 }", "options.eta", "(0, 1]"},
        Case{"eta_default", "options { method: METHOD_RK4 eta: 1 }", "options.eta",
             "alf has damping"},
        Case{"eta_auto", "options { eta: 0.9 }", "options.eta", "alf has damping"}),
    [](const auto& tested) { return tested.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Adaptive, SimulationText,
    ::testing::Values(
        Case{"defaults", "options { adaptive { } }", "", ""},
        Case{"zero_rtol", "options { adaptive { rtol: 0 } }", "", ""},
        Case{"rtol", "options { adaptive { rtol: -1e-6 } }", "options.adaptive.rtol", ">= 0"},
        Case{"rtol_nan", "options { adaptive { rtol: nan } }", "options.adaptive.rtol", "got nan"},
        Case{"atol", "options { adaptive { atol: [1, -1] } }", "options.adaptive.atol[1]", ">= 0"},
        Case{"beta", "options { adaptive { beta2: inf } }", "options.adaptive.beta2", "finite"},
        Case{"safety", "options { adaptive { safety: 1.5 } }", "options.adaptive.safety", "(0, 1]"},
        Case{"min_factor", "options { adaptive { min_factor: 1 } }", "options.adaptive.min_factor",
             "(0, 1)"},
        Case{"max_factor", "options { adaptive { max_factor: 1 } }", "options.adaptive.max_factor",
             "> 1"},
        Case{"initial_step", "options { adaptive { initial_step: 0 } }",
             "options.adaptive.initial_step", "> 0"},
        Case{"min_step", "options { adaptive { min_step: -1 } }", "options.adaptive.min_step",
             ">= 0"},
        Case{"max_step", "options { adaptive { max_step: 0 } }", "options.adaptive.max_step",
             "> 0"}),
    [](const auto& tested) { return tested.param.name; });

TEST(ValidateSimulation, NeedsModelAndEnd) {
  const auto field = [](const std::string& text) {
    return FieldOf(ValidateSolveRequest(FromText<v1::SolveRequest>(text))).value_or("none");
  };
  EXPECT_EQ(field(""), "simulation");
  EXPECT_EQ(field("simulation { t1: 1 }"), "simulation.model");
  EXPECT_EQ(field("simulation { model { text: 'x' } }"), "simulation.t1");
}

TEST(ValidateSimulation, RefusesEnumsOfTheFuture) {
  v1::SolveRequest request = RequestWith("");
  request.mutable_simulation()->mutable_options()->set_method(static_cast<v1::Method>(977));
  const absl::Status status = ValidateSolveRequest(request);
  EXPECT_EQ(FieldOf(status).value_or("none"), "simulation.options.method");
  EXPECT_THAT(std::string(status.message()), HasSubstr("got 977"));
}

TEST(ValidateStreamSolveRequest, ChecksRowsPerChunk) {
  const auto request = FromText<v1::StreamSolveRequest>(
      "simulation { model { text: 'x' } t1: 1 } rows_per_chunk: -1");
  EXPECT_EQ(FieldOf(ValidateStreamSolveRequest(request)).value_or("none"), "rows_per_chunk");
}

}  // namespace
}  // namespace costate
