// Discrete adjoints in lanes give each trajectory the bits it has alone, whatever its neighbours
// do.
#include "engine/gradients/ensemble_adjoint.h"

#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;
using ::costate::testing::TemplateField;

constexpr int kTrajectories = 13;  // three blocks of four lanes and one left over

std::vector<Scheme> Schemes() {
  std::vector<Scheme> schemes;
  for (const Method method : AllMethods()) schemes.emplace_back(method);
  schemes.emplace_back(Method::kAlf, std::nullopt, 0.8);
  for (const Method method : RungeKuttaMethods()) schemes.emplace_back(method, 0.99, 1);
  return schemes;
}

// Trajectories of different parameters, initial values and (for adaptive steps) lengths; one has no
// length at all.
struct Ensemble {
  MixedProblem mixed;
  std::vector<double> t0, t1, y0, params;
  std::vector<std::vector<double>> saved, terminal;
  SolveOptions options;

  Ensemble(const Scheme& scheme, Steps steps) {
    options = MixedOptions(mixed, scheme.method, steps);
    options.coupling = scheme.coupling;
    options.eta = scheme.eta;
    const bool own_spans = options.control.kind == StepControl::Kind::kAdaptive;
    if (own_spans) options.save.times = {0.5, 0.5};  // which all spans cover
    for (int b = 0; b < kTrajectories; ++b) {
      const bool at_rest = own_spans && b == 5;
      t0.push_back(at_rest ? 0.5 : mixed.t0);
      t1.push_back(at_rest ? 0.5 : own_spans ? 1.0 + 0.3 * ((b * 5) % 7) : mixed.t1);
      for (const double y : mixed.y0) y0.push_back(y * (1 + 0.05 * b));
      for (const double p : mixed.params) params.push_back(p * (1 - 0.03 * b));
      saved.emplace_back();
      for (size_t i = 0; i < 3 * options.save.times.size(); ++i) {
        saved.back().push_back(std::sin(1.3 * static_cast<double>(i) + b));
      }
      terminal.push_back({0.5 + b, -1.0, 0.25 * b});
    }
  }

  Problem problem() const {
    Problem all = mixed.problem();
    all.num_trajectories = kTrajectories;
    all.t0 = t0;
    all.t1 = t1;
    all.y0 = y0;
    all.params = params;
    return all;
  }
  std::vector<StateCotangents> cotangents() const {
    std::vector<StateCotangents> all;
    for (int b = 0; b < kTrajectories; ++b) {
      all.push_back({options.save.times, saved[b], terminal[b]});
    }
    return all;
  }
};

std::vector<double> Flatten(const AdjointResult& adjoint) {
  std::vector<double> all = adjoint.initial_state;
  all.insert(all.end(), adjoint.params.begin(), adjoint.params.end());
  all.insert(all.end(), adjoint.times.begin(), adjoint.times.end());
  all.push_back(adjoint.t0);
  all.push_back(adjoint.t1);
  return all;
}

