// Reversible schemes: order, dense output, lanes, and the way back.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "engine/solvers/stepper.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/solvers/solve_testing.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

constexpr double kEccentricity = 0.5;

std::vector<Scheme> Schemes() {
  std::vector<Scheme> schemes = {Scheme(Method::kAlf, std::nullopt, 1),
                                 Scheme(Method::kAlf, std::nullopt, 0.9), Method::kReversibleHeun,
                                 Method::kLeapfrogMidpoint};
  for (const Method method : RungeKuttaMethods()) {
    for (const double coupling : {0.5, 0.99, 0.999}) schemes.emplace_back(method, coupling, 1);
  }
  return schemes;
}

std::string NameOf(const Scheme& scheme) {
  std::string name(GetMethodInfo(scheme).name);
  if (scheme.coupling) name += "_" + std::to_string(std::lround(1000 * *scheme.coupling));
  if (scheme.eta != 1) name += "_damped";
  return name;
}

SolveOptions With(const Scheme& scheme, SolveOptions options) {
  options.method = scheme.method;
  options.coupling = scheme.coupling;
  options.eta = scheme.eta;
  return options;
}

OwnedProblem Orbit() {
  OwnedProblem problem{.t1 = {2}, .y0 = {0, 0, 0, 0}, .params = {1}};
  Kepler::Orbit(0, kEccentricity, problem.y0.data());
  return problem;
}

// Logistic growth over [0, 2]: the largest error of what `save` keeps.
double LogisticError(const Scheme& scheme, double steps, const SaveAt& save) {
  const GenericMap<Logistic> field;
  const OwnedProblem problem{.t1 = {2}, .y0 = {0.3}, .params = {1.5, 1.0}};
  SolveOptions options = With(scheme, FixedSteps(scheme.method, 2 / steps));
  options.save = save;
  const Trajectory solution = Solve(field, problem, options)[0];
  double largest = 0;
  for (size_t k = 0; k < solution.times.size(); ++k) {
    double exact;
    Logistic::Solution(solution.times[k], problem.y0.data(), problem.params.data(), &exact);
    largest = std::max(largest, std::fabs(solution.states[k] - exact));
  }
  return largest;
}

class ReversibleScheme : public testing::TestWithParam<Scheme> {
 protected:
  double Observed(const SaveAt& save) const {
    const int order = GetMethodInfo(GetParam()).order;
    const double coarse = order == 8 ? 4 : order == 5 ? 24 : order == 1 ? 40000 : 80;
    std::vector<double> steps, errors;
    for (const double refinement : {1.0, 1.5, 2.0, 3.0}) {
      steps.push_back(std::round(coarse * refinement));
      errors.push_back(LogisticError(GetParam(), steps.back(), save));
    }
    return ObservedOrder(steps, errors);
  }
};

// A wrapped method has the order of its base. With lambda near 1 the two ways of a step nearly make
// a symmetric one, whose errors fall faster until n (1 - lambda) is large.
TEST_P(ReversibleScheme, HasItsOrder) {
  const double observed = Observed({});
  const int order = GetMethodInfo(GetParam()).order;
  EXPECT_GT(observed, order - 0.35);
  // Order 8 leaves only steps that are long for it above the rounding errors.
  if (GetParam().coupling.value_or(0) < 0.9) EXPECT_LT(observed, order + (order == 8 ? 0.9 : 0.35));
}

TEST_P(ReversibleScheme, DenseOutputHasItsOrder) {
  const MethodInfo& info = GetMethodInfo(GetParam());
  SaveAt save;
  save.kind = SaveAt::Kind::kTimes;
  for (int i = 1; i < 40; ++i) save.times.push_back(0.0503 * i);
  EXPECT_GT(Observed(save), std::min(info.order, info.dense_order + 1) - 0.4);
}

TEST_P(ReversibleScheme, UndoesItsSteps) {
  const GenericMap<Kepler> field;
  const OwnedProblem problem = Orbit();
  const MethodInfo& info = GetMethodInfo(GetParam());
  EXPECT_EQ(info.reversal, Reversal::kExact);
  auto stepper = MakeStepper(GetParam(), field, 1).value();
  auto inverse = MakeStepInverse(GetParam(), field).value();
  stepper->Reset(0, 0, problem.y0.data(), problem.params.data(), nullptr);
  inverse->SetParams(0, problem.params.data());
  const size_t size = 4 * info.carried;
  double t = 0;
  for (const double h : {0.01, 0.02, 0.005}) {
    const double next = t + h;
    stepper->Step(&next);
    const std::vector<double> before(stepper->y(), stepper->y() + size);
    const std::vector<double> after(stepper->y_new(), stepper->y_new() + size);
    const std::vector<double> kept(stepper->stages(), stepper->stages() + 4 * info.stages);
    std::vector<double> start(size), stages(kept.size());
    EXPECT_TRUE(inverse->Undo(&t, &next, after.data(), start.data(), stages.data()));
    for (size_t i = 0; i < size; ++i) EXPECT_NEAR(start[i], before[i], 4e-15);
    for (size_t i = 0; i < kept.size(); ++i) EXPECT_NEAR(stages[i], kept[i], 1e-12);
    const bool accept = true;
    stepper->Advance(&accept);
    t = next;
  }
}

