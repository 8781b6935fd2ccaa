#include "server/convert/fit.h"

#include <cmath>
#include <limits>
#include <string>

#include "tests/server/compiled_model.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using fit::FitOptions;
using fit::FitProblem;
using optimise::Algorithm;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

FitProblem Problem(const std::string& text) {
  return FitProblemFromProto(FromText<v1::FitRequest>(text), ModelOf(kTensorModel));
}

TEST(FitProblemFromProto, TakesEveryField) {
  const FitProblem problem = Problem(R"pb(
    simulation {
      t0: 1
      t1: 9
      params {
        name: "k"
        array { values: 3 }
      }
    }
    conditions {
      name: "hot"
      params {
        name: "k"
        array { values: 4 }
      }
      initial_state {
        name: "x"
        array { values: 5 }
      }
      t0: 2
      t1: 8
    }
    conditions { name: "cold" }
    data {
      condition: "hot"
      state: "y[1,0]"
      times { values: [ 2, 3 ] }
      values { values: [ 4, 5 ] }
      allow_missing: true
      noise: NOISE_MODEL_LAPLACE
      sigma { values: 0.5 }
      estimate_scale: true
      estimate_offset: true
      weight: 0
      group: "g"
    }
    data { output: "twice" }
    free {
      name: "w"
      start { values: [ 1, 2, 3 ] }
      lower: -1
      upper: 7
      scale: PARAMETER_SCALE_LOGIT
      prior { distribution: PRIOR_DISTRIBUTION_GAMMA a: 2 b: 3 scaled: true }
      per_condition: "hot"
    }
    free { name: "k" }
  )pb");
  EXPECT_THAT(problem.simulation.t1, ElementsAre(9));
  ASSERT_EQ(problem.conditions.size(), 2u);
  EXPECT_EQ(problem.conditions[0].name, "hot");
  EXPECT_THAT(problem.conditions[0].params[0].values, ElementsAre(4));
  EXPECT_EQ(problem.conditions[0].initial_state[0].name, "x");
  EXPECT_EQ(problem.conditions[0].t0, 2);
  EXPECT_EQ(problem.conditions[0].t1, 8);
  EXPECT_EQ(problem.conditions[1].t0, std::nullopt);
  const fit::Series& series = problem.data[0];
  EXPECT_EQ(series.condition, "hot");
  EXPECT_EQ(series.channel_kind, Channel::Kind::kState);
  EXPECT_EQ(series.channel, "y[1,0]");
  EXPECT_THAT(series.times, ElementsAre(2, 3));
  EXPECT_THAT(series.values, ElementsAre(4, 5));
  EXPECT_TRUE(series.allow_missing);
  EXPECT_EQ(series.noise, fit::Noise::kLaplace);
  EXPECT_THAT(series.sigma, ElementsAre(0.5));
  EXPECT_TRUE(series.estimate_scale && series.estimate_offset);
  EXPECT_EQ(series.weight, 0) << "given, not unset";
  EXPECT_EQ(series.group, "g");
  EXPECT_EQ(problem.data[1].channel_kind, Channel::Kind::kOutput);
  EXPECT_EQ(problem.data[1].weight, 1);
  EXPECT_THAT(problem.data[1].sigma, IsEmpty());
  const fit::Free& free = problem.free[0];
  EXPECT_EQ(free.name, "w");
  EXPECT_THAT(free.start, ElementsAre(1, 2, 3));
  EXPECT_EQ(free.lower, -1);
  EXPECT_EQ(free.upper, 7);
  EXPECT_EQ(free.scale, fit::Scale::kLogit);
  EXPECT_EQ(free.prior->distribution, fit::Prior::Distribution::kGamma);
  EXPECT_EQ(free.prior->a, 2);
  EXPECT_EQ(free.prior->b, 3);
  EXPECT_TRUE(free.prior->scaled);
  EXPECT_THAT(free.per_condition, ElementsAre("hot"));
  EXPECT_EQ(problem.free[1].lower, std::nullopt);
  EXPECT_FALSE(problem.free[1].prior.has_value());
}

// Values of enums follow one another in both; unset is the first.
TEST(FitProblemFromProto, KnowsEveryValueOfItsEnums) {
  const auto data = [](int noise) {
    return Problem("data { noise: " + v1::NoiseModel_Name(noise) + " }").data[0].noise;
  };
  for (int i = 0; i <= v1::NoiseModel_MAX; ++i) {
    EXPECT_EQ(static_cast<int>(data(i)), std::max(i - 1, 0));
  }
  for (int i = 0; i <= v1::ParameterScale_MAX; ++i) {
    const FitProblem problem = Problem("free { scale: " + v1::ParameterScale_Name(i) + " }");
    EXPECT_EQ(static_cast<int>(problem.free[0].scale), std::max(i - 1, 0));
  }
  for (int i = 0; i <= v1::PriorDistribution_MAX; ++i) {
    const FitProblem problem =
        Problem("free { prior { distribution: " + v1::PriorDistribution_Name(i) + " } }");
    EXPECT_EQ(static_cast<int>(problem.free[0].prior->distribution), std::max(i - 1, 0));
  }
}

