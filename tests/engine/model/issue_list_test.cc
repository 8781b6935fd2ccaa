#include "engine/model/issue_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "engine/base/limits.h"

namespace costate {
namespace {

TEST(IssueListTest, KeepsTheFirstIssueOfAPlaceAndSorts) {
  IssueList issues;
  issues.Add({2, 1, 1}, "later");
  issues.Add({1, 5, 1}, "first", "hint");
  issues.Add({1, 5, 3}, "second cause at the same place");
  const std::vector<Issue> taken = issues.Take();
  ASSERT_EQ(taken.size(), 2);
  EXPECT_EQ(taken[0].message, "first");
  EXPECT_EQ(taken[0].hint, "hint");
  EXPECT_EQ(taken[1].message, "later");
  EXPECT_TRUE(issues.empty());
}

TEST(IssueListTest, SaysThatThereAreMore) {
  IssueList issues;
  for (int i = 0; i < 1000000; ++i) issues.Add({1 + i, 1, 1}, "wrong");
  EXPECT_TRUE(issues.full());
  const std::vector<Issue> taken = issues.Take();
  ASSERT_EQ(static_cast<int64_t>(taken.size()), limits::kMaxIssues);
  EXPECT_THAT(taken.back().message, ::testing::HasSubstr("too many issues"));
}

TEST(IssueListTest, ExactlyFullSaysNothing) {
  IssueList issues;
  for (int i = 0; i < limits::kMaxIssues - 1; ++i) issues.Add({1 + i, 1, 1}, "wrong");
  const std::vector<Issue> taken = issues.Take();
  EXPECT_EQ(static_cast<int64_t>(taken.size()), limits::kMaxIssues - 1);
  EXPECT_EQ(taken.back().message, "wrong");
}

}  // namespace
}  // namespace costate