// Everything about the trajectories `wanted`, together and alone.
void ExpectEachAsAlone(GradientMethod method, const AdjointOptions& adjoint,
                       const SolveOptions& options, const Problem& problem,
                       const std::vector<StateCotangents>& cotangents,
                       const std::vector<bool>& wanted) {
  const int64_t n = problem.field->num_states(), m = problem.field->num_params();
  AdjointInput input = {.problem = problem, .options = options, .adjoint = adjoint};
  input.want_times = true;
  const auto ensemble = MakeEnsembleAdjoint(method, input);
  ASSERT_TRUE(ensemble.ok()) << ensemble.status();
  const auto trajectories = (*ensemble)->Solve();
  ASSERT_TRUE(trajectories.ok()) << trajectories.status();
  const auto results = (*ensemble)->PullBack(cotangents, wanted);
  ASSERT_TRUE(results.ok()) << results.status();
  for (int64_t b = 0; b < problem.num_trajectories; ++b) {
    SCOPED_TRACE(b);
    if (!wanted[b]) {
      EXPECT_THAT((*results)[b].initial_state, ::testing::IsEmpty());
      continue;
    }
    Problem one = problem;
    one.num_trajectories = 1;
    one.t0 = problem.t0.subspan(b, 1);
    one.t1 = problem.t1.subspan(b, 1);
    one.y0 = problem.y0.subspan(n * b, n);
    one.params = problem.params.subspan(m * b, m);
    AdjointInput alone_input = {.problem = one, .options = options, .adjoint = adjoint};
    alone_input.want_times = true;
    const auto alone = MakeAdjointMethod(method, alone_input).value();
    const auto trajectory = alone->Solve();
    ASSERT_TRUE(trajectory.ok()) << trajectory.status();
    EXPECT_EQ(trajectory->states, (*trajectories)[b].states);
    EXPECT_EQ(alone->terminal_state(), (*ensemble)->terminal_state(b));
    const auto expected = alone->PullBack(absl::MakeConstSpan(&cotangents[b], 1));
    ASSERT_TRUE(expected.ok()) << expected.status();
    EXPECT_EQ(Flatten((*results)[b]), Flatten((*expected)[0]));
    const AdjointStats mine = (*ensemble)->stats(b), own = alone->stats();
    EXPECT_EQ(mine.replayed_steps, own.replayed_steps);
    EXPECT_EQ(mine.recomputed_steps, own.recomputed_steps);
    EXPECT_EQ(mine.peak_stored_bytes, own.peak_stored_bytes);
    EXPECT_THAT(mine.reconstruction_error,
                ::testing::NanSensitiveDoubleEq(own.reconstruction_error));
  }
}

using Case = std::tuple<Scheme, Steps>;
class EveryScheme : public ::testing::TestWithParam<Case> {};

TEST_P(EveryScheme, SameBitsAsAlone) {
  const auto [scheme, steps] = GetParam();
  const Ensemble e(scheme, steps);
  std::vector<bool> wanted(kTrajectories, true);
  wanted[7] = false;
  struct Way {
    GradientMethod method;
    AdjointOptions adjoint;
  };
  std::vector<Way> ways = {{GradientMethod::kBackprop, {}},
                           {GradientMethod::kCheckpointed, {}},
                           {GradientMethod::kCheckpointed, {.checkpoints = 1}},
                           {GradientMethod::kCheckpointed, {.checkpoints = 3}},
                           {GradientMethod::kSegmented, {.segments = 3}}};
  if (GetMethodInfo(scheme).reversal != Reversal::kNone) {
    for (const int64_t every : {0, 1, 3}) {
      ways.push_back({GradientMethod::kReversible, {.checkpoint_every = every}});
    }
  }
  for (const Way& way : ways) {
    SCOPED_TRACE(GetGradientMethodInfo(way.method).name);
    ExpectEachAsAlone(way.method, way.adjoint, e.options, e.problem(), e.cotangents(), wanted);
  }
}

