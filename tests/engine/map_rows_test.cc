// Values, pull-backs and push-forwards along rows, against the formulas of g written out.
#include "engine/map_rows.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileText;

// outputs: u = t*x*a, v = sin(x) + b*y, at (x, y) with parameters (a, b).
std::shared_ptr<const Model> MakeMaps() {
  return CompileText(
      "model maps\nparam a = 2\nparam b = 3\nstate x = a*b\nstate y = t + a\n"
      "x' = 0\ny' = 0\noutput u = t*x*a\noutput v = sin(x) + b*y\n");
}

struct Rows {
  std::vector<double> t, y;
  std::vector<double> p = {2, 3};
  MapPoints points() const {
    return {.rows = static_cast<int64_t>(t.size()), .t = t.data(), .y = y.data(), .p = p.data()};
  }
};

Rows MakeRows(int count) {
  Rows rows;
  for (int r = 0; r < count; ++r) {
    rows.t.push_back(0.5 * r);
    rows.y.push_back(1 + 0.1 * r);
    rows.y.push_back(2 - 0.3 * r);
  }
  return rows;
}

class RowCount : public ::testing::TestWithParam<int> {};

TEST_P(RowCount, Values) {
  const auto model = MakeMaps();
  const Rows rows = MakeRows(GetParam());
  std::vector<double> values(2 * rows.t.size());
  ASSERT_TRUE(EvaluateRows(model->outputs(), rows.points(), values.data()).ok());
  for (size_t r = 0; r < rows.t.size(); ++r) {
    EXPECT_EQ(values[2 * r], rows.t[r] * rows.y[2 * r] * 2);
    EXPECT_NEAR(values[2 * r + 1], std::sin(rows.y[2 * r]) + 3 * rows.y[2 * r + 1], 1e-15);
  }
}

TEST_P(RowCount, Transpose) {
  const auto model = MakeMaps();
  const Rows rows = MakeRows(GetParam());
  const size_t count = rows.t.size();
  std::vector<double> c(2 * count);
  for (size_t i = 0; i < c.size(); ++i) c[i] = std::cos(static_cast<double>(i));
  std::vector<double> c_t(count, 1.0), c_y(2 * count, 1.0), c_p(2, 1.0);  // added to
  ASSERT_TRUE(
      TransposeRows(model->outputs(), rows.points(), c.data(), c_t.data(), c_y.data(), c_p.data())
          .ok());
  double expected_a = 1, expected_b = 1;
  for (size_t r = 0; r < count; ++r) {
    const double t = rows.t[r], x = rows.y[2 * r], y = rows.y[2 * r + 1];
    const double cu = c[2 * r], cv = c[2 * r + 1];
    EXPECT_NEAR(c_t[r], 1 + cu * x * 2, 1e-14);
    EXPECT_NEAR(c_y[2 * r], 1 + cu * t * 2 + cv * std::cos(x), 1e-14);
    EXPECT_NEAR(c_y[2 * r + 1], 1 + cv * 3, 1e-14);
    expected_a += cu * t * x;
    expected_b += cv * y;
  }
  EXPECT_NEAR(c_p[0], expected_a, 1e-13);
  EXPECT_NEAR(c_p[1], expected_b, 1e-13);
}

