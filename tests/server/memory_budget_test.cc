#include "server/memory_budget.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

namespace costate {
namespace {

TEST(MemoryBudget, GivesBackWhatIsNotHeld) {
  MemoryBudget budget(100);
  std::optional<MemoryBudget::Hold> first = budget.Take(60, absl::ZeroDuration()).value();
  EXPECT_EQ(budget.held(), 60);
  EXPECT_EQ(budget.Take(41, absl::ZeroDuration()).status().code(),
            absl::StatusCode::kResourceExhausted);
  MemoryBudget::Hold second = budget.Take(40, absl::ZeroDuration()).value();
  EXPECT_EQ(budget.held(), 100);
  MemoryBudget::Hold moved = *std::move(first);
  first.reset();
  EXPECT_EQ(budget.held(), 100);
  moved.Release();
  moved.Release();
  EXPECT_EQ(budget.held(), 40);
  second = budget.Take(50, absl::ZeroDuration()).value();
}

TEST(MemoryBudget, GivesWhatIsFree) {
  MemoryBudget budget(100);
  MemoryBudget::Hold first = budget.TakeUpTo(70);
  const MemoryBudget::Hold second = budget.TakeUpTo(70);
  const MemoryBudget::Hold third = budget.TakeUpTo(1);
  EXPECT_EQ(first.bytes(), 70);
  EXPECT_EQ(second.bytes(), 30);
  EXPECT_EQ(third.bytes(), 0);
  first.Release();
  EXPECT_EQ(first.bytes(), 0);
  EXPECT_EQ(budget.held(), 30);
}

TEST(MemoryBudget, DoesNotOverflow) {
  MemoryBudget budget(std::numeric_limits<int64_t>::max());
  const MemoryBudget::Hold most = budget.Take(budget.total() - 1, absl::ZeroDuration()).value();
  EXPECT_FALSE(budget.Take(budget.total(), absl::ZeroDuration()).ok());
  EXPECT_TRUE(budget.Take(1, absl::ZeroDuration()).ok());
}

TEST(ParseMemoryLimit, ReadsControlGroups) {
  EXPECT_EQ(ParseMemoryLimit("1073741824\n"), 1 << 30);
  for (const char* text : {"max\n", "", "0", "-1", "12x"}) {
    EXPECT_EQ(ParseMemoryLimit(text), std::numeric_limits<int64_t>::max()) << text;
  }
  EXPECT_GT(DefaultMemoryBudget(), 0);
}

}  // namespace
}  // namespace costate
