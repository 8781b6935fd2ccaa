#include "engine/gradients/expression_term.h"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace costate {
namespace {

using Block = CompiledExpression::Block;

// The first element of `block` in row `row` of its kind, as an index into the flat array.
size_t Place(const Block& block, size_t row, const RowFinder& rows) {
  const size_t width = block.kind == Block::Kind::kState    ? rows.num_states
                       : block.kind == Block::Kind::kOutput ? rows.num_outputs
                                                            : 1;
  return row * width + static_cast<size_t>(block.offset);
}

const std::vector<double>& Source(const Block& block, const SavedValues& saved) {
  switch (block.kind) {
    case Block::Kind::kState:
      return saved.states;
    case Block::Kind::kOutput:
      return saved.outputs;
    case Block::Kind::kTime:
      break;
  }
  return saved.times;
}

std::vector<double>& Target(const Block& block, Cotangents* sum) {
  switch (block.kind) {
    case Block::Kind::kState:
      return sum->states;
    case Block::Kind::kOutput:
      return sum->outputs;
    case Block::Kind::kTime:
      break;
  }
  return sum->times;
}

}  // namespace

std::vector<double> GatherValues(const ExpressionLoss& term, const SavedValues& saved,
                                 RowFinder* rows) {
  std::vector<double> values(term.compiled->num_values);
  double* to = values.data();
  for (const Block& block : term.compiled->blocks) {
    const std::vector<double>& from = Source(block, saved);
    for (double t : term.times) {
      to = std::copy_n(from.data() + Place(block, rows->Find(t), *rows), block.size, to);
    }
  }
  return values;
}

void ScatterValues(const ExpressionLoss& term, absl::Span<const double> cotangents,
                   const SavedValues& saved, RowFinder* rows, Cotangents* sum) {
  const double* from = cotangents.data();
  for (const Block& block : term.compiled->blocks) {
    std::vector<double>& to = Target(block, sum);
    to.resize(Source(block, saved).size());
    for (double t : term.times) {
      const size_t place = Place(block, rows->Find(t), *rows);
      for (int64_t i = 0; i < block.size; ++i) to[place + i] += *from++;
    }
  }
}

void AddParams(const ExpressionLoss& term, absl::Span<const double> cotangents, Cotangents* sum) {
  if (!term.compiled->uses_params) return;
  sum->params.resize(term.compiled->num_params);
  for (size_t j = 0; j < sum->params.size(); ++j) sum->params[j] += cotangents[j];
}

ExpressionPoint MakePoint(const ExpressionLoss& term, const SavedValues& saved,
                          absl::Span<const double> params, RowFinder* rows) {
  ExpressionPoint point;
  point.values = GatherValues(term, saved, rows);
  // A model that was extended may have more parameters behind its own.
  const absl::Span<const double> own = params.subspan(0, term.compiled->num_params);
  point.params.assign(own.begin(), own.end());
  point.params.insert(point.params.end(), term.flat_data.begin(), term.flat_data.end());
  return point;
}

double EvaluateExpression(const ExpressionLoss& term, const SavedValues& saved,
                          absl::Span<const double> params, RowFinder* rows, Cotangents* sum) {
  if (term.compiled == nullptr) return std::numeric_limits<double>::quiet_NaN();
  const CompiledExpression& compiled = *term.compiled;
  const ExpressionPoint point = MakePoint(term, saved, params, rows);
  std::vector<double> c_values(point.values.size());
  std::vector<double> c_params(point.params.size());
  std::vector<double> scratch(compiled.gradient.scratch_size());
  const double unused_time = 0;
  const double one = 1;
  double value = 0;
  const double* const inputs[] = {&unused_time, point.values.data(), point.params.data(), &one};
  double* const outputs[] = {&value, c_values.data(), c_params.data()};
  compiled.gradient(inputs, outputs, scratch.data());
  ScatterValues(term, c_values, saved, rows, sum);
  AddParams(term, c_params, sum);
  return value;
}

}  // namespace costate
