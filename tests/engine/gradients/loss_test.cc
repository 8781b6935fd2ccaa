// Losses by hand on two states, one output and three saved times.
#include "engine/gradients/loss.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

SavedValues Saved() {
  return {.times = {0, 1, 2},
          .states = {1, 10, 2, 20, 3, 30},
          .outputs = {5, 6, 7},
          .terminal_state = {4, 40},
          .terminal_output = {8}};
}

LeastSquares Squares(Channel::Kind kind, int64_t index, std::vector<double> times,
                     std::vector<double> values, std::vector<double> sigma = {1},
                     bool half = false) {
  return {.channel = {kind, index},
          .times = std::move(times),
          .values = std::move(values),
          .sigma = std::move(sigma),
          .half = half};
}

ExpressionLoss Expressed(std::vector<double> times, std::vector<NamedArray> data) {
  ExpressionLoss term;
  term.text = "sum(x)";
  term.times = std::move(times);
  term.data = std::move(data);
  return term;
}

TEST(LossTimes, AreTheSortedUnion) {
  Loss loss;
  loss.terms.push_back(Squares(Channel::Kind::kState, 0, {2, 0, 2}, {0, 0, 0}));
  loss.terms.push_back(Linear{.times = {1, 0}, .states = {}, .outputs = {1, 1}});
  loss.terms.push_back(Terminal{.state = {1, 1}, .output = {}});
  loss.terms.push_back(IntegralLoss{"x"});
  EXPECT_THAT(LossTimes(loss, false), ElementsAre(0, 1, 2));
  EXPECT_THAT(LossTimes(loss, true), ElementsAre(2, 1, 0));
  loss.terms.push_back(Expressed({0.5, 2, 0.5}, {}));
  EXPECT_THAT(LossTimes(loss, false), ElementsAre(0, 0.5, 1, 2));
}

TEST(EvaluateLoss, LeastSquaresOfAnOutput) {
  // ((5-3)/2)^2 + ((7-10)/0.5)^2 = 1 + 36
  Loss loss;
  loss.terms.push_back(Squares(Channel::Kind::kOutput, 0, {0, 2}, {3, 10}, {2, 0.5}));
  const LossValue value = EvaluateLoss(loss, Saved(), {});
  EXPECT_EQ(value.value, 37);
  EXPECT_THAT(value.cotangents.outputs, ElementsAre(2 * 1 / 2.0, 0, 2 * -6 / 0.5));
  EXPECT_THAT(value.cotangents.states, IsEmpty());
}

TEST(EvaluateLoss, HalfOfLeastSquares) {
  Loss loss;
  loss.terms.push_back(Squares(Channel::Kind::kState, 1, {1}, {16}, {2}, true));
  const LossValue value = EvaluateLoss(loss, Saved(), {});
  EXPECT_EQ(value.value, 2);  // 1/2 (4/2)^2
  EXPECT_THAT(value.cotangents.states, ElementsAre(0, 0, 0, 1, 0, 0));
}

TEST(EvaluateLoss, SkipsMissingDataAndAddsRepeats) {
  Loss loss;
  loss.terms.push_back(Squares(Channel::Kind::kState, 0, {2, 0, 2, 1}, {1, kNaN, 5, kNaN}));
  const LossValue value = EvaluateLoss(loss, Saved(), {});
  EXPECT_EQ(value.value, 4 + 4);
  EXPECT_THAT(value.cotangents.states, ElementsAre(0, 0, 0, 0, 2 * 2 + 2 * -2, 0));
}

TEST(EvaluateLoss, TermsAddUp) {
  Loss loss;
  loss.terms.push_back(Linear{.times = {2, 1}, .states = {1, 0, 0, 2}, .outputs = {3, 4}});
  loss.terms.push_back(Terminal{.state = {1, -1}, .output = {0.5}});
  loss.terms.push_back(Squares(Channel::Kind::kState, 0, {1}, {0}));
  const LossValue value = EvaluateLoss(loss, Saved(), {});
  EXPECT_EQ(value.value, (3 + 3 * 7 + 2 * 20 + 4 * 6) + (4 - 40 + 0.5 * 8) + 4);
  EXPECT_THAT(value.cotangents.states, ElementsAre(0, 0, 4, 2, 1, 0));
  EXPECT_THAT(value.cotangents.outputs, ElementsAre(0, 4, 3));
  EXPECT_THAT(value.cotangents.terminal_state, ElementsAre(1, -1));
  EXPECT_THAT(value.cotangents.terminal_output, ElementsAre(0.5));
}

TEST(EvaluateLoss, FindsTimesOfABackwardSolve) {
  SavedValues saved = Saved();
  saved.times = {2, 1, 0};
  Loss loss;
  loss.terms.push_back(Squares(Channel::Kind::kOutput, 0, {0, 1, 2}, {0, 0, 0}));
  EXPECT_EQ(EvaluateLoss(loss, saved, {}).value, 25 + 36 + 49);
  EXPECT_THAT(EvaluateLoss(loss, saved, {}).cotangents.outputs, ElementsAre(10, 12, 14));
}

