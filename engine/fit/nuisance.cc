#include "engine/fit/nuisance.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/container/btree_map.h"
#include "engine/base/status_macros.h"
#include "engine/fit/evaluation.h"
#include "engine/fit/likelihood.h"
#include "engine/fit/noise.h"
#include "engine/fit/trajectory_batch.h"
#include "engine/solve.h"

namespace costate::fit {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kSmallestSigma = 1e-6, kLargestSigma = 10;  // of the size of the data
constexpr double kScaleRange = 1e6;
constexpr double kOffsetRange = 10;
constexpr int64_t kSolvedTogether = 64;

struct Measurement {
  double c = kNaN;  // channel
  double y = 0;
  double weight = 1;     // of the series
  double precision = 1;  // 1 / sigma^2
};

// Series that share their nuisance elements.
struct Group {
  Noise noise = Noise::kGaussian;
  int64_t sigma = -1, scale = -1, offset = -1;  // elements
  std::vector<Measurement> data;

  bool log() const { return IsLogNoise(noise); }
};

double NotZero(double x) { return x > 0 && std::isfinite(x) ? x : 1.0; }

template <typename F>
double RootMeanSquare(const std::vector<Measurement>& data, F value) {
  double sum = 0;
  int64_t count = 0;
  for (const Measurement& one : data) {
    const double x = value(one);
    if (!std::isfinite(x)) continue;
    sum += x * x;
    ++count;
  }
  return count == 0 ? 0 : std::sqrt(sum / static_cast<double>(count));
}

double LogSpread(const std::vector<Measurement>& data) {
  double mean = 0;
  for (const Measurement& one : data) mean += std::log(one.y);
  mean /= static_cast<double>(data.size());
  return RootMeanSquare(data, [mean](const Measurement& one) { return std::log(one.y) - mean; });
}

struct Line {
  double scale = 1, offset = 0;
};

// scale c + offset closest to y.
Line FitLine(const Group& group) {
  double w = 0, wc = 0, wy = 0, wcc = 0, wcy = 0;
  for (const Measurement& one : group.data) {
    if (!std::isfinite(one.c)) continue;
    double weight = one.weight * one.precision;
    if (group.log()) weight = one.weight / (one.y * one.y);
    w += weight;
    wc += weight * one.c;
    wy += weight * one.y;
    wcc += weight * one.c * one.c;
    wcy += weight * one.c * one.y;
  }
  Line line;
  if (group.scale < 0) {
    line.offset = (wy - wc) / w;
  } else if (group.offset < 0) {
    line.scale = wcy / wcc;
  } else {
    const double spread = w * wcc - wc * wc;
    if (spread > 1e-12 * w * wcc) line.scale = (w * wcy - wc * wy) / spread;
    line.offset = (wy - line.scale * wc) / w;
  }
  return line;
}

// The factor closest in logarithms.
Line FitLogScale(const Group& group) {
  double sum = 0, weights = 0;
  for (const Measurement& one : group.data) {
    if (!(one.c > 0) || !std::isfinite(one.c)) continue;
    sum += one.weight * (std::log(one.y) - std::log(one.c));
    weights += one.weight;
  }
  return {.scale = std::exp(sum / weights), .offset = 0};
}

bool KeepsPositive(const Group& group, const Line& line) {
  return std::all_of(group.data.begin(), group.data.end(), [&line](const Measurement& one) {
    return std::isnan(one.c) || line.scale * one.c + line.offset > 0;
  });
}

Line StartLine(const Group& group) {
  if (group.scale < 0 && group.offset < 0) return {};
  Line line;
  if (group.log() && group.offset < 0) {
    line = FitLogScale(group);
  } else {
    line = FitLine(group);
    if (group.log() && !KeepsPositive(group, line)) {
      line = group.scale >= 0 ? FitLogScale(group) : Line();
    }
  }
  if (!std::isfinite(line.scale) || line.scale == 0) line.scale = 1;
  if (!std::isfinite(line.offset)) line.offset = 0;
  return line;
}

double StartSigma(const Group& group, const Line& line, double size) {
  const bool laplace = group.noise == Noise::kLaplace || group.noise == Noise::kLogLaplace;
  double sum = 0, weights = 0;
  for (const Measurement& one : group.data) {
    const double m = line.scale * one.c + line.offset;
    const double r = group.log() ? std::log(m) - std::log(one.y) : m - one.y;
    if (!std::isfinite(r)) continue;
    sum += one.weight * (laplace ? std::fabs(r) : r * r);
    weights += one.weight;
  }
  const double mean = sum / weights;
  const double sigma = laplace ? mean : std::sqrt(mean);
  return sigma > 0 && std::isfinite(sigma) ? sigma : size;
}

void Settle(Scale scale, double lower, double upper, double start, BoundElement* element) {
  element->transform = {.scale = scale, .lower = lower, .upper = upper};
  element->info.scale = scale;
  element->info.lower = lower;
  element->info.upper = upper;
  element->info.start = std::clamp(start, lower, upper);
}

void SettleScale(const Group& group, const Line& line, BoundElement* element) {
  const double y = NotZero(RootMeanSquare(group.data, [](const Measurement& m) { return m.y; }));
  const double c = NotZero(RootMeanSquare(group.data, [](const Measurement& m) { return m.c; }));
  const double largest = kScaleRange * (y / c);
  const bool positive =
      line.scale > 0 && std::all_of(group.data.begin(), group.data.end(),
                                    [](const Measurement& one) { return one.y >= 0; });
  if (positive) {
    Settle(Scale::kLog, y / c / kScaleRange, largest, line.scale, element);
  } else {
    Settle(Scale::kLinear, -largest, largest, line.scale, element);
  }
}

void SettleOffset(const Group& group, const Line& line, BoundElement* element) {
  const auto [low, high] =
      std::minmax_element(group.data.begin(), group.data.end(),
                          [](const Measurement& a, const Measurement& b) { return a.y < b.y; });
  const double spread = high->y > low->y ? high->y - low->y : NotZero(std::fabs(high->y));
  Settle(Scale::kLinear, low->y - kOffsetRange * spread, high->y + kOffsetRange * spread,
         line.offset, element);
}

void SettleSigma(const Group& group, const Line& line, BoundElement* element) {
  double size = 1;
  double largest = 1;
  if (group.log()) {
    largest = std::max(1.0, LogSpread(group.data));
  } else {
    size = NotZero(RootMeanSquare(group.data, [](const Measurement& m) { return m.y; }));
    largest = size;
  }
  Settle(Scale::kLog, kSmallestSigma * size, kLargestSigma * largest, StartSigma(group, line, size),
         element);
}

class Groups {
 public:
  explicit Groups(BoundFit* fit) : fit_(*fit) {}

