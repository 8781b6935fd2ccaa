#include "server/convert/fit.h"

#include <cstdint>
#include <utility>

#include "server/convert/array.h"
#include "server/convert/options.h"
#include "server/convert/simulation.h"

namespace costate {
namespace {

using optimise::Algorithm;

int64_t Size(const std::vector<double>& values) { return static_cast<int64_t>(values.size()); }

void VectorToProto(const std::vector<double>& values, v1::Array* proto) {
  ArrayToProto(values, {Size(values)}, proto);
}

// [rows, columns] from its rows; empty where there is nothing.
void MatrixToProto(const std::vector<double>& values, int64_t rows, v1::Array* proto) {
  if (rows > 0 && !values.empty()) ArrayToProto(values, {rows, Size(values) / rows}, proto);
}

// ---- enums: one switch each way

fit::Noise NoiseFromProto(v1::NoiseModel noise) {
  switch (noise) {
    case v1::NOISE_MODEL_LOG_NORMAL:
      return fit::Noise::kLogNormal;
    case v1::NOISE_MODEL_LAPLACE:
      return fit::Noise::kLaplace;
    case v1::NOISE_MODEL_LOG_LAPLACE:
      return fit::Noise::kLogLaplace;
    case v1::NOISE_MODEL_UNSPECIFIED:
    case v1::NOISE_MODEL_GAUSSIAN:
    case v1::NoiseModel_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::NoiseModel_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return fit::Noise::kGaussian;
}

fit::Scale ScaleFromProto(v1::ParameterScale scale) {
  switch (scale) {
    case v1::PARAMETER_SCALE_LOG:
      return fit::Scale::kLog;
    case v1::PARAMETER_SCALE_LOG10:
      return fit::Scale::kLog10;
    case v1::PARAMETER_SCALE_LOGIT:
      return fit::Scale::kLogit;
    case v1::PARAMETER_SCALE_UNSPECIFIED:
    case v1::PARAMETER_SCALE_LINEAR:
    case v1::ParameterScale_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::ParameterScale_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return fit::Scale::kLinear;
}

v1::ParameterScale ScaleToProto(fit::Scale scale) {
  switch (scale) {
    case fit::Scale::kLinear:
      return v1::PARAMETER_SCALE_LINEAR;
    case fit::Scale::kLog:
      return v1::PARAMETER_SCALE_LOG;
    case fit::Scale::kLog10:
      return v1::PARAMETER_SCALE_LOG10;
    case fit::Scale::kLogit:
      return v1::PARAMETER_SCALE_LOGIT;
  }
  return v1::PARAMETER_SCALE_UNSPECIFIED;
}

fit::Prior::Distribution DistributionFromProto(v1::PriorDistribution distribution) {
  using Distribution = fit::Prior::Distribution;
  switch (distribution) {
    case v1::PRIOR_DISTRIBUTION_LAPLACE:
      return Distribution::kLaplace;
    case v1::PRIOR_DISTRIBUTION_LOG_NORMAL:
      return Distribution::kLogNormal;
    case v1::PRIOR_DISTRIBUTION_LOG_LAPLACE:
      return Distribution::kLogLaplace;
    case v1::PRIOR_DISTRIBUTION_CAUCHY:
      return Distribution::kCauchy;
    case v1::PRIOR_DISTRIBUTION_GAMMA:
      return Distribution::kGamma;
    case v1::PRIOR_DISTRIBUTION_EXPONENTIAL:
      return Distribution::kExponential;
    case v1::PRIOR_DISTRIBUTION_UNIFORM:
      return Distribution::kUniform;
    case v1::PRIOR_DISTRIBUTION_LOG_UNIFORM:
      return Distribution::kLogUniform;
    case v1::PRIOR_DISTRIBUTION_RAYLEIGH:
      return Distribution::kRayleigh;
    case v1::PRIOR_DISTRIBUTION_CHI_SQUARED:
      return Distribution::kChiSquared;
    case v1::PRIOR_DISTRIBUTION_UNSPECIFIED:
    case v1::PRIOR_DISTRIBUTION_NORMAL:
    case v1::PriorDistribution_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::PriorDistribution_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return Distribution::kNormal;
}

Algorithm AlgorithmFromProto(v1::FitMethod method) {
  switch (method) {
    case v1::FIT_METHOD_LBFGSB:
      return Algorithm::kLbfgsb;
    case v1::FIT_METHOD_ADAM:
      return Algorithm::kAdam;
    case v1::FIT_METHOD_ADAMW:
      return Algorithm::kAdamW;
    case v1::FIT_METHOD_NLOPT:
      return Algorithm::kNlopt;
    case v1::FIT_METHOD_UNSPECIFIED:
    case v1::FIT_METHOD_LEVENBERG_MARQUARDT:
    case v1::FitMethod_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::FitMethod_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return Algorithm::kLevenbergMarquardt;
}

v1::FitMethod AlgorithmToProto(Algorithm algorithm) {
  switch (algorithm) {
    case Algorithm::kLevenbergMarquardt:
      return v1::FIT_METHOD_LEVENBERG_MARQUARDT;
    case Algorithm::kLbfgsb:
      return v1::FIT_METHOD_LBFGSB;
    case Algorithm::kAdam:
      return v1::FIT_METHOD_ADAM;
    case Algorithm::kAdamW:
      return v1::FIT_METHOD_ADAMW;
    case Algorithm::kNlopt:
      return v1::FIT_METHOD_NLOPT;
  }
  return v1::FIT_METHOD_UNSPECIFIED;
}

optimise::Schedule ScheduleFromProto(const v1::LearningRateSchedule& proto) {
  optimise::Schedule schedule;
  switch (proto.kind()) {
    case v1::LearningRateSchedule::KIND_EXPONENTIAL:
      schedule.kind = optimise::Schedule::Kind::kExponential;
      break;
    case v1::LearningRateSchedule::KIND_COSINE:
      schedule.kind = optimise::Schedule::Kind::kCosine;
      break;
    case v1::LearningRateSchedule::KIND_UNSPECIFIED:
    case v1::LearningRateSchedule::KIND_CONSTANT:
    case v1::LearningRateSchedule_Kind_LearningRateSchedule_Kind_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::LearningRateSchedule_Kind_LearningRateSchedule_Kind_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  if (proto.has_decay()) schedule.decay = proto.decay();
  schedule.warmup = proto.warmup();
  return schedule;
}

void ScheduleToProto(const optimise::Schedule& schedule, v1::LearningRateSchedule* proto) {
  switch (schedule.kind) {
    case optimise::Schedule::Kind::kConstant:
      proto->set_kind(v1::LearningRateSchedule::KIND_CONSTANT);
      break;
    case optimise::Schedule::Kind::kExponential:
      proto->set_kind(v1::LearningRateSchedule::KIND_EXPONENTIAL);
      break;
    case optimise::Schedule::Kind::kCosine:
      proto->set_kind(v1::LearningRateSchedule::KIND_COSINE);
      break;
  }
  proto->set_decay(schedule.decay);
  proto->set_warmup(schedule.warmup);
}

// ---- the problem

fit::Condition ConditionFromProto(const v1::Condition& proto) {
  fit::Condition condition;
  condition.name = proto.name();
  condition.params = NamedArraysFromProto(proto.params());
  condition.initial_state = NamedArraysFromProto(proto.initial_state());
  if (proto.has_t0()) condition.t0 = proto.t0();
  if (proto.has_t1()) condition.t1 = proto.t1();
  return condition;
}

fit::Series SeriesFromProto(const v1::DataSeries& proto) {
  fit::Series series;
  series.condition = proto.condition();
  series.channel_kind = proto.has_output() ? Channel::Kind::kOutput : Channel::Kind::kState;
  series.channel = proto.has_output() ? proto.output() : proto.state();
  series.times = ValuesFromProto(proto.times());
  series.values = ValuesFromProto(proto.values());
  series.allow_missing = proto.allow_missing();
  series.noise = NoiseFromProto(proto.noise());
  series.sigma = ValuesFromProto(proto.sigma());
  series.estimate_scale = proto.estimate_scale();
  series.estimate_offset = proto.estimate_offset();
  if (proto.has_weight()) series.weight = proto.weight();
  series.group = proto.group();
  return series;
}

fit::Prior PriorFromProto(const v1::Prior& proto) {
  fit::Prior prior;
  prior.distribution = DistributionFromProto(proto.distribution());
  prior.a = proto.a();
  prior.b = proto.b();
  prior.scaled = proto.scaled();
  return prior;
}

fit::Free FreeFromProto(const v1::FreeParameter& proto) {
  fit::Free free;
  free.name = proto.name();
  free.start = ValuesFromProto(proto.start());
  if (proto.has_lower()) free.lower = proto.lower();
  if (proto.has_upper()) free.upper = proto.upper();
  free.scale = ScaleFromProto(proto.scale());
  if (proto.has_prior()) free.prior = PriorFromProto(proto.prior());
  free.per_condition.assign(proto.per_condition().begin(), proto.per_condition().end());
  return free;
}

optimise::OptimiserOptions OptimiserFromProto(const v1::FitOptions& proto) {
  optimise::OptimiserOptions options;
  options.algorithm = AlgorithmFromProto(proto.method());
  if (proto.max_iterations() > 0) options.max_iterations = proto.max_iterations();
  if (proto.has_function_tolerance()) options.function_tolerance = proto.function_tolerance();
  if (proto.has_gradient_tolerance()) options.gradient_tolerance = proto.gradient_tolerance();
  if (proto.has_step_tolerance()) options.step_tolerance = proto.step_tolerance();
  if (proto.has_learning_rate()) options.learning_rate = proto.learning_rate();
  if (proto.has_weight_decay()) options.weight_decay = proto.weight_decay();
  if (proto.has_beta1()) options.beta1 = proto.beta1();
  if (proto.has_beta2()) options.beta2 = proto.beta2();
  if (proto.has_epsilon()) options.epsilon = proto.epsilon();
  if (proto.has_clip_norm()) options.clip_norm = proto.clip_norm();
  if (proto.has_schedule()) options.schedule = ScheduleFromProto(proto.schedule());
  options.batch_size = proto.batch_size();
  options.nlopt_algorithm = proto.nlopt_algorithm();
  return options;
}

// ---- the result

void AdamToProto(const optimise::OptimiserOptions& options, v1::FitOptions* proto) {
  proto->set_learning_rate(options.learning_rate);
  if (options.algorithm == Algorithm::kAdamW) proto->set_weight_decay(options.weight_decay);
  proto->set_beta1(options.beta1);
  proto->set_beta2(options.beta2);
  proto->set_epsilon(options.epsilon);
  if (options.clip_norm.has_value()) proto->set_clip_norm(*options.clip_norm);
  proto->set_batch_size(options.batch_size);
  ScheduleToProto(options.schedule, proto->mutable_schedule());
}

void EstimateToProto(const fit::Estimate& estimate, v1::FitEstimate* proto) {
  proto->set_name(estimate.name);
  proto->set_scale(ScaleToProto(estimate.scale));
  proto->set_value(estimate.value);
  proto->set_lower(estimate.lower);
  proto->set_upper(estimate.upper);
  proto->set_at_bound(estimate.at_bound);
  proto->set_standard_error(estimate.standard_error);
  proto->set_interval_lower(estimate.interval_lower);
  proto->set_interval_upper(estimate.interval_upper);
}

void FittedTrajectoryToProto(const fit::FittedTrajectory& trajectory, v1::FittedTrajectory* proto) {
  const int64_t rows = Size(trajectory.times);
  proto->set_condition(trajectory.condition);
  VectorToProto(trajectory.times, proto->mutable_times());
  MatrixToProto(trajectory.outputs, rows, proto->mutable_outputs());
  MatrixToProto(trajectory.states, rows, proto->mutable_states());
}

}  // namespace

fit::FitProblem FitProblemFromProto(const v1::FitRequest& proto,
                                    std::shared_ptr<const Model> model) {
  fit::FitProblem problem;
  problem.simulation = SimulationFromProto(proto.simulation(), std::move(model));
  for (const v1::Condition& condition : proto.conditions()) {
    problem.conditions.push_back(ConditionFromProto(condition));
  }
  for (const v1::DataSeries& series : proto.data()) {
    problem.data.push_back(SeriesFromProto(series));
  }
  for (const v1::FreeParameter& free : proto.free()) problem.free.push_back(FreeFromProto(free));
  return problem;
}

fit::FitOptions FitOptionsFromProto(const v1::FitOptions& proto) {
  fit::FitOptions options;
  options.method_auto = proto.method() == v1::FIT_METHOD_UNSPECIFIED;
  options.optimiser = OptimiserFromProto(proto);
  options.max_iterations_auto = proto.max_iterations() == 0;
  options.gradient = GradientOptionsFromProto(proto.gradient());
  options.gradient.report.wanted = false;
  if (proto.starts() > 0) options.starts = proto.starts();
  options.seed = proto.seed();
  options.sampler = proto.sampler() == v1::START_SAMPLER_SOBOL ? optimise::Sampler::kSobol
                                                               : optimise::Sampler::kLatinHypercube;
  return options;
}

void FitOptionsToProto(const fit::FitOptions& options, const v1::FitOptions& asked,
                       v1::FitOptions* proto) {
  const optimise::OptimiserOptions& optimiser = options.optimiser;
  proto->set_method(AlgorithmToProto(optimiser.algorithm));
  if (asked.has_gradient()) *proto->mutable_gradient() = asked.gradient();
  proto->set_starts(options.starts);
  proto->set_seed(options.seed);
  proto->set_max_iterations(optimiser.max_iterations);
  proto->set_function_tolerance(optimiser.function_tolerance);
  proto->set_gradient_tolerance(optimiser.gradient_tolerance);
  proto->set_step_tolerance(optimiser.step_tolerance);
  proto->set_sampler(options.sampler == optimise::Sampler::kSobol
                         ? v1::START_SAMPLER_SOBOL
                         : v1::START_SAMPLER_LATIN_HYPERCUBE);
  switch (optimiser.algorithm) {
    case Algorithm::kLevenbergMarquardt:
    case Algorithm::kLbfgsb:
      return;
    case Algorithm::kAdam:
    case Algorithm::kAdamW:
      return AdamToProto(optimiser, proto);
    case Algorithm::kNlopt:
      proto->set_nlopt_algorithm(optimiser.nlopt_algorithm);
      return;
  }
}

v1::FitOutcome FitOutcomeToProto(optimise::Outcome outcome) {
  switch (outcome) {
    case optimise::Outcome::kRunning:
      return v1::FIT_OUTCOME_UNSPECIFIED;
    case optimise::Outcome::kConverged:
      return v1::FIT_OUTCOME_CONVERGED;
    case optimise::Outcome::kMaxIterations:
      return v1::FIT_OUTCOME_MAX_ITERATIONS;
    case optimise::Outcome::kDiverged:
      return v1::FIT_OUTCOME_DIVERGED;
    case optimise::Outcome::kStalled:
      return v1::FIT_OUTCOME_STALLED;
  }
  return v1::FIT_OUTCOME_UNSPECIFIED;
}

void FitStartToProto(const fit::StartResult& start, v1::FitStart* proto) {
  proto->set_index(start.index);
  proto->set_outcome(FitOutcomeToProto(start.outcome));
  proto->set_objective(start.objective);
  VectorToProto(start.start_values, proto->mutable_start_values());
  VectorToProto(start.values, proto->mutable_values());
  proto->set_iterations(start.iterations);
  proto->set_evaluations(start.evaluations);
  VectorToProto(start.trace, proto->mutable_trace());
  proto->set_detail(start.detail);
  proto->set_gradient_norm(start.gradient_norm);
}

void FitResultToProto(const fit::FitResult& result, const v1::FitRequest& request,
                      v1::FitResult* proto) {
  const int64_t q = static_cast<int64_t>(result.estimates.size());
  for (const fit::StartResult& start : result.starts) FitStartToProto(start, proto->add_starts());
  for (const fit::Estimate& estimate : result.estimates) {
    proto->add_names(estimate.name);
    EstimateToProto(estimate, proto->add_estimates());
  }
  MatrixToProto(result.covariance, q, proto->mutable_covariance());
  MatrixToProto(result.correlation, q, proto->mutable_correlation());
  MatrixToProto(result.fisher_information, q, proto->mutable_fisher_information());
  VectorToProto(result.eigenvalues, proto->mutable_eigenvalues());
  for (const std::string& sentence : result.unidentified) proto->add_unidentified(sentence);
  for (const auto& values : result.fitted) VectorToProto(values, proto->add_fitted());
  for (const auto& values : result.residuals) VectorToProto(values, proto->add_residuals());
  for (const fit::FittedTrajectory& trajectory : result.trajectories) {
    FittedTrajectoryToProto(trajectory, proto->add_trajectories());
  }
  proto->set_starts_at_best(result.starts_at_best);
  FitOptionsToProto(result.options, request.options(), proto->mutable_options());
  SolveOptionsToProto(result.resolution.options, proto->mutable_solve_options());
  proto->mutable_solve_options()->clear_save();
}

fit::ProfileOptions ProfileOptionsFromProto(const v1::ProfileRequest& proto) {
  fit::ProfileOptions options;
  if (proto.has_confidence()) options.confidence = proto.confidence();
  if (proto.max_points() > 0) options.max_points = proto.max_points();
  return options;
}

void ProfileToProto(const fit::Profile& profile, v1::Profile* proto) {
  proto->set_name(profile.name);
  VectorToProto(profile.values, proto->mutable_values());
  VectorToProto(profile.objectives, proto->mutable_objectives());
  MatrixToProto(profile.points, Size(profile.values), proto->mutable_points());
  proto->set_interval_lower(profile.interval_lower);
  proto->set_interval_upper(profile.interval_upper);
  proto->set_verdict(profile.verdict);
}

void FitProgressToProto(const fit::StartProgress& progress, v1::FitProgress* proto) {
  proto->set_start(progress.start);
  proto->set_iteration(progress.iteration);
  proto->set_objective(progress.objective);
  proto->set_gradient_norm(progress.gradient_norm);
  proto->set_outcome(FitOutcomeToProto(progress.outcome));
}

}  // namespace costate
