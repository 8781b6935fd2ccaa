// What the data of one condition say of a trajectory: value, cotangents, and rows of residuals and
// Jacobian. The model's value of a measurement is m = scale * channel + offset.
#ifndef COSTATE_ENGINE_FIT_LIKELIHOOD_H_
#define COSTATE_ENGINE_FIT_LIKELIHOOD_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "engine/fit/bound_fit.h"
#include "engine/gradients/loss.h"

namespace costate::fit {

// A point of the search, in the coordinates of its elements.
struct SearchPoint {
  std::vector<double> search;   // [q]
  std::vector<double> natural;  // [q]
  std::vector<double> slopes;   // [q], d natural / d search
};

// Values of a trajectory at the K times of its condition, with C tangents where they are known.
struct ChannelValues {
  int64_t n = 0, k = 0;              // states, outputs
  absl::Span<const double> states;   // [K, n]
  absl::Span<const double> outputs;  // [K, k]
  // [K, n, C] and [K, k, C]
  int64_t columns = 0;
  absl::Span<const double> state_tangents, output_tangents;

  double at(const Channel& channel, int64_t row) const {
    return channel.kind == Channel::Kind::kState ? states[row * n + channel.index]
                                                 : outputs[row * k + channel.index];
  }
  const double* tangents(const Channel& channel, int64_t row) const {
    return channel.kind == Channel::Kind::kState
               ? state_tangents.data() + (row * n + channel.index) * columns
               : output_tangents.data() + (row * k + channel.index) * columns;
  }
};

// The weighted negative log likelihood; infinite or NaN where a prediction is out of its domain.
double EvaluateLikelihood(const BoundCondition& condition, const SearchPoint& point,
                          const ChannelValues& values);

// The same, with derivatives in natural coordinates: by the saved states [K, n] and outputs [K, k]
// (empty where no series looks at them), and by the nuisance elements among
// condition.touched, [touched - columns].
struct LikelihoodGradient {
  Cotangents cotangents;
  std::vector<double> nuisance;
};
double DifferentiateLikelihood(const BoundCondition& condition, const SearchPoint& point,
                               const ChannelValues& values, LikelihoodGradient* gradient);

// The same value, with condition.num_rows rows: residuals s, and jacobian [num_rows, num_elements]
// in search coordinates, zero on entry. Both are multiplied by sqrt(factor). Unless `expected`
// (optimise::Question), measurements are reweighed. Rows of a series stand
// one after another: a row for each value that is there, then one for an estimated sigma, which
// stands for those of all N values: s = sum of g / sqrt(N I), J = sqrt(N I) d ln sigma.
double FillLikelihoodRows(const BoundCondition& condition, const SearchPoint& point,
                          const ChannelValues& values, double factor, bool expected,
                          int64_t num_elements, double* residuals, double* jacobian);

// scale * channel + offset of a series at one of its times.
double PredictValue(const BoundSeries& series, const SearchPoint& point,
                    const ChannelValues& values, int64_t place);
// sigma of a series at one of its times.
double SigmaAt(const BoundSeries& series, const SearchPoint& point, int64_t place);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_LIKELIHOOD_H_