  absl::Status Run(const StopSource& stop) {
    SearchPoint start;
    for (const BoundElement& element : fit_.elements) start.natural.push_back(element.info.start);
    std::vector<std::vector<TrajectoryRequest>> requests(fit_.bundles.size());
    for (const BoundCondition& condition : fit_.conditions) {
      if (HasNuisance(condition)) requests[condition.bundle].push_back({&condition, &start});
    }
    for (size_t b = 0; b < requests.size(); ++b) {
      for (size_t i = 0; i < requests[b].size(); i += kSolvedTogether) {
        RETURN_IF_ERROR(Solve(fit_.bundles[b],
                              absl::MakeConstSpan(requests[b]).subspan(i, kSolvedTogether), stop));
      }
    }
    for (auto& [key, group] : groups_) Settle(group);
    return absl::OkStatus();
  }

 private:
  static bool HasNuisance(const BoundCondition& condition) {
    return condition.touched.size() > condition.columns.size();
  }

  absl::Status Solve(const Bundle& bundle, absl::Span<const TrajectoryRequest> requests,
                     const StopSource& stop) {
    ASSIGN_OR_RETURN(const BoundSimulation bound, GatherTrajectories(fit_, bundle, requests, stop));
    ASSIGN_OR_RETURN(const std::vector<Trajectory> trajectories,
                     SolveTrajectories(bound, bundle.options, stop));
    RETURN_IF_ERROR(CheckFitStop(stop));  // such trajectories end early
    for (size_t i = 0; i < requests.size(); ++i) {
      ChannelValues values;
      values.n = fit_.model->rhs().num_states();
      values.k = fit_.model->outputs().num_values();
      values.states = trajectories[i].states;
      std::vector<double> outputs;
      RETURN_IF_ERROR(EvaluateOutputs(*fit_.model, trajectories[i],
                                      bound.one(static_cast<int64_t>(i)).params, stop.cancellation,
                                      &outputs));
      values.outputs = outputs;
      Collect(*requests[i].condition, values);
    }
    return absl::OkStatus();
  }

  void Collect(const BoundCondition& condition, const ChannelValues& values) {
    for (const BoundSeries& series : condition.series) {
      const int64_t sigma = series.sigma_estimate.element, scale = series.scale_estimate.element,
                    offset = series.offset_estimate.element;
      const int64_t key = std::max({sigma, scale, offset});
      if (key < 0) continue;
      Group& group = groups_[key];
      group.noise = series.noise;
      group.sigma = sigma;
      group.scale = scale;
      group.offset = offset;
      for (size_t j = 0; j < series.values.size(); ++j) {
        if (std::isnan(series.values[j])) continue;
        Measurement one;
        one.c = values.at(series.channel, series.rows[j]);
        if (!std::isfinite(one.c)) one.c = kNaN;
        one.y = series.values[j];
        one.weight = series.weight;
        if (!series.sigma.empty()) {
          const double s = series.sigma[series.sigma.size() == 1 ? 0 : j];
          one.precision = 1 / (s * s);
        }
        group.data.push_back(one);
      }
    }
  }

  void Settle(const Group& group) {
    const Line line = StartLine(group);
    if (group.scale >= 0) SettleScale(group, line, &fit_.elements[group.scale]);
    if (group.offset >= 0) SettleOffset(group, line, &fit_.elements[group.offset]);
    if (group.sigma >= 0) SettleSigma(group, line, &fit_.elements[group.sigma]);
  }

  BoundFit& fit_;
  absl::btree_map<int64_t, Group> groups_;  // by one of their elements
};

}  // namespace

absl::Status SettleNuisance(const StopSource& stop, BoundFit* fit) { return Groups(fit).Run(stop); }

}  // namespace costate::fit
