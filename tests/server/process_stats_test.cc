#include "server/process_stats.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <ctime>
#include <string>

namespace costate {
namespace {

// The fields of proc(5), with a name that tries to look like more fields.
TEST(ProcessStatsTest, ReadsTheFieldsByTheirPlace) {
  const std::string text =
      "7 (a ) b (c) R 1 2 3 4 5 6 7 8 9 10 250 150 13 14 15 16 33 0 1200 4096000 100 "
      "18446744073709551615 1 1\n";
  const ProcessStats stats = ParseProcessStat(text);
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  EXPECT_EQ(stats.cpu_seconds, 400 / ticks);
  EXPECT_EQ(stats.threads, 33);
  EXPECT_EQ(stats.start_time_seconds, 1200 / ticks);
  EXPECT_EQ(stats.virtual_bytes, 4096000);
  EXPECT_EQ(stats.resident_bytes, 100 * sysconf(_SC_PAGE_SIZE));
}

TEST(ProcessStatsTest, OtherTextsAreZeros) {
  for (const char* text : {"", ")", "1 (a", "1 (a) R 1 2 3", "1 (a) R x y z"}) {
    const ProcessStats stats = ParseProcessStat(text);
    EXPECT_EQ(stats.cpu_seconds, 0) << text;
    EXPECT_EQ(stats.resident_bytes, 0) << text;
  }
}

TEST(ProcessStatsTest, ReadsThisProcess) {
  const ProcessStats before = ReadProcessStats();
  EXPECT_GT(before.resident_bytes, 1 << 20);
  EXPECT_LE(before.resident_bytes, before.virtual_bytes);
  EXPECT_GE(before.threads, 1);
  EXPECT_GT(before.open_fds, 2);
  EXPECT_GE(before.max_fds, before.open_fds);
  const double now = static_cast<double>(std::time(nullptr));
  EXPECT_GT(before.start_time_seconds, now - 86400);
  EXPECT_LE(before.start_time_seconds, now + 1);
  const int file = open("/dev/null", O_RDONLY);
  EXPECT_EQ(ReadProcessStats().open_fds, before.open_fds + 1);
  close(file);
}

}  // namespace
}  // namespace costate
