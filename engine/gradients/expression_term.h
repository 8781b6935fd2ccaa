// The value and derivatives of one compiled expression of saved values.
#ifndef COSTATE_ENGINE_GRADIENTS_EXPRESSION_TERM_H_
#define COSTATE_ENGINE_GRADIENTS_EXPRESSION_TERM_H_

#include <vector>

#include "absl/types/span.h"
#include "engine/gradients/loss.h"
#include "engine/gradients/row_finder.h"

namespace costate {

// The arguments y and p of the kernels of a compiled term.
struct ExpressionPoint {
  std::vector<double> values;  // y
  std::vector<double> params;  // p
};

// y from saved values (or from their tangents: a term's times then move by `saved.times`), rows by
// `rows`, which speak of the values themselves.
std::vector<double> GatherValues(const ExpressionLoss& term, const SavedValues& saved,
                                 RowFinder* rows);

// The reverse: adds cotangents of y.
void ScatterValues(const ExpressionLoss& term, absl::Span<const double> cotangents,
                   const SavedValues& saved, RowFinder* rows, Cotangents* sum);

// Adds the first m elements of a cotangent of p, if the expression uses parameters.
void AddParams(const ExpressionLoss& term, absl::Span<const double> cotangents, Cotangents* sum);

ExpressionPoint MakePoint(const ExpressionLoss& term, const SavedValues& saved,
                          absl::Span<const double> params, RowFinder* rows);

// Returns the value; adds the cotangents. NaN where the term was not prepared.
double EvaluateExpression(const ExpressionLoss& term, const SavedValues& saved,
                          absl::Span<const double> params, RowFinder* rows, Cotangents* sum);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_EXPRESSION_TERM_H_
