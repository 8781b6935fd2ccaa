#include "server/handlers/solves.h"

#include <cmath>
#include <string>
#include <thread>

#include "tests/server/proto_matchers.h"
#include "tests/server/running_server.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class SolveServiceTest : public ::testing::Test {
 protected:
  grpc::Status Solve(const v1::SolveRequest& request) {
    grpc::ClientContext context;
    response_.Clear();
    return server_.solves().Solve(&context, request, &response_);
  }
  // `more` is text inside the Simulation.
  static v1::SolveRequest Request(const std::string& problem, const std::string& more) {
    auto request = FromText<v1::SolveRequest>("simulation { " + more + " }");
    request.mutable_simulation()->mutable_model()->set_text(problem);
    return request;
  }
  grpc::Status Stream(const v1::StreamSolveRequest& request,
                      std::vector<v1::StreamSolveResponse>* messages) {
    grpc::ClientContext context;
    const auto reader = server_.solves().StreamSolve(&context, request);
    v1::StreamSolveResponse message;
    while (reader->Read(&message)) messages->push_back(message);
    return reader->Finish();
  }

  RunningServer server_;
  v1::SolveResponse response_;
};

constexpr char kDecay[] = "param k = 2 in [0, 10]\nstate x = 1\nx' = -k*x\noutput twice = 2*x\n";

