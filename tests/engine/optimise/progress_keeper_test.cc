#include "engine/optimise/progress_keeper.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace costate::optimise {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST(ProgressKeeperTest, KeepsTheBest) {
  ProgressKeeper keeper({1, 2});
  EXPECT_EQ(keeper.progress().trace, std::vector<double>{kInfinity});
  keeper.See(std::vector<double>{1, 2}, 5);
  keeper.NextIteration();
  keeper.See(std::vector<double>{3, 4}, 7);
  keeper.NextIteration();
  keeper.See(std::vector<double>{5, 6}, 3);
  keeper.NextIteration();
  keeper.See(std::vector<double>{7, 8}, std::nan(""));
  EXPECT_EQ(keeper.progress().trace, (std::vector<double>{5, 5, 3, 3}));
  EXPECT_EQ(keeper.progress().best, (std::vector<double>{5, 6}));
  EXPECT_EQ(keeper.progress().value, 3);
  EXPECT_EQ(keeper.progress().iteration, 3);
}

TEST(ProgressKeeperTest, RoundTrip) {
  ProgressKeeper keeper({1, 2});
  keeper.CountEvaluation();
  keeper.See(std::vector<double>{3, 4}, 5);
  keeper.NextIteration();
  keeper.SetGradientNorm(0.25);
  keeper.End(Outcome::kStalled, "It stands still.");
  StateWriter writer;
  keeper.Save(writer);
  const std::string bytes = writer.Take();
  StateReader reader(bytes);
  ProgressKeeper restored({0, 0});
  ASSERT_TRUE(restored.Restore(reader, 2));
  EXPECT_TRUE(reader.at_end());
  EXPECT_TRUE(restored.done());
  EXPECT_EQ(restored.progress().detail, "It stands still.");
  EXPECT_EQ(restored.progress().best, (std::vector<double>{3, 4}));
  EXPECT_EQ(restored.progress().trace, (std::vector<double>{5, 5}));
  EXPECT_EQ(restored.progress().gradient_norm, 0.25);
  EXPECT_EQ(restored.progress().evaluations, 1);
  StateReader again(bytes);
  EXPECT_FALSE(restored.Restore(again, 3));
}

TEST(CompleteTest, SizesAndFiniteness) {
  Answer answer;
  EXPECT_FALSE(IsComplete(answer, Wanted::kValue, 2));
  answer.value = 1;
  EXPECT_TRUE(IsComplete(answer, Wanted::kValue, 2));
  EXPECT_FALSE(IsComplete(answer, Wanted::kGradient, 2));
  answer.gradient = {1, 2};
  EXPECT_TRUE(IsComplete(answer, Wanted::kGradient, 2));
  answer.gradient[1] = kInfinity;
  EXPECT_FALSE(IsComplete(answer, Wanted::kGradient, 2));
  answer.residuals = {1, 2, 3};
  EXPECT_FALSE(IsComplete(answer, Wanted::kResiduals, 2));
  answer.jacobian = {1, 2, 3, 4, 5, 6};
  EXPECT_TRUE(IsComplete(answer, Wanted::kResiduals, 2));
  answer.jacobian[0] = std::nan("");
  EXPECT_FALSE(IsComplete(answer, Wanted::kResiduals, 2));
}

TEST(BoxTest, ClampAndGradientNorm) {
  const Box box = {{0, -kInfinity, 2, -1}, {1, kInfinity, 2, 1}};
  EXPECT_EQ(Clamp(std::vector<double>{-5, 7, 0, std::nan("")}, box),
            (std::vector<double>{0, 7, 2, 0}));
  EXPECT_TRUE(IsWithin(std::vector<double>{0, 7, 2, 1}, box));
  EXPECT_FALSE(IsWithin(std::vector<double>{0, kInfinity, 2, 1}, box));
  EXPECT_FALSE(IsWithin(std::vector<double>{0, 7, 2, 1.5}, box));
  // Held at its lower bound; free; fixed; held at its upper bound.
  EXPECT_EQ(
      FreeGradientNorm(std::vector<double>{9, -3, 8, -7}, std::vector<double>{0, 7, 2, 1}, box), 3);
  // They point inwards.
  EXPECT_EQ(
      FreeGradientNorm(std::vector<double>{-9, -3, 8, 7}, std::vector<double>{0, 7, 2, 1}, box), 9);
}

}  // namespace
}  // namespace costate::optimise