std::string Name(const ::testing::TestParamInfo<Case>& info) {
  const char* const steps[] = {"fixed", "adaptive", "grid"};
  const Scheme& scheme = std::get<0>(info.param);
  std::string name(GetMethodInfo(scheme.method).name);
  if (scheme.coupling) name += "_coupled";
  if (scheme.eta != 1) name += "_damped";
  return name + "_" + steps[static_cast<int>(std::get<1>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(All, EveryScheme,
                         ::testing::Combine(::testing::ValuesIn(Schemes()),
                                            ::testing::Values(Steps::kFixed, Steps::kAdaptive,
                                                              Steps::kGrid)),
                         Name);

// y' = p0 (y - cos t), of which steps back lose digits: lanes keep states at steps of their own.
struct Chase {
  static constexpr int kStates = 1, kParams = 1;
  template <typename S>
  static void Eval(S t, const S* y, const S* p, S* dy) {
    using std::sin;
    dy[0] = p[0] * (y[0] - sin(t + S(1.5707963267948966)));
  }
};

class DigitsLost : public ::testing::TestWithParam<double> {};

TEST_P(DigitsLost, EachKeepsAsManyStatesAsAlone) {
  const TemplateField<Chase> field;
  SolveOptions options;
  options.method = Method::kRk4;
  options.coupling = 0.95;
  options.control.kind = StepControl::Kind::kFixed;
  options.control.fixed_step = 0.02;
  options.control.rtol = GetParam();
  options.control.atol = {GetParam()};
  std::vector<double> t0, t1, y0, rates;
  const std::vector<double> one = {1.0};
  std::vector<StateCotangents> cotangents;
  for (int b = 0; b < kTrajectories; ++b) {
    t0.push_back(0);
    t1.push_back(1 + 0.4 * b);
    y0.push_back(1);
    rates.push_back(-0.6 * b);
    cotangents.push_back({{}, {}, one});
  }
  Problem problem;
  problem.field = &field;
  problem.num_trajectories = kTrajectories;
  problem.t0 = t0;
  problem.t1 = t1;
  problem.y0 = y0;
  problem.params = rates;
  ExpectEachAsAlone(GradientMethod::kReversible, {}, options, problem, cotangents,
                    std::vector<bool>(kTrajectories, true));
}

// With tolerances below rounding, a second walk keeps more.
INSTANTIATE_TEST_SUITE_P(Tolerances, DigitsLost, ::testing::Values(1e-6, 1e-14));

TEST(EnsembleAdjoint, KeepsItsBudgetAndStops) {
  const Ensemble e(Scheme(Method::kTsit5), Steps::kFixed);
  const Problem problem = e.problem();
  AdjointOptions small;
  small.memory_budget = 2000;
  const AdjointInput over = {.problem = problem, .options = e.options, .adjoint = small};
  for (const GradientMethod method :
       {GradientMethod::kBackprop, GradientMethod::kCheckpointed, GradientMethod::kSegmented}) {
    EXPECT_EQ(MakeEnsembleAdjoint(method, over).value()->Solve().status().code(),
              absl::StatusCode::kResourceExhausted);
  }

  Cancellation cancellation;
  const AdjointOptions adjoint;
  AdjointInput input = {.problem = problem, .options = e.options, .adjoint = adjoint};
  const StopSource stop = {.cancellation = &cancellation};
  input.stop = &stop;
  const auto ensemble = MakeEnsembleAdjoint(GradientMethod::kBackprop, input).value();
  ASSERT_TRUE(ensemble->Solve().ok());
  cancellation.Cancel(Cancellation::Reason::kClientCancelled);
  EXPECT_EQ(
      ensemble->PullBack(e.cotangents(), std::vector<bool>(kTrajectories, true)).status().code(),
      absl::StatusCode::kCancelled);
}

// What all hold together stays below the budget, whatever is asked for.
TEST(EnsembleAdjoint, SharesTheBudgetOut) {
  const Ensemble e(Scheme(Method::kTsit5, 0.999, 1), Steps::kAdaptive);
  const Problem problem = e.problem();
  for (const GradientMethod method : {GradientMethod::kBackprop, GradientMethod::kCheckpointed,
                                      GradientMethod::kSegmented, GradientMethod::kReversible}) {
    bool fits = false;
    for (int64_t budget = 1000; !fits; budget = budget * 5 / 4) {
      AdjointOptions adjoint;
      adjoint.memory_budget = budget;
      const AdjointInput input = {.problem = problem, .options = e.options, .adjoint = adjoint};
      const auto ensemble = MakeEnsembleAdjoint(method, input).value();
      if (!ensemble->Solve().ok()) continue;
      fits = ensemble->PullBack(e.cotangents(), std::vector<bool>(kTrajectories, true)).ok();
      int64_t held = 0;
      for (int b = 0; b < kTrajectories; ++b) held += ensemble->stats(b).peak_stored_bytes;
      EXPECT_LE(held, budget);
    }
  }
}

}  // namespace
}  // namespace costate
