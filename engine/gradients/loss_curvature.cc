#include "engine/gradients/loss_curvature.h"

#include <cmath>
#include <cstddef>
#include <utility>
#include <variant>

#include "engine/gradients/expression_term.h"
#include "engine/gradients/row_finder.h"

namespace costate {
namespace {

// H d of least squares: 2 d / sigma^2 at every point, or half of that.
void AddSquares(const LeastSquares& term, const SavedValues& saved, const SavedTangents& tangents,
                RowFinder* rows, Cotangents* sum) {
  const bool is_state = term.channel.kind == Channel::Kind::kState;
  const size_t width = is_state ? rows->num_states : rows->num_outputs;
  const std::vector<double>& moves = is_state ? tangents.values.states : tangents.values.outputs;
  std::vector<double>& to = is_state ? sum->states : sum->outputs;
  to.resize(is_state ? saved.states.size() : saved.outputs.size());
  for (size_t i = 0; i < term.times.size(); ++i) {
    if (std::isnan(term.values[i])) continue;
    const size_t at = rows->Find(term.times[i]) * width + static_cast<size_t>(term.channel.index);
    const double sigma = term.sigma.size() == 1 ? term.sigma[0] : term.sigma[i];
    const double residual = moves[at] / sigma;
    to[at] += (term.half ? residual : 2 * residual) / sigma;
  }
}

void AddExpression(const ExpressionLoss& term, const SavedValues& saved,
                   absl::Span<const double> params, const SavedTangents& tangents,
                   const Kernel& kernel, RowFinder* rows, Cotangents* sum) {
  const ExpressionPoint point = MakePoint(term, saved, params, rows);
  SavedValues moves = tangents.values;
  moves.times.assign(saved.times.size(), 0.0);
  const std::vector<double> d_values = GatherValues(term, moves, rows);
  std::vector<double> d_params(tangents.params.begin(),
                               tangents.params.begin() + term.compiled->num_params);
  d_params.resize(point.params.size());
  std::vector<double> c_values(point.values.size()), d_c_values(point.values.size());
  std::vector<double> c_params(point.params.size()), d_c_params(point.params.size());
  std::vector<double> scratch(kernel.scratch_size());
  const double unused_time = 0;
  const double one = 1;
  const double* const inputs[] = {&unused_time, point.values.data(), point.params.data(),
                                  &one,         d_values.data(),     d_params.data()};
  double* const outputs[] = {c_values.data(), c_params.data(), d_c_values.data(),
                             d_c_params.data()};
  kernel(inputs, outputs, scratch.data());
  ScatterValues(term, d_c_values, saved, rows, sum);
  AddParams(term, d_c_params, sum);
}

}  // namespace

LossCurvature DifferentiateLossTwice(const Loss& loss, const SavedValues& saved,
                                     absl::Span<const double> params, const SavedTangents& tangents,
                                     const CurvatureKernels& kernels) {
  LossCurvature result;
  result.gradient = EvaluateLoss(loss, saved, params).cotangents;
  RowFinder rows(saved);
  for (size_t i = 0; i < loss.terms.size(); ++i) {
    if (const auto* squares = std::get_if<LeastSquares>(&loss.terms[i])) {
      AddSquares(*squares, saved, tangents, &rows, &result.hessian_times);
    } else if (const auto* expression = std::get_if<ExpressionLoss>(&loss.terms[i])) {
      AddExpression(*expression, saved, params, tangents, kernels[i], &rows, &result.hessian_times);
    }  // the others are linear
  }
  return result;
}

}  // namespace costate
