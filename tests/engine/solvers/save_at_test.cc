#include "engine/solvers/save_at.h"

#include <cmath>
#include <vector>

#include "gtest/gtest.h"

namespace costate {
namespace {

using Points = std::vector<SaveCursor::Point>;

std::vector<double> Thetas(const Points& points) {
  std::vector<double> thetas;
  for (const SaveCursor::Point& point : points) thetas.push_back(point.theta);
  return thetas;
}

TEST(SaveCursor, FindsTheTimesOfAStep) {
  const SaveAt save = {.kind = SaveAt::Kind::kTimes, .times = {0, 0.25, 0.25, 1, 1.5, 2}};
  SaveCursor cursor(&save, 0, 2);
  EXPECT_EQ(cursor.Begin(0), 1);
  Points points;
  cursor.Step(0, 0.125, &points);
  EXPECT_TRUE(points.empty());
  cursor.Step(0.125, 1, &points);
  EXPECT_EQ(Thetas(points), (std::vector<double>{1.0 / 7, 1.0 / 7, 1}));
  cursor.Step(1, 2, &points);
  EXPECT_EQ(Thetas(points), (std::vector<double>{0.5, 1}));
}

TEST(SaveCursor, WalksBackwards) {
  const SaveAt save = {.kind = SaveAt::Kind::kTimes, .times = {2, 1.5, 0}};
  SaveCursor cursor(&save, 2, 0);
  EXPECT_EQ(cursor.Begin(2), 1);
  Points points;
  cursor.Step(2, 1.75, &points);
  EXPECT_TRUE(points.empty());
  cursor.Step(1.75, 0.75, &points);
  EXPECT_EQ(Thetas(points), std::vector<double>{0.25});
  cursor.Step(0.75, 0, &points);
  EXPECT_EQ(Thetas(points), std::vector<double>{1});
}

TEST(SaveCursor, ThetaIsNeverAboveOne) {
  const double t_next = 0.3, t = 0.1;
  const SaveAt save = {.kind = SaveAt::Kind::kTimes, .times = {std::nextafter(t_next, 0)}};
  SaveCursor cursor(&save, t, 1);
  cursor.Begin(t);
  Points points;
  cursor.Step(t, t_next, &points);
  ASSERT_EQ(points.size(), 1u);
  EXPECT_LE(points[0].theta, 1);
}

TEST(SaveCursor, HandsOutManyTimesInPieces) {
  const size_t most = SaveCursor::kMaxPoints;
  SaveAt save = {.kind = SaveAt::Kind::kTimes, .times = {}};
  for (size_t i = 0; i < 2 * most + 1; ++i) save.times.push_back(0.25 + 0x1p-15 * i);
  for (const bool odd : {true, false}) {
    if (!odd) save.times.pop_back();
    SaveCursor cursor(&save, 0, 2);
    cursor.Begin(0);
    Points points;
    std::vector<double> seen;
    std::vector<size_t> sizes;
    for (bool more = true; more;) {
      more = cursor.Step(0, 1, &points);
      sizes.push_back(points.size());
      for (const SaveCursor::Point& point : points) seen.push_back(point.t);
    }
    EXPECT_EQ(sizes,
              odd ? (std::vector<size_t>{most, most, 1}) : (std::vector<size_t>{most, most}));
    EXPECT_EQ(seen, save.times);
    EXPECT_FALSE(cursor.Step(1, 2, &points));
    EXPECT_TRUE(points.empty());
  }
}

TEST(SaveCursor, CountsSteps) {
  const SaveAt save = {.kind = SaveAt::Kind::kSteps, .times = {}, .every = 2};
  SaveCursor cursor(&save, 0, 3);
  EXPECT_EQ(cursor.Begin(0), 1);
  Points points;
  cursor.Step(0, 1, &points);
  EXPECT_TRUE(points.empty());
  cursor.Step(1, 2, &points);
  EXPECT_EQ(points.size(), 1u);
  cursor.Step(2, 3, &points);  // the end, though odd
  EXPECT_EQ(points.size(), 1u);
}

TEST(SaveCursor, KeepsTheEndOnce) {
  const SaveAt save;
  SaveCursor cursor(&save, 0, 1);
  EXPECT_EQ(cursor.Begin(0), 0);
  Points points;
  cursor.Step(0, 0.5, &points);
  EXPECT_TRUE(points.empty());
  cursor.Step(0.5, 1, &points);
  ASSERT_EQ(points.size(), 1u);
  EXPECT_EQ(points[0].t, 1);
  EXPECT_EQ(SaveCursor(&save, 1, 1).Begin(1), 1);
}

}  // namespace
}  // namespace costate
