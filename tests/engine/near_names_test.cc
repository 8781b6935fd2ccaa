#include "engine/near_names.h"

#include <string>

#include "gtest/gtest.h"

namespace costate {
namespace {

TEST(SuggestName, OffersTheNearOne) {
  EXPECT_EQ(SuggestName("gmma", {"beta", "gamma"}), "did you mean 'gamma'?");
}

TEST(SuggestName, ListsAFewWhenNoneIsNear) {
  EXPECT_EQ(SuggestName("xyzzy", {"a", "b"}), "one of 'a', 'b'");
  EXPECT_EQ(SuggestName("xyzzy", {"1", "2", "3", "4", "5", "6", "7", "8", "9"}),
            "one of '1', '2', '3', '4', '5', '6', '7', '8', ...");
  EXPECT_EQ(SuggestName("x", {}), "it declares none");
}

TEST(SuggestName, BoundsHostileNames) {
  const std::string hostile(1'000'000, 'x');
  EXPECT_EQ(SuggestName(hostile, {"x"}), "one of 'x'");
  EXPECT_EQ(QuoteName(hostile), "'" + std::string(64, 'x') + "...'");
}

}  // namespace
}  // namespace costate