TEST_P(ReversibleScheme, ResumesWithTheSameBits) {
  const GenericMap<Kepler> field;
  const OwnedProblem problem = Orbit();
  auto stepper = MakeStepper(GetParam(), field, 1).value();
  auto other = MakeStepper(GetParam(), field, 1).value();
  stepper->Reset(0, 0, problem.y0.data(), problem.params.data(), nullptr);
  const double first = 0.05, second = 0.12;
  const bool accept = true;
  stepper->Step(&first);
  stepper->Advance(&accept);
  other->Resume(0, first, stepper->y(), problem.params.data());
  stepper->Step(&second);
  other->Step(&second);
  for (int i = 0; i < 4 * GetMethodInfo(GetParam()).carried; ++i) {
    EXPECT_EQ(stepper->y_new()[i], other->y_new()[i]);
  }
}

// A trajectory has the same bits alone and in lanes, adaptive where there is an estimate.
TEST_P(ReversibleScheme, HasTheSameBitsInLanes) {
  const GenericMap<Kepler> field(Kepler(), 4);
  OwnedProblem batch{.t1 = {2}, .y0 = {}, .params = {1}, .batch = 7};
  for (int b = 0; b < 7; ++b) {
    double y0[4];
    Kepler::Orbit(0, 0.1 * b, y0);
    batch.y0.insert(batch.y0.end(), y0, y0 + 4);
  }
  const bool adaptive = GetMethodInfo(GetParam()).error_order > 0;
  SolveOptions options = With(GetParam(), adaptive ? Adaptive(GetParam().method, 1e-4, 1e-6)
                                                   : FixedSteps(GetParam().method, 0.03));
  SaveTimes(&options, {0, 0.31, 0.77, 2});
  options.return_grid = true;
  const std::vector<Trajectory> together = Solve(field, batch, options);
  for (int b = 0; b < 7; ++b) {
    OwnedProblem one{.t1 = {2}, .y0 = {}, .params = {1}};
    one.y0.assign(batch.y0.begin() + 4 * b, batch.y0.begin() + 4 * b + 4);
    ExpectSameBits(Solve(field, one, options)[0], together[b]);
  }
}

TEST_P(ReversibleScheme, KeepsToItsTolerance) {
  if (GetMethodInfo(GetParam()).error_order == 0) GTEST_SKIP() << "no estimate";
  const GenericMap<Kepler> field;
  double previous = 1;
  for (const double rtol : {1e-3, 1e-5}) {
    const SolveOptions options = With(GetParam(), Adaptive(GetParam().method, rtol, rtol));
    const Trajectory solution = Solve(field, Orbit(), options)[0];
    ASSERT_EQ(solution.termination.reason, Termination::Reason::kReachedEnd);
    double exact[4], error = 0;
    Kepler::Orbit(2, kEccentricity, exact);
    for (int i = 0; i < 4; ++i) error = std::max(error, std::fabs(solution.states[i] - exact[i]));
    EXPECT_LT(error, 300 * rtol);
    EXPECT_LT(error, previous);
    previous = error;
  }
}

INSTANTIATE_TEST_SUITE_P(All, ReversibleScheme, testing::ValuesIn(Schemes()),
                         [](const auto& info) { return NameOf(info.param); });

TEST(ValidateScheme, NamesTheFieldAndTheRange) {
  const auto field = [](const Scheme& scheme) {
    const absl::Status status = ValidateScheme(scheme);
    return status.ok() ? std::string("ok") : FieldOf(status).value_or("no field");
  };
  EXPECT_EQ(field(Method::kTsit5), "ok");
  EXPECT_EQ(field({Method::kTsit5, 1.0, 1}), "ok");
  for (const double coupling : {0.0, -0.5, 1.001, std::nan("")}) {
    EXPECT_EQ(field({Method::kTsit5, coupling, 1}), "coupling");
  }
  EXPECT_EQ(field({Method::kAlf, 0.9, 1}), "coupling");
  EXPECT_EQ(field({Method::kAlf, std::nullopt, 0.7}), "ok");
  for (const double eta : {0.0, 0.5, 1.5, std::nan("")}) {
    EXPECT_EQ(field({Method::kAlf, std::nullopt, eta}), "eta");
  }
  EXPECT_EQ(field({Method::kTsit5, std::nullopt, 0.7}), "eta");
  EXPECT_THAT(std::string(ValidateScheme({Method::kTsit5, 2.0, 1}).message()),
              testing::HasSubstr("(0, 1]"));
}

TEST(MakeStepInverse, RefusesWhatCannotGoBack) {
  const GenericMap<Kepler> field;
  EXPECT_EQ(MakeStepInverse(Method::kTsit5, field).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace costate
