// Judges requests for derivatives.
#ifndef COSTATE_SERVER_VALIDATE_GRADIENTS_H_
#define COSTATE_SERVER_VALIDATE_GRADIENTS_H_

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "costate/v1/gradient.pb.h"

namespace costate {

// INVALID_ARGUMENT for anything missing, out of range or too large; UNIMPLEMENTED for a gradient
// method that is declared but not built, naming what to take instead.
absl::Status ValidateComputeGradientRequest(const v1::ComputeGradientRequest& request);
absl::Status ValidateComputeVjpRequest(const v1::ComputeVjpRequest& request);
absl::Status ValidateComputeJvpRequest(const v1::ComputeJvpRequest& request);
absl::Status ValidateComputeSensitivitiesRequest(const v1::ComputeSensitivitiesRequest& request);
absl::Status ValidateComputeHvpRequest(const v1::ComputeHvpRequest& request);
absl::Status ValidateCheckGradientRequest(const v1::CheckGradientRequest& request);

// A lifetime above `max_keep_time` is refused.
absl::Status ValidateKeepSolveRequest(const v1::KeepSolveRequest& request,
                                      absl::Duration max_keep_time);
absl::Status ValidateReleaseSolveRequest(const v1::ReleaseSolveRequest& request);

}  // namespace costate

#endif  // COSTATE_SERVER_VALIDATE_GRADIENTS_H_
