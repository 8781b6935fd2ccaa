#include "engine/evaluator_factory.h"

#include "gtest/gtest.h"

namespace costate {
namespace {

TEST(MakeEvaluator, InterpreterIsAlwaysThere) {
  const auto evaluator = MakeEvaluator({.kind = EvaluatorKind::kInterpreter});
  ASSERT_TRUE(evaluator.ok()) << evaluator.status();
  EXPECT_EQ((*evaluator)->name(), "interpreter");
}

TEST(MakeEvaluator, AutoTakesTheCompilerWhereItCanBeHad) {
  const auto compiler = MakeEvaluator({.kind = EvaluatorKind::kCompiler});
  const auto automatic = MakeEvaluator({});
  ASSERT_TRUE(automatic.ok()) << automatic.status();
  if (compiler.ok()) {
    EXPECT_EQ((*automatic)->name(), (*compiler)->name());
    EXPECT_NE((*automatic)->name(), "interpreter");
  } else {
    EXPECT_EQ(compiler.status().code(), absl::StatusCode::kUnavailable);
    EXPECT_EQ((*automatic)->name(), "interpreter");
  }
}

}  // namespace
}  // namespace costate
