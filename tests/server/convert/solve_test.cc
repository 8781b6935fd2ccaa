#include "server/convert/solve.h"

#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/server/compiled_model.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::ElementsAre;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

SolveResult TwoTrajectories() {
  SolveResult result;
  result.trajectories.resize(2);
  result.trajectories[0].times = {0, 1};
  result.trajectories[0].states = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  result.trajectories[0].stats = {3, 1, 22};
  result.trajectories[1].times = {0};
  result.trajectories[1].states = {11, 12, 13, 14, kNaN};
  result.trajectories[1].termination.reason = Termination::Reason::kNonFinite;
  result.trajectories[1].termination.t = 0.25;
  result.trajectories[1].termination.step = 4;
  result.trajectories[1].termination.state_index = 2;
  result.trajectories[1].termination.detail = "why";
  result.outputs = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, {11, 12, 13, 14, 15}};
  result.resolution.batched = true;
  return result;
}

TEST(SolveResultToProto, ConcatenatesRows) {
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  v1::SolveResponse proto;
  SolveResultToProto(TwoTrajectories(), {*model, kTensorModel}, {}, &proto);
  EXPECT_THAT(proto, Partially(R"pb(
                row_start: [ 0, 2, 3 ]
                times { shape: 3 }
                states { shape: [ 3, 5 ] }
                outputs { shape: [ 3, 5 ] }
                batched: true
                stats { accepted_steps: 3 rejected_steps: 1 rhs_evaluations: 22 }
                stats {}
                terminations { reason: REASON_REACHED_END }
                terminations {
                  reason: REASON_NON_FINITE
                  t: 0.25
                  step: 4
                  state: "y[0,1]"
                  expression: "y' = -y * sum(w)"
                  detail: "why"
                })pb"));
  EXPECT_THAT(Doubles(proto.times()), ElementsAre(0, 1, 0));
  const std::vector<double> states = Doubles(proto.states());
  ASSERT_EQ(states.size(), 15u);
  EXPECT_EQ(states[10], 11);
  EXPECT_TRUE(std::isnan(states[14]));
  EXPECT_EQ(proto.grids_size(), 0);
}

TEST(SolveResultToProto, LeavesOutParts) {
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  v1::SolveResponse proto;
  SolveResultToProto(TwoTrajectories(), {*model, ""}, {.states = false, .outputs = false}, &proto);
  EXPECT_FALSE(proto.has_states());
  EXPECT_FALSE(proto.has_outputs());
  EXPECT_EQ(proto.state_layout_size(), 0);
  EXPECT_EQ(proto.terminations(1).state(), "y[0,1]");
  EXPECT_EQ(proto.terminations(1).expression(), "");
}

TEST(SolveResultToProto, ReturnsGridsWhereAsked) {
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  SolveResult result = TwoTrajectories();
  result.resolution.options.return_grid = true;
  result.trajectories[0].grid = {0, 0.5, 1};
  v1::SolveResponse proto;
  SolveResultToProto(std::move(result), {*model, ""}, {}, &proto);
  ASSERT_EQ(proto.grids_size(), 2);
  EXPECT_THAT(Doubles(proto.grids(0).times()), ElementsAre(0, 0.5, 1));
}

// A batch may end in as many ways as there are trajectories; the text is not read for each.
TEST(TerminationToProto, QuotesSoManyEquations) {
  std::string text;
  const int count = static_cast<int>(kMaxQuotedEquations) + 1;
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&text, "state x", i, " = 1\nx", i, "' = -x", i, "\n");
  }
  const std::shared_ptr<const Model> model = ModelOf(text);
  const ModelInWords words{*model, text};
  const auto expression = [&words](int64_t state) {
    Termination termination;
    termination.state_index = state;
    v1::Termination proto;
    TerminationToProto(termination, words, &proto);
    EXPECT_EQ(proto.state(), absl::StrCat("x", state));
    return proto.expression();
  };
  for (int i = 0; i < count - 1; ++i) EXPECT_EQ(expression(i), absl::StrCat("x", i, "' = -x", i));
  EXPECT_EQ(expression(count - 1), "");
  EXPECT_EQ(expression(0), "x0' = -x0");
}

}  // namespace
}  // namespace costate
