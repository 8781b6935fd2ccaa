// What a gradient and its report are expected to cost: the measure of admission. In element
// operations of the right-hand side, as Engine::EstimateCost counts them.
#ifndef COSTATE_SERVER_HANDLERS_GRADIENT_COST_H_
#define COSTATE_SERVER_HANDLERS_GRADIENT_COST_H_

#include <cstdint>

#include "engine/engine.h"

namespace costate {

// `columns` is the number of elements in wrt.
double EstimateGradientCost(const GradientRequest& request, int64_t columns);
// Of a gradient with its solve, without report.
double EstimateKeepCost(const KeepRequest& request, int64_t columns);
double EstimateVjpCost(const VjpRequest& request, int64_t columns);
// Of `vectors` products.
double EstimateHvpCost(const HvpRequest& request, int64_t vectors);
// All methods, one after another.
double EstimateCheckCost(const CheckRequest& request, int64_t columns);

// Compilation of the loss's texts, before any kernel of them is known.
double EstimateLossCompileCost(const Loss& loss);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_GRADIENT_COST_H_
