// Second derivatives of losses by hand.
#include "engine/gradients/loss_curvature.h"

#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/cubic_expression.h"

namespace costate {
namespace {

using ::costate::testing::CubicCurvature;
using ::costate::testing::CubicExpression;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

const SavedValues kSaved = {.times = {0, 1},
                            .states = {1, 10, 2, 20},
                            .outputs = {5, 6},
                            .terminal_state = {4, 40},
                            .terminal_output = {8}};

SavedTangents Moves() {
  return {.values = {.times = {},
                     .states = {1, 2, 3, 4},
                     .outputs = {-1, 7},
                     .terminal_state = {},
                     .terminal_output = {}},
          .params = {0.5}};
}

TEST(LossCurvature, OfLeastSquaresIsTwoOverVariance) {
  Loss loss;
  loss.terms.emplace_back(LeastSquares{.channel = {Channel::Kind::kState, 1},
                                       .times = {1, 0, 1},
                                       .values = {0, kNaN, 3},
                                       .sigma = {2},
                                       .half = false});
  loss.terms.emplace_back(LeastSquares{.channel = {Channel::Kind::kOutput, 0},
                                       .times = {0},
                                       .values = {1},
                                       .sigma = {0.5},
                                       .half = true});
  const LossCurvature curvature = DifferentiateLossTwice(loss, kSaved, {}, Moves(), {{}, {}});
  EXPECT_THAT(curvature.hessian_times.states, ElementsAre(0, 0, 0, 2 * (2.0 / 4) * 4));
  EXPECT_THAT(curvature.hessian_times.outputs, ElementsAre(-1 / 0.25, 0));
  EXPECT_THAT(curvature.gradient.outputs, ElementsAre(4 / 0.25, 0));
}

TEST(LossCurvature, OfLinearTermsIsNothing) {
  Loss loss;
  loss.terms.emplace_back(Linear{.times = {1}, .states = {2, 3}, .outputs = {}});
  loss.terms.emplace_back(Terminal{.state = {1, 1}, .output = {}});
  const LossCurvature curvature = DifferentiateLossTwice(loss, kSaved, {}, Moves(), {{}, {}});
  EXPECT_THAT(curvature.hessian_times.states, IsEmpty());
  EXPECT_THAT(curvature.hessian_times.terminal_state, IsEmpty());
  EXPECT_THAT(curvature.gradient.states, ElementsAre(0, 0, 2, 3));
}

// L = p d sum y^3 over state 1 at times 1, 0, 1: y = 20, 10, 20, p = 2, d = 3.
TEST(LossCurvature, OfAnExpressionMovesEveryUse) {
  Loss loss;
  loss.terms.emplace_back(CubicExpression({1, 0, 1}, 3));
  const std::vector<double> params = {2};
  const LossCurvature curvature =
      DifferentiateLossTwice(loss, kSaved, params, Moves(), {CubicCurvature()});
  // dL/dy_i = 3 p d y^2, H_yy dy = 6 p d y dy, H_yp dp = 3 d y^2 dp, H_py dy = 3 d y^2 dy
  EXPECT_THAT(curvature.gradient.states, ElementsAre(0, 1800, 0, 2 * 7200));
  EXPECT_THAT(curvature.gradient.params, ElementsAre(3 * (8000 + 1000 + 8000)));
  EXPECT_THAT(curvature.hessian_times.states,
              ElementsAre(0, 36 * 10 * 2 + 9 * 100 * 0.5, 0, 2 * (36 * 20 * 4 + 9 * 400 * 0.5)));
  EXPECT_THAT(curvature.hessian_times.params, ElementsAre(9 * (100 * 2 + 2 * 400 * 4)));
}

}  // namespace
}  // namespace costate