TEST(FitOptionsFromProto, LeavesOpenWhatIsUnset) {
  const FitOptions options = FitOptionsFromProto(v1::FitOptions());
  EXPECT_TRUE(options.method_auto && options.max_iterations_auto);
  EXPECT_EQ(options.starts, 1);
  EXPECT_EQ(options.sampler, optimise::Sampler::kLatinHypercube);
  EXPECT_FALSE(options.gradient.report.wanted) << "thousands of gradients, and nobody reads it";
  const optimise::OptimiserOptions defaults;
  EXPECT_EQ(options.optimiser.function_tolerance, defaults.function_tolerance);
  EXPECT_EQ(options.optimiser.learning_rate, defaults.learning_rate);
}

constexpr char kAdamW[] = R"pb(
  method: FIT_METHOD_ADAMW
  starts: 3
  seed: 18446744073709551615
  max_iterations: 50
  function_tolerance: 0
  gradient_tolerance: 1e-3
  step_tolerance: 1e-4
  learning_rate: 0.5
  weight_decay: 0
  batch_size: 2
  clip_norm: 5
  sampler: START_SAMPLER_SOBOL
  schedule { kind: KIND_EXPONENTIAL decay: 0.25 warmup: 7 }
  beta1: 0
  beta2: 0.9
  epsilon: 1e-6
  gradient { method: GRADIENT_METHOD_BACKPROP }
)pb";

TEST(FitOptions, GoThereAndBack) {
  const auto asked = FromText<v1::FitOptions>(kAdamW);
  const FitOptions options = FitOptionsFromProto(asked);
  EXPECT_EQ(options.optimiser.algorithm, Algorithm::kAdamW);
  EXPECT_EQ(options.optimiser.weight_decay, 0) << "given, not unset";
  EXPECT_EQ(options.optimiser.schedule.kind, optimise::Schedule::Kind::kExponential);
  EXPECT_EQ(options.gradient.method, GradientMethod::kBackprop);
  v1::FitOptions proto;
  FitOptionsToProto(options, asked, &proto);
  EXPECT_THAT(proto, EqualsProto(asked));
}

// What a method has no use for would be refused when the answer's options are sent back.
TEST(FitOptionsToProto, NamesWhatTheMethodReads) {
  for (int i = 1; i <= v1::FitMethod_MAX; ++i) {
    v1::FitOptions asked;
    asked.set_method(static_cast<v1::FitMethod>(i));
    asked.set_nlopt_algorithm("LN_BOBYQA");
    v1::FitOptions proto;
    FitOptionsToProto(FitOptionsFromProto(asked), asked, &proto);
    EXPECT_EQ(proto.method(), i);
    const bool adam = i == v1::FIT_METHOD_ADAM || i == v1::FIT_METHOD_ADAMW;
    EXPECT_EQ(proto.has_learning_rate(), adam);
    EXPECT_EQ(proto.has_schedule(), adam);
    EXPECT_EQ(proto.has_weight_decay(), i == v1::FIT_METHOD_ADAMW);
    EXPECT_EQ(proto.nlopt_algorithm().empty(), i != v1::FIT_METHOD_NLOPT);
  }
}

