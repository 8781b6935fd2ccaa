#include "engine/derived_code.h"

#include <memory>
#include <string>

#include "gtest/gtest.h"

namespace costate {
namespace {

absl::StatusOr<std::shared_ptr<const int>> Number(const DerivedCode& code, const std::string& key,
                                                  int value, int* calls) {
  return code.Get<int>(
      key, [&](std::shared_ptr<Evaluator>) -> absl::StatusOr<std::shared_ptr<const int>> {
        ++*calls;
        if (value < 0) return absl::InvalidArgumentError("negative");
        return std::make_shared<const int>(value);
      });
}

TEST(DerivedCode, MakesEachThingOnceAndForgetsTheOldest) {
  const DerivedCode code(nullptr);
  int calls = 0;
  const auto first = Number(code, "a", 1, &calls);
  const auto again = Number(code, "a", 2, &calls);
  ASSERT_TRUE(first.ok() && again.ok());
  EXPECT_EQ(*first, *again);
  EXPECT_EQ(**again, 1);
  EXPECT_EQ(calls, 1);
  for (size_t i = 0; i < DerivedCode::kCapacity; ++i) {
    ASSERT_TRUE(Number(code, "k" + std::to_string(i), 7, &calls).ok());
    if (i != 3) continue;
    ASSERT_TRUE(Number(code, "a", 2, &calls).ok());  // used: k0 is older now
  }
  EXPECT_EQ(code.size(), DerivedCode::kCapacity);
  calls = 0;
  EXPECT_EQ(**Number(code, "a", 9, &calls), 1);
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(**Number(code, "k0", 9, &calls), 9);
  EXPECT_EQ(calls, 1);
}

TEST(DerivedCode, FailuresAreNotKept) {
  const DerivedCode code(nullptr);
  int calls = 0;
  EXPECT_FALSE(Number(code, "a", -1, &calls).ok());
  EXPECT_EQ(code.size(), 0u);
  EXPECT_EQ(**Number(code, "a", 5, &calls), 5);
}

}  // namespace
}  // namespace costate
