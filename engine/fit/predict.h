// What the model says of the data at one point, for people to look at.
#ifndef COSTATE_ENGINE_FIT_PREDICT_H_
#define COSTATE_ENGINE_FIT_PREDICT_H_

#include "absl/status/statusor.h"
#include "engine/base/stop_source.h"
#include "engine/fit/bound_fit.h"
#include "engine/fit/likelihood.h"
#include "engine/fit/objective.h"

namespace costate::fit {

// By plain solves. Fitted values and trajectories are NaN where a solve did not get to.
absl::StatusOr<Prediction> PredictAt(const BoundFit& fit, const SearchPoint& point,
                                     const StopSource& stop);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_PREDICT_H_
