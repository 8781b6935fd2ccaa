#include "engine/gradients/chunked_rows.h"

#include <vector>

#include "gtest/gtest.h"

namespace costate {
namespace {

TEST(ChunkedRows, KeepsRowsInOrderThroughThinning) {
  for (const int64_t width : {1, 3, 128, 500}) {
    ChunkedRows rows(width);
    for (int i = 0; i < 1001; ++i) rows.Add(std::vector<double>(width, i).data());
    const double* const first = rows.row(0);
    EXPECT_EQ(rows.bytes(), rows.Bytes(1001));
    EXPECT_GE(rows.bytes(), 1001 * width * 8);
    EXPECT_LT(rows.bytes(), 1.02 * 1001 * width * 8 + 1100);
    rows.KeepEveryOther();
    rows.KeepEveryOther();
    ASSERT_EQ(rows.size(), 251);
    EXPECT_EQ(rows.row(0), first);
    for (int64_t i = 0; i < 251; ++i) {
      EXPECT_EQ(rows.row(i)[0], 4.0 * i);
      EXPECT_EQ(rows.row(i)[width - 1], 4.0 * i);
    }
    rows.Add(std::vector<double>(width, -1.0).data());
    EXPECT_EQ(rows.row(251)[width - 1], -1.0);
    rows.Truncate(0);
    EXPECT_EQ(rows.bytes(), 0);
  }
}

}  // namespace
}  // namespace costate
