#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "engine/autodiff/autodiff.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

SparsityPattern PatternOf(int64_t columns, const std::vector<std::set<int64_t>>& rows) {
  SparsityPattern pattern;
  pattern.num_rows = static_cast<int64_t>(rows.size());
  pattern.num_columns = columns;
  pattern.row_start = {0};
  for (const auto& row : rows) {
    pattern.columns.insert(pattern.columns.end(), row.begin(), row.end());
    pattern.row_start.push_back(static_cast<int64_t>(pattern.columns.size()));
  }
  return pattern;
}

// Colours 0 .. max without gaps, no two of one colour in a row; returns how many.
int CheckColours(const SparsityPattern& pattern) {
  const std::vector<int> colours = ColourColumns(pattern);
  EXPECT_EQ(colours.size(), pattern.num_columns);
  const std::set<int> used(colours.begin(), colours.end());
  if (!used.empty()) {
    EXPECT_EQ(*used.begin(), 0);
    EXPECT_EQ(*used.rbegin(), static_cast<int>(used.size()) - 1);
  }
  for (int64_t row = 0; row < pattern.num_rows; ++row) {
    std::set<int> in_row;
    for (int64_t i = pattern.row_start[row]; i < pattern.row_start[row + 1]; ++i) {
      EXPECT_TRUE(in_row.insert(colours[pattern.columns[i]]).second) << "row " << row;
    }
  }
  return static_cast<int>(used.size());
}

std::vector<std::set<int64_t>> Band(int64_t n, int64_t width) {
  std::vector<std::set<int64_t>> rows(n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = std::max<int64_t>(0, i - width); j <= std::min(n - 1, i + width); ++j) {
      rows[i].insert(j);
    }
  }
  return rows;
}

TEST(ColouringTest, BandsNeedTheirWidth) {
  EXPECT_EQ(CheckColours(PatternOf(1000, Band(1000, 0))), 1);
  EXPECT_EQ(CheckColours(PatternOf(1000, Band(1000, 1))), 3);
  EXPECT_EQ(CheckColours(PatternOf(1000, Band(1000, 2))), 5);
}

TEST(ColouringTest, DenseRowsNeedAColourPerColumn) {
  std::vector<std::set<int64_t>> rows = Band(50, 0);
  for (int64_t j = 0; j < 50; ++j) rows[7].insert(j);
  EXPECT_EQ(CheckColours(PatternOf(50, rows)), 50);
}

TEST(ColouringTest, DenseColumnsDoNot) {
  std::vector<std::set<int64_t>> rows = Band(50, 0);
  for (auto& row : rows) row.insert(0);
  EXPECT_EQ(CheckColours(PatternOf(50, rows)), 2);
}

TEST(ColouringTest, ManyEqualRowsCountOnce) {
  std::set<int64_t> full;
  for (int64_t j = 0; j < 3000; ++j) full.insert(j);
  EXPECT_EQ(CheckColours(PatternOf(3000, std::vector<std::set<int64_t>>(100, full))), 3000);
}

TEST(ColouringTest, RandomPatterns) {
  std::mt19937 generator(3);
  for (int trial = 0; trial < 100; ++trial) {
    const int64_t columns = 1 + generator() % 40;
    std::vector<std::set<int64_t>> rows(generator() % 40);
    size_t longest = 0;
    for (auto& row : rows) {
      for (int k = generator() % 5; k > 0; --k) row.insert(generator() % columns);
      longest = std::max(longest, row.size());
    }
    EXPECT_GE(CheckColours(PatternOf(columns, rows)), static_cast<int>(longest));
  }
}

TEST(ColouringTest, Empty) {
  EXPECT_EQ(CheckColours(PatternOf(0, {})), 0);
  EXPECT_EQ(CheckColours(PatternOf(3, {{}, {}})), 1);
}

}  // namespace
}  // namespace costate
