// Steppers alone: the same bits in every lane of every width, and what is kept between steps.
#include "engine/solvers/stepper.h"

#include <cmath>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/solvers/solve_testing.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::unique_ptr<Stepper> Make(Method method, const VectorField& field, int lanes) {
  absl::StatusOr<std::unique_ptr<Stepper>> stepper = MakeStepper(method, field, lanes);
  EXPECT_TRUE(stepper.ok()) << stepper.status();
  return *std::move(stepper);
}

class StepperTest : public testing::TestWithParam<Method> {};

// Starting point, parameters and steps of lane l.
struct LaneCase {
  std::vector<double> y, p;
  double t, h;
};
LaneCase CaseOf(int l) {
  return {{0.9 - 0.1 * l, -0.4 + 0.2 * l, 0.7},
          {1.1, 0.6 + 0.05 * l, -0.8, 0.5},
          0.3 * l,
          0.1 / (l + 1)};
}

// Every number a stepper gives, over three steps of which the second is refused.
std::vector<double> Trace(Stepper& stepper, int lane) {
  constexpr int n = Tangle::kStates;
  const int W = stepper.lanes();
  const double atol[n] = {1e-6, 1e-7, 1e-8};
  std::vector<double> trace, t(W), t_next(W), out(W), y(n);
  for (int l = 0; l < W; ++l) {
    const LaneCase start = CaseOf(W == 1 ? lane : l);
    stepper.Reset(l, start.t, start.y.data(), start.p.data(), nullptr);
    t[l] = start.t;
  }
  for (int round = 0; round < 3; ++round) {
    for (int l = 0; l < W; ++l) t_next[l] = t[l] + CaseOf(W == 1 ? lane : l).h * (round + 1);
    stepper.Step(t_next.data());
    stepper.SquaredError(atol, 1e-5, out.data());
    const int at = W == 1 ? 0 : lane;
    trace.push_back(out[at]);
    for (const double theta : {0.0, 0.3, 1.0}) {
      stepper.Interpolate(at, theta, y.data());
      trace.insert(trace.end(), y.begin(), y.end());
    }
    for (int i = 0; i < n; ++i) trace.push_back(stepper.y_new()[i * W + at]);
    bool accept[8];
    for (int l = 0; l < W; ++l) {
      accept[l] = round != 1;
      if (accept[l]) t[l] = t_next[l];
    }
    stepper.Advance(accept);
    for (int i = 0; i < n; ++i) trace.push_back(stepper.y()[i * W + at]);
  }
  trace.push_back(static_cast<double>(stepper.rhs_evaluations(W == 1 ? 0 : lane)));
  return trace;
}

TEST_P(StepperTest, GivesTheSameBitsInEveryLaneOfEveryWidth) {
  for (const int width : {2, 4, 8}) {
    const GenericMap<Tangle> field(Tangle(), width);
    for (int lane = 0; lane < width; ++lane) {
      const std::vector<double> alone = Trace(*Make(GetParam(), field, 1), lane);
      const std::vector<double> together = Trace(*Make(GetParam(), field, width), lane);
      EXPECT_TRUE(SameBits(alone, together)) << "lane " << lane << " of " << width;
    }
  }
}

// The sums over elements do not depend on the width either, for any remainder of n by 4 and 8.
template <int n>
struct Chain {
  static constexpr int64_t kStates = n, kParams = 1, kValues = n;
  template <typename S>
  void operator()(const S& t, const S* y, const S* p, S* f) const {
    for (int i = 0; i < n; ++i) f[i] = p[0] * y[(i + 1) % n] * y[i] - t * y[i];
  }
};

template <int n>
void ExpectSameNorms() {
  const GenericMap<Chain<n>> field;
  std::vector<double> y, p = {0.7}, atol(n, 1e-7);
  for (int i = 0; i < n; ++i) y.push_back(std::sin(i + 1.0));
  std::unique_ptr<Stepper> one = Make(Method::kTsit5, field, 1);
  std::unique_ptr<Stepper> eight = Make(Method::kTsit5, field, 8);
  double t_next[8], norm_of_one, norms[8];
  one->Reset(0, 0, y.data(), p.data(), nullptr);
  for (int l = 0; l < 8; ++l) {
    eight->Reset(l, 0, y.data(), p.data(), nullptr);
    t_next[l] = 0.1;
  }
  one->Step(t_next);
  eight->Step(t_next);
  one->SquaredError(atol.data(), 1e-6, &norm_of_one);
  eight->SquaredError(atol.data(), 1e-6, norms);
  EXPECT_GT(norm_of_one, 0);
  for (int l = 0; l < 8; ++l) EXPECT_EQ(norms[l], norm_of_one) << "n = " << n;
  for (int i = 0; i < n; ++i) EXPECT_EQ(one->y_new()[i], eight->y_new()[8 * i + 3]) << "n = " << n;
}

