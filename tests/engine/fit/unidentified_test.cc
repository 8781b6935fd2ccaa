#include "engine/fit/unidentified.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/fit/fake_objective.h"

namespace costate::fit {
namespace {

using testing::Element;

std::string OfPair(Scale a, Scale b, std::vector<double> natural, std::vector<double> slopes,
                   std::vector<double> direction) {
  const std::vector<FreeElement> elements = {Element("b", 1, 0.1, 10, a),
                                             Element("s0", 1, 0.1, 10, b)};
  return DescribeDirection(elements, natural, slopes, direction);
}

TEST(UnidentifiedTest, PairsOnLogarithmicScalesAreProducts) {
  const double ln10 = 2.302585092994046;
  // ln b + ln s0 stays.
  EXPECT_EQ(OfPair(Scale::kLog, Scale::kLog, {2, 3}, {2, 3}, {1, -1}),
            "Only b*s0 is determined by the data, neither b nor s0 alone.");
  // log10 b = x, ln s0 = y: a change of x by 1 is one of ln b by ln 10.
  EXPECT_EQ(OfPair(Scale::kLog10, Scale::kLog, {2, 3}, {2 * ln10, 3}, {1, ln10}),
            "Only b/s0 is determined by the data, neither b nor s0 alone.");
  EXPECT_EQ(OfPair(Scale::kLog, Scale::kLog, {2, 3}, {2, 3}, {1, -0.5}),
            "Only b*s0^2 is determined by the data, neither b nor s0 alone.");
  EXPECT_EQ(OfPair(Scale::kLog, Scale::kLog, {2, 3}, {2, 3}, {1, -0.8}),
            "Only b*s0^1.25 is determined by the data, neither b nor s0 alone.");
}

TEST(UnidentifiedTest, PairsOnLinearScales) {
  // b*s0 at (2, 3): db/2 = -ds0/3.
  EXPECT_EQ(OfPair(Scale::kLinear, Scale::kLinear, {2, 3}, {1, 1}, {2, -3}),
            "Only b*s0 is determined by the data, neither b nor s0 alone.");
  EXPECT_EQ(OfPair(Scale::kLinear, Scale::kLinear, {2, 3}, {1, 1}, {1, -1}),
            "Only b + s0 is determined by the data, neither b nor s0 alone.");
  EXPECT_EQ(OfPair(Scale::kLinear, Scale::kLinear, {2, 3}, {1, 1}, {0.98, -1}),
            "Only b + 0.98*s0 is determined by the data, neither b nor s0 alone.");
  EXPECT_EQ(OfPair(Scale::kLinear, Scale::kLinear, {2, 0}, {1, 1}, {0.9, 1}),
            "Only b - 0.9*s0 is determined by the data, neither b nor s0 alone.");
}

TEST(UnidentifiedTest, MoreElementsAreNamedByAChange) {
  std::vector<FreeElement> elements;
  for (const char* name : {"a", "b", "c", "d", "e", "f", "g", "h"}) {
    elements.push_back(Element(name, 1));
  }
  const std::vector<double> ones(8, 1.0);
  EXPECT_EQ(
      DescribeDirection(elements, {2, 1, 1, 1, 1, 1, 1, 1}, ones, {2, -0.5, 1, 0, 0, 0, 0, 0}),
      "The data do not tell a, b, c apart: a +1 %, b -0.5 %, c +1 % together leave the fit "
      "as it is.");
  EXPECT_EQ(DescribeDirection(elements, {2, 0, 1, 1, 1, 1, 1, 1}, ones, {2, 3, 1, 0, 0, 0, 0, 0}),
            "The data do not tell a, b, c apart: a +1 %, b +0.03, c +1 % together leave the fit as "
            "it is.");
  EXPECT_EQ(DescribeDirection(elements, ones, ones, ones),
            "The data do not tell a, b, c, d, e, f, and 2 more apart: a +1 %, b +1 %, c +1 %, d +1 "
            "%, e +1 %, f +1 %, and 2 more together leave the fit as it is.");
}

TEST(UnidentifiedTest, OneElement) {
  EXPECT_EQ(DescribeFlat(Element("k", 1)),
            "The data do not depend on k: no value of it fits better than another.");
  EXPECT_EQ(DescribeBound(Element("k", 1, 0.5, 2), 0.5, true),
            "k lies on its lower bound 0.5, and the fit would be better beyond; it is taken as "
            "known, without an error.");
  EXPECT_EQ(DescribeBound(Element("k", 1, 0.5, 2), 2, false),
            "k lies on its upper bound 2; it is taken as known, without an error.");
  EXPECT_EQ(DescribeBound(Element("k", 1, 1, 1), 1, false), "k is held at 1 by its bounds.");
  EXPECT_EQ(DescribeWide(Element("k", 1)),
            "The data say little of k: its 95 % interval covers all that its bounds allow.");
}

}  // namespace
}  // namespace costate::fit