TEST_P(RowCount, Push) {
  const auto model = MakeMaps();
  const Rows rows = MakeRows(GetParam());
  const size_t count = rows.t.size();
  constexpr int kColumns = 11;  // more than one block, not a multiple
  std::vector<double> d_t(kColumns), d_y(2 * count * kColumns), d_p(2 * kColumns);
  for (size_t i = 0; i < d_t.size(); ++i) d_t[i] = 0.1 * static_cast<double>(i);
  for (size_t i = 0; i < d_y.size(); ++i) d_y[i] = std::sin(static_cast<double>(i));
  for (size_t i = 0; i < d_p.size(); ++i) d_p[i] = std::cos(static_cast<double>(i));
  std::vector<double> d(2 * count * kColumns);
  ASSERT_TRUE(PushRows(model->outputs(), rows.points(), kColumns, d_t.data(), d_y.data(),
                       d_p.data(), d.data())
                  .ok());
  for (size_t r = 0; r < count; ++r) {
    const double t = rows.t[r], x = rows.y[2 * r], y = rows.y[2 * r + 1];
    for (int q = 0; q < kColumns; ++q) {
      const double dx = d_y[2 * r * kColumns + q], dy = d_y[(2 * r + 1) * kColumns + q];
      const double da = d_p[q], db = d_p[kColumns + q];
      EXPECT_NEAR(d[2 * r * kColumns + q], d_t[q] * x * 2 + t * dx * 2 + t * x * da, 1e-13);
      EXPECT_NEAR(d[(2 * r + 1) * kColumns + q], std::cos(x) * dx + db * y + 3 * dy, 1e-13);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Counts, RowCount, ::testing::Values(1, 2, 7, 8, 19));

TEST(MapRows, InitialValuesOfABatch) {
  const auto model = MakeMaps();
  const std::vector<double> t0 = {1};
  const std::vector<double> p = {2, 3, 5, 7, 11, 13};
  const MapPoints points = {.rows = 3, .t = t0.data(), .t_stride = 0, .p = p.data(), .p_stride = 2};
  std::vector<double> y(6);
  ASSERT_TRUE(EvaluateRows(model->init(), points, y.data()).ok());
  EXPECT_EQ(y, (std::vector<double>{6, 3, 35, 6, 143, 12}));
}

TEST(MapRows, NothingToDoWithoutValues) {
  const auto model = CompileText("model m\nstate x = 1\nx' = -x\n");
  const MapPoints points = {.rows = 1};
  EXPECT_TRUE(EvaluateRows(model->outputs(), points, nullptr).ok());
  EXPECT_TRUE(TransposeRows(model->outputs(), points, nullptr, nullptr, nullptr, nullptr).ok());
  EXPECT_TRUE(PushRows(model->outputs(), points, 3, nullptr, nullptr, nullptr, nullptr).ok());
}

TEST(Cancelled, NoRowIsTaken) {
  const auto model = MakeMaps();
  const Rows rows = MakeRows(20);
  Cancellation cancellation;
  MapPoints points = rows.points();
  points.cancellation = &cancellation;
  std::vector<double> values(2 * 20, -1.0);
  ASSERT_TRUE(EvaluateRows(model->outputs(), points, values.data()).ok());
  EXPECT_NE(values[1], -1);
  values.assign(2 * 20, -1.0);
  cancellation.Cancel(Cancellation::Reason::kDeadlineExceeded);
  EXPECT_EQ(EvaluateRows(model->outputs(), points, values.data()).code(),
            absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(values, ::testing::Each(-1.0));
  const std::vector<double> d_p(2, 1.0);
  EXPECT_FALSE(
      PushRows(model->outputs(), points, 1, nullptr, nullptr, d_p.data(), values.data()).ok());
  EXPECT_FALSE(
      TransposeRows(model->outputs(), points, values.data(), nullptr, nullptr, nullptr).ok());
  EXPECT_THAT(values, ::testing::Each(-1.0));
}

TEST(Cancelled, NoKernelIsBuilt) {
  const auto model = MakeMaps();
  Cancellation cancellation;
  ASSERT_TRUE(PrepareKernels({{&model->outputs(), MapKernel::kValue, 1}}, &cancellation).ok());
  cancellation.Cancel(Cancellation::Reason::kShuttingDown);
  // Lanes that no map has: it is not asked for them any more.
  EXPECT_EQ(
      PrepareKernels({{&model->outputs(), MapKernel::kValue, 3}}, &cancellation).status().code(),
      absl::StatusCode::kUnavailable);
}

TEST(Budget, NoRowIsTakenOnceSpent) {
  const auto model = MakeMaps();
  const Rows rows = MakeRows(20);
  MapPoints points = rows.points();
  points.budget = absl::ZeroDuration();
  std::vector<double> values(2 * 20, -1.0);
  EXPECT_EQ(EvaluateRows(model->outputs(), points, values.data()).code(),
            absl::StatusCode::kAborted);
  EXPECT_THAT(values, ::testing::Each(-1.0));
}

}  // namespace
}  // namespace costate
