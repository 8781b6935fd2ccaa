#include "engine/model/name_suggestion.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace costate {
namespace {

TEST(NearestNameTest, OneEditAway) {
  EXPECT_EQ(NearestName("gmma", {"alpha", "gamma"}), "gamma");
  EXPECT_EQ(NearestName("gammma", {"alpha", "gamma"}), "gamma");
  EXPECT_EQ(NearestName("gamna", {"alpha", "gamma"}), "gamma");
}

TEST(NearestNameTest, SwappedNeighboursBeatOtherEdits) {
  EXPECT_EQ(NearestName("tahn", {"tan", "tanh"}), "tanh");
}

TEST(NearestNameTest, ChangeOfCaseBeatsOtherEdits) {
  EXPECT_EQ(NearestName("Vm", {"Vn", "vm"}), "vm");
  EXPECT_EQ(NearestName("GNA", {"gNa"}), "gNa");
}

TEST(NearestNameTest, FarNamesAreNotSuggested) {
  EXPECT_EQ(NearestName("temperature", {"pressure", "volume"}), "");
  EXPECT_EQ(NearestName("x", {"y", "z"}), "");
  EXPECT_EQ(NearestName("ab", {"cd"}), "");
  EXPECT_EQ(NearestName("x", {}), "");
}

TEST(NearestNameTest, LongNamesMayDifferMore) {
  EXPECT_EQ(NearestName("suseptibles", {"susceptible"}), "susceptible");
}

TEST(NearestNameTest, TheNameItselfIsNoSuggestion) { EXPECT_EQ(NearestName("abc", {"abc"}), ""); }

TEST(NearestNameTest, FirstOfEquals) { EXPECT_EQ(NearestName("k3", {"k1", "k2"}), "k1"); }

}  // namespace
}  // namespace costate
