#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/fit/fit.h"
#include "gtest/gtest.h"

namespace costate::fit {
namespace {

std::vector<StartResult> Some() {
  StartResult good;
  good.index = 3;
  good.outcome = optimise::Outcome::kConverged;
  good.objective = 1.25;
  good.start_values = {1, 2};
  good.values = {0.5, -0.0};
  good.iterations = 7;
  good.evaluations = 9;
  good.trace = {3, 2, 1.25};
  good.gradient_norm = 1e-9;
  good.detail = "done\n\0with zero";
  StartResult bad;
  bad.index = 4;
  bad.outcome = optimise::Outcome::kDiverged;
  return {good, bad};
}

TEST(ResultsBytesTest, ComeBackAsTheyWere) {
  const std::vector<StartResult> before = Some();
  const std::vector<StartResult> after = RestoreResults(SaveResults(before)).value();
  ASSERT_EQ(after.size(), before.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].index, before[i].index);
    EXPECT_EQ(after[i].outcome, before[i].outcome);
    EXPECT_EQ(after[i].objective, before[i].objective);
    EXPECT_EQ(after[i].start_values, before[i].start_values);
    EXPECT_EQ(after[i].values, before[i].values);
    EXPECT_EQ(after[i].iterations, before[i].iterations);
    EXPECT_EQ(after[i].evaluations, before[i].evaluations);
    EXPECT_EQ(after[i].trace, before[i].trace);
    EXPECT_EQ(after[i].detail, before[i].detail);
  }
  EXPECT_TRUE(std::signbit(after[0].values[1]));
  EXPECT_TRUE(std::isnan(after[1].gradient_norm));
  EXPECT_TRUE(RestoreResults(SaveResults({})).value().empty());
}

TEST(ResultsBytesTest, RefusesWhatIsCutOrForeign) {
  const std::string bytes = SaveResults(Some());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(RestoreResults(bytes.substr(0, size)).status().code(), absl::StatusCode::kDataLoss)
        << size;
  }
  EXPECT_EQ(RestoreResults(bytes + "x").status().code(), absl::StatusCode::kDataLoss);
  std::string version = bytes;
  version[0] ^= 64;
  EXPECT_EQ(RestoreResults(version).status().code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace costate::fit
