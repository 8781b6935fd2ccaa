// Continuous adjoints with every method of integration, against a discrete adjoint at a tolerance
// far below theirs.
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/gradients/continuous_testing.h"

namespace costate {
namespace {

using ::costate::testing::Adjoint;
using ::costate::testing::Cotangent;
using ::costate::testing::Distance;
using ::costate::testing::Flatten;
using ::costate::testing::kContinuous;
using ::costate::testing::MixedCotangent;
using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::NameOf;
using ::costate::testing::Steps;
using ::costate::testing::Tolerance;

const std::vector<double>& MixedReference(bool backwards) {
  static const auto* const values = [] {
    auto* both = new std::vector<std::vector<double>>;
    for (const bool turned : {false, true}) {
      MixedProblem mixed;
      if (turned) std::swap(mixed.t0, mixed.t1);
      SolveOptions options = Tolerance(1e-13, Method::kDopri8);
      options.save.kind = SaveAt::Kind::kTimes;
      options.save.times = mixed.SaveTimes();
      Adjoint solved(GradientMethod::kBackprop, mixed.problem(), options);
      const Cotangent c = MixedCotangent(mixed);
      both->push_back(Flatten(solved.PullBack(c.times, c.saved, c.terminal).value()));
    }
    return both;
  }();
  return (*values)[backwards];
}

double MixedError(GradientMethod method, const SolveOptions& options, bool backwards,
                  const AdjointOptions& adjoint = {}) {
  MixedProblem mixed;
  if (backwards) std::swap(mixed.t0, mixed.t1);
  Adjoint solved(method, mixed.problem(), options, adjoint);
  EXPECT_TRUE(solved.status().ok()) << solved.status();
  const Cotangent c = MixedCotangent(mixed);
  const auto result = solved.PullBack(c.times, c.saved, c.terminal);
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) return std::numeric_limits<double>::infinity();
  return Distance(Flatten(*result), MixedReference(backwards));
}

class EveryPair : public ::testing::TestWithParam<std::tuple<GradientMethod, Method>> {};

TEST_P(EveryPair, AdaptiveMatchesTheDiscreteAdjointAtTightTolerance) {
  const auto [gradient, method] = GetParam();
  if (GetMethodInfo(method).error_order == 0) return;
  for (const bool backwards : {false, true}) {
    MixedProblem mixed;
    if (backwards) std::swap(mixed.t0, mixed.t1);
    const double rtol = GetMethodInfo(method).order <= 3 ? 1e-7 : 1e-10;
    SolveOptions options = Tolerance(rtol, method);
    options.save.kind = SaveAt::Kind::kTimes;
    options.save.times = mixed.SaveTimes();
    EXPECT_LT(MixedError(gradient, options, backwards), 300 * rtol);
  }
}

// Twice as many steps divide the error by 2^r, r the order of the method or, if less, one more than
// that of its dense output, on which f_y is evaluated. With the few steps that leave a high order
// above rounding, it shows less clearly.
double LeastOrder(Method method) {
  const MethodInfo& info = GetMethodInfo(method);
  return std::min(info.order, info.dense_order + 1) - (info.order >= 5 ? 1.0 : 0.5);
}
// The solution grows backwards, and asks for more.
int FewSteps(Method method, bool backwards) {
  const int order = GetMethodInfo(method).order;
  if (order >= 7) return backwards ? 40 : 10;
  return order >= 4 ? 40 : 160;
}

TEST_P(EveryPair, FixedStepsConvergeAtTheirOrder) {
  const auto [gradient, method] = GetParam();
  const MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, method, Steps::kFixed);
  const auto error = [&, gradient = gradient](int steps) {
    options.control.fixed_step = (mixed.t1 - mixed.t0) / steps;
    return MixedError(gradient, options, false);
  };
  const int steps = FewSteps(method, false);
  const double coarse = error(steps), fine = error(2 * steps);
  EXPECT_GT(std::log2(coarse / fine), LeastOrder(method)) << coarse << " to " << fine;
}

TEST_P(EveryPair, GridStepsConvergeAtTheirOrder) {
  const auto [gradient, method] = GetParam();
  for (const bool backwards : {false, true}) {
    MixedProblem mixed;
    if (backwards) std::swap(mixed.t0, mixed.t1);
    SolveOptions options = MixedOptions(mixed, method, Steps::kGrid);
    const auto error = [&, gradient = gradient](int steps) {
      options.control.grid.clear();
      for (int i = 0; i < steps; ++i) {
        const double s = static_cast<double>(i) / steps;
        const double uneven = s * (1 + 0.3 * (s - 1));
        options.control.grid.push_back(mixed.t0 + uneven * (mixed.t1 - mixed.t0));
      }
      options.control.grid.push_back(mixed.t1);
      return MixedError(gradient, options, backwards);
    };
    const int steps = FewSteps(method, backwards);
    const double coarse = error(steps), fine = error(2 * steps);
    EXPECT_GT(std::log2(coarse / fine), LeastOrder(method))
        << coarse << " to " << fine << (backwards ? " backwards" : "");
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryPair,
                         ::testing::Combine(::testing::ValuesIn(kContinuous),
                                            ::testing::ValuesIn(RungeKuttaMethods().begin(),
                                                                RungeKuttaMethods().end())),
                         [](const auto& info) {
                           return NameOf(std::get<0>(info.param)) + "_" +
                                  std::string(GetMethodInfo(std::get<1>(info.param)).name);
                         });

}  // namespace
}  // namespace costate