TEST(FitResultToProto, TakesEveryField) {
  fit::FitResult result;
  fit::StartResult start;
  start.index = 4;
  start.outcome = optimise::Outcome::kStalled;
  start.objective = 1.5;
  start.start_values = {1, 2};
  start.values = {3, 4};
  start.iterations = 1;
  start.evaluations = 9;
  start.trace = {5, 1.5};
  start.gradient_norm = 0.25;
  start.detail = "a sentence";
  result.starts = {start};
  result.estimates = {{"k", fit::Scale::kLog10, 3, 0, 10, false, 0.5, 2, 4},
                      {"x", fit::Scale::kLinear, 4, -INFINITY, INFINITY, true, NAN, NAN, NAN}};
  result.covariance = {1, 2, 2, 4};
  result.correlation = {1, 1, 1, 1};
  result.fisher_information = {5, 6, 6, 7};
  result.eigenvalues = {0, 2};
  result.unidentified = {"k and x"};
  result.fitted = {{1, 2, 3}};
  result.residuals = {{0, NAN, 0}};
  result.trajectories = {{"hot", {0, 1}, {5, 6}, {1, 2, 3, 4}}};
  result.starts_at_best = 1;
  v1::FitResult proto;
  FitResultToProto(result, v1::FitRequest(), &proto);
  EXPECT_THAT(proto.starts(0), Partially("index: 4 outcome: FIT_OUTCOME_STALLED objective: 1.5 "
                                         "iterations: 1 evaluations: 9 detail: 'a sentence' "
                                         "gradient_norm: 0.25"));
  EXPECT_THAT(Doubles(proto.starts(0).start_values()), ElementsAre(1, 2));
  EXPECT_THAT(Doubles(proto.starts(0).values()), ElementsAre(3, 4));
  EXPECT_THAT(Doubles(proto.starts(0).trace()), ElementsAre(5, 1.5));
  EXPECT_THAT(proto.names(), ElementsAre("k", "x"));
  EXPECT_THAT(proto.estimates(0),
              Partially("name: 'k' scale: PARAMETER_SCALE_LOG10 value: 3 lower: 0 upper: 10 "
                        "standard_error: 0.5 interval_lower: 2 interval_upper: 4"));
  EXPECT_TRUE(proto.estimates(1).at_bound());
  EXPECT_EQ(proto.estimates(1).upper(), INFINITY);
  EXPECT_THAT(proto.covariance().shape(), ElementsAre(2, 2));
  EXPECT_THAT(Doubles(proto.fisher_information()), ElementsAre(5, 6, 6, 7));
  EXPECT_THAT(Doubles(proto.correlation()), ElementsAre(1, 1, 1, 1));
  EXPECT_THAT(Doubles(proto.eigenvalues()), ElementsAre(0, 2));
  EXPECT_THAT(proto.unidentified(), ElementsAre("k and x"));
  EXPECT_THAT(Doubles(proto.fitted(0)), ElementsAre(1, 2, 3));
  EXPECT_TRUE(std::isnan(Doubles(proto.residuals(0))[1]));
  EXPECT_EQ(proto.trajectories(0).condition(), "hot");
  EXPECT_THAT(proto.trajectories(0).outputs().shape(), ElementsAre(2, 1));
  EXPECT_THAT(proto.trajectories(0).states().shape(), ElementsAre(2, 2));
  EXPECT_EQ(proto.starts_at_best(), 1);
  EXPECT_FALSE(proto.solve_options().has_save()) << "the data choose it";
}

// Above the size for which uncertainty is stated there are no matrices.
TEST(FitResultToProto, LeavesEmptyWhatIsEmpty) {
  fit::FitResult result;
  result.estimates.resize(3);
  v1::FitResult proto;
  FitResultToProto(result, v1::FitRequest(), &proto);
  EXPECT_EQ(proto.estimates_size(), 3);
  EXPECT_THAT(proto.covariance().shape(), IsEmpty());
}

TEST(Profiles, OptionsAndResult) {
  EXPECT_EQ(ProfileOptionsFromProto(v1::ProfileRequest()).confidence, 0.95);
  const auto options =
      ProfileOptionsFromProto(FromText<v1::ProfileRequest>("confidence: 0.5 max_points: 9"));
  EXPECT_EQ(options.confidence, 0.5);
  EXPECT_EQ(options.max_points, 9);
  fit::Profile profile;
  profile.name = "k";
  profile.values = {1, 2};
  profile.objectives = {4, 3};
  profile.points = {1, 5, 6, 2, 7, 8};
  profile.interval_lower = -INFINITY;
  profile.interval_upper = 2;
  profile.verdict = "open below";
  v1::Profile proto;
  ProfileToProto(profile, &proto);
  EXPECT_THAT(proto, Partially("name: 'k' interval_upper: 2 verdict: 'open below'"));
  EXPECT_EQ(proto.interval_lower(), -INFINITY);
  EXPECT_THAT(proto.points().shape(), ElementsAre(2, 3));
}

TEST(FitProgressToProto, SaysWhetherTheStartHasEnded) {
  v1::FitProgress proto;
  FitProgressToProto({3, 5, 1.5, 0.25, optimise::Outcome::kRunning}, &proto);
  EXPECT_THAT(proto, EqualsProto(FromText<v1::FitProgress>(
                         "start: 3 iteration: 5 objective: 1.5 gradient_norm: 0.25")));
  FitProgressToProto({3, 5, 1.5, 0.25, optimise::Outcome::kConverged}, &proto);
  EXPECT_EQ(proto.outcome(), v1::FIT_OUTCOME_CONVERGED);
}

}  // namespace
}  // namespace costate
