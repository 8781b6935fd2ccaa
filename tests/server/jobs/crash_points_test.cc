#include "server/jobs/crash_points.h"

#include <gtest/gtest.h>

namespace costate::jobs {
namespace {

// Each runs in a process of its own, since the variable is read once.
class CrashPoints : public testing::Test {
 protected:
  CrashPoints() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(CrashPoints, EndsTheProcessAtTheNthPassing) {
  EXPECT_EXIT(
      {
        setenv("COSTATE_CRASH_AT", "after_claim:3", 1);
        CrashPoint("after_claim");
        CrashPoint("before_complete");
        CrashPoint("after_claim");
        fprintf(stderr, "twice");
        CrashPoint("after_claim");
        exit(0);
      },
      testing::ExitedWithCode(137), "twice");
}

TEST_F(CrashPoints, IsNothingWithoutTheVariable) {
  EXPECT_EXIT(
      {
        unsetenv("COSTATE_CRASH_AT");
        CrashPoint("after_claim");
        exit(0);
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace costate::jobs