TEST(Stepper, SumsElementsInOneOrderForEveryWidth) {
  ExpectSameNorms<1>();
  ExpectSameNorms<2>();
  ExpectSameNorms<4>();
  ExpectSameNorms<5>();
  ExpectSameNorms<7>();
  ExpectSameNorms<8>();
  ExpectSameNorms<13>();
  ExpectSameNorms<31>();
}

// sum over elements of (h sum e_i k_i / weight)^2 / n, by the definition.
TEST_P(StepperTest, SquaredErrorIsItsDefinition) {
  const GenericMap<Lorenz> field;
  std::unique_ptr<Stepper> stepper = Make(GetParam(), field, 1);
  const double y[] = {1, 2, 3}, p[] = {10, 28, 8.0 / 3}, atol[] = {1e-3, 1e-4, 0};
  const double t_next = 0.01, rtol = 1e-3;
  stepper->Reset(0, 0, y, p, nullptr);
  stepper->Step(&t_next);
  double squared = -1;
  stepper->SquaredError(atol, rtol, &squared);
  // y_new of the embedded method of Heun is Euler's: the estimate is their difference.
  if (GetParam() == Method::kHeun) {
    double f[3], expected = 0;
    Lorenz()(0.0, y, p, f);
    for (int i = 0; i < 3; ++i) {
      const double error = stepper->y_new()[i] - (y[i] + 0.01 * f[i]);
      const double weight =
          atol[i] + rtol * std::max(std::abs(y[i]), std::abs(stepper->y_new()[i]));
      expected += error / weight * (error / weight) / 3;
    }
    EXPECT_NEAR(squared / expected, 1, 1e-10);
  }
  EXPECT_EQ(squared > 0, GetMethodInfo(GetParam()).error_order > 0);
}

// Element e of y' is p[e] as given, for infinities and NaN.
struct Constant {
  static constexpr int64_t kStates = 3, kParams = 3, kValues = 3;
  template <typename S>
  void operator()(const S& /*t*/, const S* /*y*/, const S* p, S* f) const {
    for (int i = 0; i < 3; ++i) f[i] = p[i];
  }
};

TEST_P(StepperTest, TellsWhatIsNotFinite) {
  const GenericMap<Constant> field;
  const double y[] = {1, 1, 1}, atol[] = {1, 1, 1};
  for (const double bad : {kInfinity, -kInfinity, std::nan(""), 1e308}) {
    std::unique_ptr<Stepper> stepper = Make(GetParam(), field, 1);
    const double p[] = {1, bad, 1};
    stepper->Reset(0, 0, y, p, nullptr);
    const double t_next = 10;
    stepper->Step(&t_next);
    double squared = 0, finite = 0;
    stepper->SquaredError(atol, 1e-3, &squared);
    stepper->CheckFinite(&finite);
    EXPECT_FALSE(squared <= 1) << bad;
    EXPECT_FALSE(finite == 0) << bad;
    EXPECT_EQ(stepper->WorstElement(0, atol, 1e-3), 1) << bad;
  }
}

// A given derivative replaces the first evaluation.
TEST_P(StepperTest, TakesTheFirstDerivativeIfKnown) {
  const GenericMap<Lorenz> field;
  const double y[] = {1, 2, 3}, p[] = {10, 28, 8.0 / 3}, t_next = 0.01;
  double f[3];
  Lorenz()(0.0, y, p, f);
  std::unique_ptr<Stepper> a = Make(GetParam(), field, 1), b = Make(GetParam(), field, 1);
  a->Reset(0, 0, y, p, nullptr);
  b->Reset(0, 0, y, p, f);
  a->Step(&t_next);
  b->Step(&t_next);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(a->y_new()[i], b->y_new()[i]);
  EXPECT_EQ(a->rhs_evaluations(0), b->rhs_evaluations(0) + 1);
}

INSTANTIATE_TEST_SUITE_P(All, StepperTest,
                         testing::ValuesIn(RungeKuttaMethods().begin(), RungeKuttaMethods().end()),
                         [](const auto& info) {
                           return std::string(GetMethodInfo(info.param).name);
                         });

}  // namespace
}  // namespace costate
