// The variational equations against the closed form of a linear equation, against differences, and
// in one lane against many.
#include "engine/fit/tangent_field.h"

#include <cmath>
#include <cstring>
#include <vector>

#include "engine/solvers/integrate.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate::fit {
namespace {

using Kind = TangentColumn::Kind;
using ::costate::testing::CompileText;

// Evaluates kValue at `rows` points of (t, Y, P), in lanes.
std::vector<double> Evaluate(const TangentField& field, int lanes, const std::vector<double>& t,
                             const std::vector<double>& y, const std::vector<double>& p) {
  const Kernel kernel = field.Get(MapKernel::kValue, lanes).value();
  std::vector<double> out(field.num_states() * lanes), scratch(kernel.scratch_size());
  const double* inputs[] = {t.data(), y.data(), p.data()};
  double* outputs[] = {out.data()};
  kernel(inputs, outputs, scratch.data());
  return out;
}

TEST(TangentField, LanesOfTrajectoriesHaveTheBitsOfOneLane) {
  const auto model = CompileText(
      "param a = 1\nparam b = 2\nparam c[2] = [0.5, 0.7]\nstate x = 1\nstate v[2] = [1, 2]\n"
      "x' = a*sin(x*v[0]) + b*t\nv' = exp(-c*v)*x + a\n");
  const VectorField& rhs = model->rhs();
  const int wide = rhs.simd_lanes();
  if (wide == 1) GTEST_SKIP();
  // Ten columns: more than a block of lanes.
  std::vector<TangentColumn> columns;
  for (int r = 0; r < 2; ++r) {
    for (int64_t j = 0; j < 4; ++j) columns.push_back({Kind::kParam, j});
  }
  columns.push_back({Kind::kInitialState, 0});
  columns.push_back({Kind::kInitialState, 2});
  const TangentField field(rhs, columns);
  ASSERT_EQ(field.num_states(), 3 * 11);
  ASSERT_EQ(field.num_params(), 4 + 10);
  std::vector<double> t(wide), y(field.num_states() * wide), p(field.num_params() * wide);
  for (size_t i = 0; i < t.size(); ++i) t[i] = 0.3 * static_cast<double>(i);
  for (size_t i = 0; i < y.size(); ++i) y[i] = std::sin(1.7 * static_cast<double>(i));
  for (size_t i = 0; i < p.size(); ++i) p[i] = std::cos(0.9 * static_cast<double>(i));
  const std::vector<double> together = Evaluate(field, wide, t, y, p);
  for (int w = 0; w < wide; ++w) {
    const auto lane = [&](const std::vector<double>& all) {
      std::vector<double> one;
      for (size_t i = w; i < all.size(); i += wide) one.push_back(all[i]);
      return one;
    };
    const std::vector<double> alone = Evaluate(field, 1, lane(t), lane(y), lane(p));
    const std::vector<double> mine = lane(together);
    ASSERT_EQ(std::memcmp(alone.data(), mine.data(), 8 * alone.size()), 0) << "lane " << w;
  }
}

// y' = -a y + b: y = (y0 - b/a) e^-at + b/a, with derivatives by a, b and y0 in closed form.
TEST(TangentField, TangentsOfALinearEquationAreThoseOfItsSolution) {
  const auto model = CompileText("param a = 1\nparam b = 1\nstate y = 0\ny' = -a*y + b\n");
  const TangentField field(model->rhs(),
                           {{Kind::kParam, 0}, {Kind::kParam, 1}, {Kind::kInitialState, 0}});
  const double a = 0.7, b = 1.3, y0 = 2.5, t1 = 1.9;
  const std::vector<double> scale = {a, b, y0};
  const std::vector<double> start = {y0, 0, 0, y0};
  const std::vector<double> params = {a, b, a, b, y0};
  const std::vector<double> t0 = {0}, end = {t1};
  Problem problem;
  problem.field = &field;
  problem.t0 = t0;
  problem.t1 = end;
  problem.y0 = start;
  problem.params = params;
  SolveOptions options;
  options.control.rtol = 1e-12;
  options.control.atol = {1e-14};
  const auto solved = Integrate(problem, WithTangentControl(options, 3));
  ASSERT_TRUE(solved.ok()) << solved.status();
  const std::vector<double>& got = (*solved)[0].states;
  const double e = std::exp(-a * t1);
  EXPECT_NEAR(got[0], (y0 - b / a) * e + b / a, 1e-11);
  EXPECT_NEAR(got[1] / a, b / (a * a) * e - t1 * (y0 - b / a) * e - b / (a * a), 1e-11);
  EXPECT_NEAR(got[2] / b, (1 - e) / a, 1e-11);
  EXPECT_NEAR(got[3] / y0, e, 1e-11);
}

TEST(TangentField, ControlBoundsEveryColumnByTheTolerances) {
  SolveOptions options;
  options.control.rtol = 1e-6;
  options.control.atol = {1e-9, 4e-9};
  const SolveOptions mine = WithTangentControl(options, 3);
  EXPECT_DOUBLE_EQ(mine.control.rtol, 0.5e-6);
  EXPECT_EQ(mine.control.atol.size(), 8u);
  EXPECT_DOUBLE_EQ(mine.control.atol[6], 0.5e-9);
  EXPECT_DOUBLE_EQ(mine.control.atol[7], 2e-9);
  options.control.kind = StepControl::Kind::kFixed;
  EXPECT_EQ(WithTangentControl(options, 3).control.atol.size(), 2u);
}

TEST(TangentField, HasValuesOnly) {
  const auto model = CompileText("param a = 1\nstate y = 0\ny' = -a*y\n");
  const TangentField field(model->rhs(), {{Kind::kParam, 0}});
  EXPECT_FALSE(field.Get(MapKernel::kVjp, 1).ok());
  EXPECT_EQ(field.StateName(0), "state y");
  EXPECT_EQ(field.StateName(1), "the tangent of state y");
}

}  // namespace
}  // namespace costate::fit
