#include "engine/fit/predict.h"

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/fit/noise.h"
#include "engine/fit/trajectory_batch.h"
#include "engine/solve.h"

namespace costate::fit {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kCurvePoints = 200;

// Even times from t0 to t1.
std::vector<double> CurveTimes(double t0, double t1) {
  if (t0 == t1) return {t0};
  std::vector<double> times(kCurvePoints);
  for (int64_t i = 0; i < kCurvePoints; ++i) {
    times[i] = t0 + (t1 - t0) * (static_cast<double>(i) / (kCurvePoints - 1));
  }
  times.back() = t1;
  return times;
}

struct Solved {
  std::vector<double> states, outputs;
};

absl::StatusOr<Solved> SolveAt(const BoundFit& fit, const BoundSimulation& bound,
                               const SolveOptions& options, const StopSource& stop) {
  ASSIGN_OR_RETURN(std::vector<Trajectory> trajectories, SolveTrajectories(bound, options, stop));
  Solved solved;
  RETURN_IF_ERROR(EvaluateOutputs(*fit.model, trajectories[0], bound.one(0).params,
                                  stop.cancellation, &solved.outputs));
  solved.states = std::move(trajectories[0].states);
  return solved;
}

void PredictSeries(const BoundSeries& series, const SearchPoint& point, const ChannelValues& values,
                   Prediction* prediction) {
  std::vector<double>& fitted = prediction->fitted[series.index];
  std::vector<double>& residuals = prediction->residuals[series.index];
  for (size_t j = 0; j < series.values.size(); ++j) {
    const int64_t place = static_cast<int64_t>(j);
    const double m = PredictValue(series, point, values, place);
    const double y = series.values[j];
    fitted.push_back(m);
    const bool known = !std::isnan(y) && !std::isnan(m) && (!IsLogNoise(series.noise) || m > 0);
    residuals.push_back(
        known ? EvaluateNoise(series.noise, m, y, SigmaAt(series, point, place)).residual : kNaN);
  }
}

}  // namespace

absl::StatusOr<Prediction> PredictAt(const BoundFit& fit, const SearchPoint& point,
                                     const StopSource& stop) {
  Prediction prediction;
  prediction.fitted.resize(fit.series_sizes.size());
  prediction.residuals.resize(fit.series_sizes.size());
  for (const BoundCondition& condition : fit.conditions) {
    const Bundle& bundle = fit.bundles[condition.bundle];
    const TrajectoryRequest request = {&condition, &point};
    ASSIGN_OR_RETURN(const BoundSimulation bound,
                     GatherTrajectories(fit, bundle, absl::MakeConstSpan(&request, 1), stop));
    if (!condition.series.empty()) {
      ASSIGN_OR_RETURN(const Solved solved, SolveAt(fit, bound, bundle.options, stop));
      ChannelValues values;
      values.n = fit.model->rhs().num_states();
      values.k = fit.model->outputs().num_values();
      values.states = solved.states;
      values.outputs = solved.outputs;
      for (const BoundSeries& series : condition.series) {
        PredictSeries(series, point, values, &prediction);
      }
    }
    FittedTrajectory curve;
    curve.condition = condition.name;
    curve.times = CurveTimes(condition.t0, condition.t1);
    SolveOptions options = bundle.options;
    options.save = {.kind = SaveAt::Kind::kTimes, .times = curve.times};
    ASSIGN_OR_RETURN(Solved solved, SolveAt(fit, bound, options, stop));
    curve.states = std::move(solved.states);
    curve.outputs = std::move(solved.outputs);
    prediction.trajectories.push_back(std::move(curve));
  }
  return prediction;
}

}  // namespace costate::fit
