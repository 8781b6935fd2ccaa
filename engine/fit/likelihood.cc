#include "engine/fit/likelihood.h"

#include <cmath>

#include "engine/fit/noise.h"

namespace costate::fit {
namespace {

double ScaleOf(const BoundSeries& series, const SearchPoint& point) {
  return series.scale_estimate.estimated() ? point.natural[series.scale_estimate.element] : 1;
}

// Calls visit(series, place, row, channel value, noise term) for every value that is there, in
// order. Returns the weighted sum of the terms.
template <typename F>
double ForEachMeasurement(const BoundCondition& condition, const SearchPoint& point,
                          const ChannelValues& values, F visit) {
  double total = 0;
  for (const BoundSeries& series : condition.series) {
    double sum = 0;
    for (size_t j = 0; j < series.values.size(); ++j) {
      const double y = series.values[j];
      if (std::isnan(y)) continue;
      const int64_t place = static_cast<int64_t>(j);
      NoiseTerm term;
      if (series.weight != 0) {  // else infinite terms would count too
        const double m = PredictValue(series, point, values, place);
        term = EvaluateNoise(series.noise, m, y, SigmaAt(series, point, place));
      }
      sum += term.value;
      visit(series, series.rows[j], values.at(series.channel, series.rows[j]), term);
    }
    total += series.weight * sum;
  }
  return total;
}

// Writes rows one after another.
class RowWriter {
 public:
  RowWriter(const BoundCondition& condition, const SearchPoint& point, const ChannelValues& values,
            double factor, int64_t num_elements, double* residuals, double* jacobian)
      : condition_(condition),
        point_(point),
        values_(values),
        factor_(factor),
        num_elements_(num_elements),
        residuals_(residuals),
        jacobian_(jacobian) {}

  void Measurement(const BoundSeries& series, int64_t row, double channel, const NoiseTerm& term) {
    if (&series != series_) Begin(series);
    const double d_m = root_ * term.slope;
    *residuals_ = root_ * term.score;
    const double* tangents = values_.tangents(series.channel, row);
    const double d_channel = d_m * scale_;
    for (size_t c = 0; c < condition_.columns.size(); ++c) {
      const int64_t element = condition_.columns[c].element;
      jacobian_[element] = d_channel * tangents[c] * point_.slopes[element];
    }
    AddNuisance(series.scale_estimate, d_m * channel);
    AddNuisance(series.offset_estimate, d_m);
    Next();
    sigma_score_ += term.sigma_gradient;
    if (++seen_ == series.num_present && series.sigma_estimate.estimated()) SigmaRow(series);
  }

 private:
  void Begin(const BoundSeries& series) {
    series_ = &series;
    root_ = std::sqrt(series.weight * factor_);
    scale_ = ScaleOf(series, point_);
    sigma_score_ = 0;
    seen_ = 0;
  }

  void SigmaRow(const BoundSeries& series) {
    const double information =
        SigmaInformation(series.noise) * static_cast<double>(series.num_present);
    const int64_t element = series.sigma_estimate.element;
    *residuals_ = root_ * sigma_score_ / std::sqrt(information);
    AddNuisance(series.sigma_estimate, root_ * std::sqrt(information) / point_.natural[element]);
    Next();
  }

  void AddNuisance(const BoundNuisance& nuisance, double derivative) {
    if (!nuisance.estimated()) return;
    jacobian_[nuisance.element] = derivative * point_.slopes[nuisance.element];
  }

  void Next() {
    ++residuals_;
    jacobian_ += num_elements_;
  }

  const BoundCondition& condition_;
  const SearchPoint& point_;
  const ChannelValues& values_;
  const double factor_;
  const int64_t num_elements_;
  double* residuals_;
  double* jacobian_;
  const BoundSeries* series_ = nullptr;
  double root_ = 0;  // sqrt(weight * factor)
  double scale_ = 1;
  double sigma_score_ = 0;
  int64_t seen_ = 0;
};

}  // namespace

double PredictValue(const BoundSeries& series, const SearchPoint& point,
                    const ChannelValues& values, int64_t place) {
  const double channel = values.at(series.channel, series.rows[place]);
  const double scaled = ScaleOf(series, point) * channel;
  return series.offset_estimate.estimated() ? scaled + point.natural[series.offset_estimate.element]
                                            : scaled;
}

double SigmaAt(const BoundSeries& series, const SearchPoint& point, int64_t place) {
  if (series.sigma_estimate.estimated()) return point.natural[series.sigma_estimate.element];
  return series.sigma[series.sigma.size() == 1 ? 0 : place];
}

double EvaluateLikelihood(const BoundCondition& condition, const SearchPoint& point,
                          const ChannelValues& values) {
  return ForEachMeasurement(condition, point, values,
                            [](const BoundSeries&, int64_t, double, const NoiseTerm&) {});
}

double DifferentiateLikelihood(const BoundCondition& condition, const SearchPoint& point,
                               const ChannelValues& values, LikelihoodGradient* gradient) {
  const int64_t columns = static_cast<int64_t>(condition.columns.size());
  Cotangents& cotangents = gradient->cotangents;
  cotangents = Cotangents();
  gradient->nuisance.assign(condition.touched.size() - columns, 0.0);
  for (const BoundSeries& series : condition.series) {
    if (series.channel.kind == Channel::Kind::kState) {
      cotangents.states.resize(values.states.size());
    } else {
      cotangents.outputs.resize(values.outputs.size());
    }
  }
  const auto add_nuisance = [&](const BoundNuisance& nuisance, double derivative) {
    if (nuisance.estimated()) gradient->nuisance[nuisance.local - columns] += derivative;
  };
  return ForEachMeasurement(
      condition, point, values,
      [&](const BoundSeries& series, int64_t row, double channel, const NoiseTerm& term) {
        const double d_m = series.weight * term.score * term.slope;
        const double d_channel = d_m * ScaleOf(series, point);
        if (series.channel.kind == Channel::Kind::kState) {
          cotangents.states[row * values.n + series.channel.index] += d_channel;
        } else {
          cotangents.outputs[row * values.k + series.channel.index] += d_channel;
        }
        add_nuisance(series.scale_estimate, d_m * channel);
        add_nuisance(series.offset_estimate, d_m);
        if (series.sigma_estimate.estimated()) {
          add_nuisance(series.sigma_estimate, series.weight * term.sigma_gradient /
                                                  point.natural[series.sigma_estimate.element]);
        }
      });
}

double FillLikelihoodRows(const BoundCondition& condition, const SearchPoint& point,
                          const ChannelValues& values, double factor, bool expected,
                          int64_t num_elements, double* residuals, double* jacobian) {
  RowWriter writer(condition, point, values, factor, num_elements, residuals, jacobian);
  return ForEachMeasurement(
      condition, point, values,
      [&](const BoundSeries& series, int64_t row, double channel, NoiseTerm term) {
        if (!expected) Reweigh(series.noise, &term);
        writer.Measurement(series, row, channel, term);
      });
}

}  // namespace costate::fit
