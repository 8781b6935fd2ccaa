// Gathering and scattering around the kernel of an expression.
#include "engine/gradients/expression_term.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/cubic_expression.h"

namespace costate {
namespace {

using ::costate::testing::CubicExpression;
using ::testing::ElementsAre;

// Two states and two outputs at three descending times.
const SavedValues kSaved = {.times = {2, 1, 0},
                            .states = {1, 2, 3, 4, 5, 6},
                            .outputs = {10, 20, 30, 40, 50, 60},
                            .terminal_state = {},
                            .terminal_output = {}};

TEST(ExpressionTerm, ValueAndCotangentsOfRepeatedTimes) {
  const ExpressionLoss term = CubicExpression({0, 2, 0}, 3);
  RowFinder rows(kSaved);
  Cotangents sum;
  sum.params = {1};
  const std::vector<double> params = {2, 99};  // more behind the model's own
  EXPECT_EQ(EvaluateExpression(term, kSaved, params, &rows, &sum), 6 * (216 + 8 + 216));
  EXPECT_THAT(sum.states, ElementsAre(0, 18 * 4, 0, 0, 0, 2 * 18 * 36));
  EXPECT_THAT(sum.params, ElementsAre(1 + 3 * 440));
  EXPECT_TRUE(sum.times.empty());
}

TEST(ExpressionTerm, BlocksOfEveryKind) {
  ExpressionLoss term = CubicExpression({1, 2}, 0);
  CompiledExpression compiled = *term.compiled;
  using Block = CompiledExpression::Block;
  compiled.blocks = {{Block::Kind::kTime, 0, 1}, {Block::Kind::kOutput, 0, 2}};
  compiled.num_values = 6;
  term.compiled = std::make_shared<CompiledExpression>(compiled);
  RowFinder rows(kSaved);
  EXPECT_THAT(GatherValues(term, kSaved, &rows), ElementsAre(1, 2, 30, 40, 10, 20));
  Cotangents sum;
  ScatterValues(term, {-1, -2, 3, 4, 5, 6}, kSaved, &rows, &sum);
  EXPECT_THAT(sum.times, ElementsAre(-2, -1, 0));
  EXPECT_THAT(sum.outputs, ElementsAre(5, 6, 3, 4, 0, 0));
}

TEST(ExpressionTerm, NotPreparedIsNaN) {
  ExpressionLoss term;
  term.text = "sum(x)";
  term.times = {1};
  RowFinder rows(kSaved);
  Cotangents sum;
  EXPECT_TRUE(std::isnan(EvaluateExpression(term, kSaved, {}, &rows, &sum)));
}

}  // namespace
}  // namespace costate
