#include "engine/autodiff/terms.h"

#include <vector>

#include "engine/base/limits.h"
#include "engine/model/function_builder.h"
#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

TEST(TermsTest, StructuralZerosCostNothing) {
  FunctionBuilder b("f", {{"x", 2}}, {{"out", 1}});
  const ValueId x = b.Input(0, 0, {});
  EXPECT_EQ(AddTerms(b, kNoValue, x), x);
  EXPECT_EQ(AddTerms(b, x, kNoValue), x);
  EXPECT_EQ(AddTerms(b, kNoValue, kNoValue), kNoValue);
  EXPECT_EQ(SumTerms(b, {}), kNoValue);
  EXPECT_EQ(SumTerms(b, {x}), x);
  EXPECT_EQ(b.function().instructions.size(), 1);
}

TEST(TermsTest, SumsAreBalanced) {
  FunctionBuilder b("f", {{"x", 5}}, {{"out", 1}});
  std::vector<ValueId> terms;
  for (int i = 0; i < 5; ++i) terms.push_back(b.Input(0, i, {}));
  b.Result(SumTerms(b, terms), 0, 0);
  EXPECT_THAT(PrintFunction(std::move(b).Build()),
              ::testing::HasSubstr("  %5 = add %0, %1 : f64\n"
                                   "  %6 = add %2, %3 : f64\n"
                                   "  %7 = add %5, %6 : f64\n"
                                   "  %8 = add %7, %4 : f64\n"));
}

TEST(TermsTest, LongZerosAreWrittenInAllowedPieces) {
  const int64_t size = limits::kMaxTensorElements + 1;
  FunctionBuilder b("f", {}, {{"out", size}});
  ZeroResult(b, 0, 0, size);
  EXPECT_TRUE(VerifyFunction(std::move(b).Build()).ok());
}

TEST(TermsTest, VariationStopsAtFlatOpsAndConditions) {
  FunctionBuilder b("f", {{"x", 1}, {"p", 1}}, {{"out", 1}});
  const ValueId x = b.Input(0, 0, {});
  const ValueId p = b.Input(1, 0, {});
  const ValueId floor = b.Unary(Op::kFloor, x);
  const ValueId condition = b.Binary(Op::kLt, x, p);
  const ValueId select = b.Select(condition, p, floor);
  const ValueId product = b.Binary(Op::kMul, select, x);
  const std::vector<char> varied = VariedValues(b.function(), {0});
  EXPECT_TRUE(varied[x]);
  EXPECT_FALSE(varied[p]);
  EXPECT_FALSE(varied[floor]);
  EXPECT_FALSE(varied[condition]);
  EXPECT_FALSE(varied[select]);
  EXPECT_TRUE(varied[product]);
}

}  // namespace
}  // namespace costate