// x(t) = exp(-k t).
TEST_F(SolveServiceTest, SolvesInClosedForm) {
  ASSERT_TRUE(Solve(Request(kDecay,
                            "t1: 1 options { adaptive { rtol: 1e-10 atol: 1e-12 } "
                            "save { times { times { values: [0, 0.5, 1] } } } }"))
                  .ok());
  const std::vector<double> x = Doubles(response_.states());
  ASSERT_EQ(x.size(), 3u);
  for (int i = 0; i < 3; ++i) EXPECT_NEAR(x[i], std::exp(-i), 1e-9);
  EXPECT_THAT(Doubles(response_.outputs()), ElementsAre(2 * x[0], 2 * x[1], 2 * x[2]));
  EXPECT_THAT(response_, Partially(R"pb(
                row_start: [ 0, 3 ]
                batched: false
                state_layout { name: "x" }
                output_layout { name: "twice" }
                terminations { reason: REASON_REACHED_END t: 1 })pb"));
  EXPECT_TRUE(response_.has_timing());
}

TEST_F(SolveServiceTest, EchoesOptionsThatRepeatTheSolve) {
  auto request = Request(ProblemText("sir"), "t1: 14 options { return_grid: true }");
  ASSERT_TRUE(Solve(request).ok());
  const v1::SolveResponse first = response_;
  EXPECT_THAT(first.options(), Partially(R"pb(
                method: METHOD_TSIT5
                adaptive {
                  rtol: 1e-6
                  atol: 1e-9
                  controller: CONTROLLER_PI
                  safety: 0.9
                  min_factor: 0.2
                  max_factor: 10
                  max_step: 14
                }
                save { end: true }
                max_steps: 1000000
                return_grid: true
                lanes: 1)pb"));
  EXPECT_TRUE(first.options().adaptive().has_beta1());
  *request.mutable_simulation()->mutable_options() = first.options();
  ASSERT_TRUE(Solve(request).ok());
  EXPECT_EQ(Doubles(response_.states()), Doubles(first.states()));
  // The grid repeats it too, bit for bit.
  auto* options = request.mutable_simulation()->mutable_options();
  *options->mutable_grid() = first.grids(0);
  ASSERT_TRUE(Solve(request).ok());
  EXPECT_EQ(Doubles(response_.states()), Doubles(first.states()));
}

TEST_F(SolveServiceTest, BatchesHaveTheBitsOfSingles) {
  ASSERT_TRUE(
      Solve(Request(kDecay, "t1: 1 params { name: 'k' array { values: [1, 2, 3] } }")).ok());
  EXPECT_TRUE(response_.batched());
  EXPECT_THAT(response_.row_start(), ElementsAre(0, 1, 2, 3));
  const std::vector<double> batch = Doubles(response_.states());
  for (int k = 1; k <= 3; ++k) {
    ASSERT_TRUE(Solve(Request(kDecay, "t1: 1 params { name: 'k' array { values: " +
                                          std::to_string(k) + " } }"))
                    .ok());
    EXPECT_FALSE(response_.batched());
    EXPECT_EQ(Doubles(response_.states())[0], batch[k - 1]);
  }
}

// x' = x^2 from 1 has a pole at t = 1.
TEST_F(SolveServiceTest, EndsEarlyWithStateAndExpression) {
  ASSERT_TRUE(Solve(Request("state x = 1\nx' = x^2  # pole\n",
                            "t1: 2 options { save { times { times { values: [0.5, 1.5] } } } }"))
                  .ok());
  const v1::Termination& end = response_.terminations(0);
  EXPECT_NE(end.reason(), v1::Termination::REASON_REACHED_END);
  EXPECT_NEAR(end.t(), 1.0, 1e-3);
  EXPECT_NE(end.detail(), "");
  if (!end.state().empty()) {
    EXPECT_EQ(end.state(), "x");
    EXPECT_EQ(end.expression(), "x' = x^2");
  }
  const std::vector<double> x = Doubles(response_.states());
  EXPECT_NEAR(x[0], 2.0, 1e-4);
  EXPECT_TRUE(std::isnan(x[1]));
}

// Overflow of the right-hand side at t = 1.
TEST_F(SolveServiceTest, NamesTheStateThatIsNotFinite) {
  ASSERT_TRUE(Solve(Request("state a = 1\nstate y[2] = [1, 1]\na' = 0\n"
                            "y' = if t < 1 then y else y / (a - a)\n",
                            "t1: 2 options { method: METHOD_RK4 fixed { step: 0.5 } }"))
                  .ok());
  EXPECT_THAT(response_.terminations(0), Partially(R"pb(
                reason: REASON_NON_FINITE
                state: "y[0]"
                expression: "y' = if t < 1 then y else y / (a - a)")pb"));
}

TEST_F(SolveServiceTest, ReportsMaxStepsAndWallBudget) {
  ASSERT_TRUE(Solve(Request(ProblemText("lorenz"), "t1: 100 options { max_steps: 10 }")).ok());
  EXPECT_THAT(response_.terminations(0), Partially("reason: REASON_MAX_STEPS step: 10"));
  ASSERT_TRUE(Solve(Request(ProblemText("lorenz"),
                            "t1: 1e6 options { method: METHOD_RK4 fixed { step: 1e-3 } max_steps: "
                            "1000000000 wall_budget { nanos: 20000000 } }"))
                  .ok());
  EXPECT_THAT(response_.terminations(0), Partially("reason: REASON_WALL_BUDGET"));
}

TEST_F(SolveServiceTest, KeepsRowsOfSteps) {
  ASSERT_TRUE(Solve(Request(kDecay,
                            "t1: 1 options { method: METHOD_RK4 fixed { step: 0.125 } "
                            "save { every_steps: 4 } }"))
                  .ok());
  EXPECT_THAT(Doubles(response_.times()), ElementsAre(0, 0.5, 1));
  EXPECT_EQ(Doubles(response_.outputs()).size(), 3u);
}

TEST_F(SolveServiceTest, LeavesOutParts) {
  auto request = Request(kDecay, "t1: 1");
  request.set_omit_states(true);
  ASSERT_TRUE(Solve(request).ok());
  EXPECT_FALSE(response_.has_states());
  EXPECT_TRUE(response_.has_outputs());
}

TEST_F(SolveServiceTest, StreamsTheSameRows) {
  const std::string more =
      "t1: 20 params { name: 'sigma' array { values: [9, 10, 11] } } options { "
      "save { every_steps: 1 } return_grid: true }";
  ASSERT_TRUE(Solve(Request(ProblemText("lorenz"), more)).ok());
  v1::StreamSolveRequest request;
  *request.mutable_simulation() = Request(ProblemText("lorenz"), more).simulation();
  request.set_rows_per_chunk(7);
  std::vector<v1::StreamSolveResponse> messages;
  ASSERT_TRUE(Stream(request, &messages).ok());
  ASSERT_GE(messages.size(), 5u) << "a header, a chunk for each trajectory, a summary";
  EXPECT_THAT(messages.front(), Partially("header { num_trajectories: 3 batched: true }"));
  EXPECT_TRUE(messages.back().has_summary());
  std::vector<std::string> times(3), states(3);
  for (size_t i = 1; i + 1 < messages.size(); ++i) {
    const v1::StreamChunk& chunk = messages[i].chunk();
    times.at(chunk.trajectory()) += chunk.times().data();
    states.at(chunk.trajectory()) += chunk.states().data();
  }
  EXPECT_EQ(times[0] + times[1] + times[2], response_.times().data());
  EXPECT_EQ(states[0] + states[1] + states[2], response_.states().data());
  EXPECT_EQ(messages.back().summary().grids_size(), 3);
  EXPECT_EQ(messages.back().summary().grids(2).times().data(), response_.grids(2).times().data());
}

// ---- refusals
// ------------------------------------------------------------------------------------

struct Refusal {
  const char* name;
  const char* model;
  const char* more;
  const char* field;
  const char* message;
};

class SolveRefusal : public SolveServiceTest, public ::testing::WithParamInterface<Refusal> {};

TEST_P(SolveRefusal, NamesTheField) {
  const grpc::Status status = Solve(Request(GetParam().model, GetParam().more));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  EXPECT_THAT(ViolatedFields(status), ElementsAre(GetParam().field));
  EXPECT_THAT(status.error_message(), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    All, SolveRefusal,
    ::testing::Values(
        Refusal{"no_end", kDecay, "", "simulation.t1", "missing"},
        Refusal{"model", "state x", "t1: 1", "simulation.model.text", "issue"},
        Refusal{"unknown_param", kDecay, "t1: 1 params { name: 'kk' array { values: 1 } }",
                "simulation.params[0].name", "kk"},
        Refusal{"bounds", kDecay, "t1: 1 params { name: 'k' array { values: 11 } }",
                "simulation.params[0]", "[0, 10]"},
        Refusal{"shape", kDecay,
                "t1: 1 params { name: 'k' array { shape: [2, 2] values: [1, 2, 3, "
                "4] } }",
                "simulation.params[0].array", "expected"},
        Refusal{"batches", kDecay,
                "t1: 1 params { name: 'k' array { values: [1, 2] } } initial_state { name: 'x' "
                "array { values: [1, 2, 3] } }",
                "simulation.initial_state[0].array", "3"},
        Refusal{"rtol", kDecay, "t1: 1 options { adaptive { rtol: -1 } }",
                "simulation.options.adaptive.rtol", "got -1"},
        Refusal{"atol_size", kDecay, "t1: 1 options { adaptive { atol: [1, 2] } }",
                "simulation.options.adaptive.atol", "2 values"},
        Refusal{"no_estimate", kDecay, "t1: 1 options { method: METHOD_RK4 }",
                "simulation.options.method", "rk4"},
        Refusal{"save_outside", kDecay,
                "t1: 1 options { save { times { times { values: [0, 2] } } } }",
                "simulation.options.save.times.times[1]", "within [0, 1]"},
        Refusal{"grid_end", kDecay, "t1: 1 options { grid { times { values: [0, 2] } } }",
                "simulation.options.grid.times[1]", "t1 = 1"},
        Refusal{"lanes", kDecay, "t1: 1 options { lanes: 3 }", "simulation.options.lanes",
                "got 3"}),
    [](const auto& tested) { return tested.param.name; });

TEST_F(SolveServiceTest, RefusesUnknownNames) {
  auto request = Request("", "t1: 1");
  request.mutable_simulation()->mutable_model()->set_name("models/" + std::string(32, '0'));
  const grpc::Status status = Solve(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(ViolatedFields(status), ElementsAre("simulation.model.name"));
}

TEST_F(SolveServiceTest, RefusesAnswersPastTheLimitBeforeItRuns) {
  auto request = Request(ProblemText("lorenz"), "t1: 1");
  std::vector<double> times(3'000'000);
  for (size_t i = 0; i < times.size(); ++i) times[i] = static_cast<double>(i) / 3e6;
  request.mutable_simulation()
      ->mutable_options()
      ->mutable_save()
      ->mutable_times()
      ->mutable_times()
      ->set_data(DoublesToBytes(times));
  const grpc::Status status = Solve(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("stream the solve"));
}

// Rows of steps cannot be foreseen; the solve stops when they pass the limit.
TEST_F(SolveServiceTest, StopsCollectingRowsAtTheLimit) {
  const grpc::Status status =
      Solve(Request(ProblemText("lorenz"),
                    "t1: 1e6 options { method: METHOD_EULER fixed { step: "
                    "1e-3 } max_steps: 1000000000 save { every_steps: 1 } }"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("stream the solve"));
}

// A row has 3 values, in the result and in the answer.
TEST(SolveMemory, IsRefusedOverTheBudget) {
  ServerOptions options = TestServerOptions();
  options.environment.memory_budget = 100'000;
  RunningServer server(options);
  const auto solve = [&server](int rows) {
    auto request = FromText<v1::SolveRequest>("simulation { t1: 1 }");
    request.mutable_simulation()->mutable_model()->set_text(kDecay);
    auto* times = request.mutable_simulation()->mutable_options()->mutable_save()->mutable_times();
    for (int i = 0; i < rows; ++i) times->mutable_times()->add_values(0.5);
    grpc::ClientContext context;
    v1::SolveResponse response;
    return server.solves().Solve(&context, request, &response);
  };
  EXPECT_TRUE(solve(1000).ok());  // 48 kB
  const grpc::Status status = solve(3000);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("--memory-budget"));
  EXPECT_TRUE(solve(1000).ok());
  // Given back once the answer is out, which the client may see before.
  while (server.environment().memory().held() != 0) std::this_thread::yield();
}

}  // namespace
}  // namespace costate