TEST(EvaluateLoss, IsNaNOnlyWhereANeededValueIs) {
  SavedValues saved = Saved();
  saved.states[4] = kNaN;  // state 0 at the last time
  Loss needs;
  needs.terms.push_back(Squares(Channel::Kind::kState, 0, {0, 2}, {0, 0}));
  EXPECT_TRUE(std::isnan(EvaluateLoss(needs, saved, {}).value));
  Loss missing;
  missing.terms.push_back(Squares(Channel::Kind::kState, 0, {0, 2}, {0, kNaN}));
  EXPECT_EQ(EvaluateLoss(missing, saved, {}).value, 1);
  Loss weightless;
  weightless.terms.push_back(Linear{.times = {2}, .states = {0, 1}, .outputs = {}});
  EXPECT_EQ(EvaluateLoss(weightless, saved, {}).value, 30);
}

struct BadLoss {
  const char* what;
  Loss loss;
  const char* field;
  const char* message;
};

TEST(ValidateLoss, NamesTheField) {
  const auto with = [](auto term) {
    Loss loss;
    loss.terms.push_back(Terminal{.state = {1, 1}, .output = {}});
    loss.terms.push_back(std::move(term));
    return loss;
  };
  const auto state = Channel::Kind::kState;
  const double inf = std::numeric_limits<double>::infinity();
  const std::vector<BadLoss> bad = {
      {"nothing", {}, "loss.terms", "at least one"},
      {"no time", with(Squares(state, 0, {}, {})), "loss.terms[1].times", "at least one time"},
      {"channel", with(Squares(state, 2, {0}, {0})), "loss.terms[1].channel", "2 states"},
      {"output", with(Squares(Channel::Kind::kOutput, -1, {0}, {0})), "loss.terms[1].channel",
       "1 outputs"},
      {"early", with(Squares(state, 0, {0, -1}, {0, 0})), "loss.terms[1].times[1]", "[0, 2]"},
      {"NaN time", with(Squares(state, 0, {kNaN}, {0})), "loss.terms[1].times[0]", "[0, 2]"},
      {"values", with(Squares(state, 0, {0, 1}, {0})), "loss.terms[1].values", "got 1 values"},
      {"infinite", with(Squares(state, 0, {0}, {inf})), "loss.terms[1].values[0]", "finite"},
      {"sigmas", with(Squares(state, 0, {0}, {0}, {1, 1})), "loss.terms[1].sigma", "2 values"},
      {"zero sigma", with(Squares(state, 0, {0}, {0}, {0})), "loss.terms[1].sigma[0]", "> 0"},
      {"no weights", with(Linear{.times = {0}, .states = {}, .outputs = {}}),
       "loss.terms[1].states", "no weights"},
      {"weights", with(Linear{.times = {0, 1}, .states = {1, 2}, .outputs = {}}),
       "loss.terms[1].states", "4 values"},
      {"NaN weight", with(Linear{.times = {0}, .states = {}, .outputs = {kNaN}}),
       "loss.terms[1].outputs[0]", "finite"},
      {"terminal", with(Terminal{.state = {1}, .output = {}}), "loss.terms[1].state", "2 values"},
      {"empty terminal", with(Terminal{}), "loss.terms[1].state", "no weights"},
      {"no times", with(Expressed({}, {})), "loss.terms[1].expression.times", "at least one time"},
      {"late", with(Expressed({1, 3}, {})), "loss.terms[1].expression.times[1]", "[0, 2]"},
      {"data", with(Expressed({1}, {{.name = "d", .shape = {2, 2}, .values = {1, 2}}})),
       "loss.terms[1].expression.data[0].array", "4 for its shape"},
      {"extent", with(Expressed({1}, {{.name = "d", .shape = {-1, -1}, .values = {1}}})),
       "loss.terms[1].expression.data[0].array", "at least 1"},
      {"infinite data", with(Expressed({1}, {{.name = "d", .shape = {}, .values = {inf}}})),
       "loss.terms[1].expression.data[0].array[0]", "finite"},
  };
  for (const BadLoss& item : bad) {
    const absl::Status status = ValidateLoss(item.loss, 0, 2, 2, 1);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << item.what;
    EXPECT_EQ(FieldOf(status).value_or(""), item.field) << item.what;
    EXPECT_THAT(std::string(status.message()), HasSubstr(item.message)) << item.what;
  }
}

TEST(ValidateLoss, AcceptsTheEndsInBothDirections) {
  Loss loss;
  loss.terms.push_back(Squares(Channel::Kind::kState, 0, {0, 2}, {kNaN, 0}));
  EXPECT_TRUE(ValidateLoss(loss, 0, 2, 1, 0).ok());
  EXPECT_TRUE(ValidateLoss(loss, 2, 0, 1, 0).ok());
  EXPECT_EQ(FieldOf(ValidateLoss({}, 0, 2, 1, 0, "cotangents[3]")), "cotangents[3].terms");
}

}  // namespace
}  // namespace costate
