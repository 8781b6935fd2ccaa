// From the result of a reverse pass to the columns of a request.
#ifndef COSTATE_ENGINE_ADJOINT_COLUMNS_H_
#define COSTATE_ENGINE_ADJOINT_COLUMNS_H_

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "engine/gradient_pass.h"
#include "engine/gradients/adjoint.h"
#include "engine/pass_values.h"

namespace costate {

// Adds to `adjoint` what acts through the output map and through initial values that were not
// given, and orders it: gradient [q] by the columns of wrt, times [K] if not empty.
absl::Status FillColumns(const PassInput& input, const StateLoss& loss, AdjointResult* adjoint,
                         absl::Span<double> gradient, absl::Span<double> times);

}  // namespace costate

#endif  // COSTATE_ENGINE_ADJOINT_COLUMNS_H_
