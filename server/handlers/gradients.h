// GradientService.
#ifndef COSTATE_SERVER_HANDLERS_GRADIENTS_H_
#define COSTATE_SERVER_HANDLERS_GRADIENTS_H_

#include "absl/status/statusor.h"
#include "costate/v1/gradient.pb.h"
#include "server/call.h"

namespace costate {

// Each checks and converts its request and returns the work left to do, which fills `response`.
// Request and response outlive that work.
absl::StatusOr<Work> ComputeGradient(CallContext& call, const v1::ComputeGradientRequest& request,
                                     v1::ComputeGradientResponse* response);
absl::StatusOr<Work> ComputeVjp(CallContext& call, const v1::ComputeVjpRequest& request,
                                v1::ComputeVjpResponse* response);
absl::StatusOr<Work> ComputeJvp(CallContext& call, const v1::ComputeJvpRequest& request,
                                v1::ComputeJvpResponse* response);
absl::StatusOr<Work> ComputeSensitivities(CallContext& call,
                                          const v1::ComputeSensitivitiesRequest& request,
                                          v1::ComputeSensitivitiesResponse* response);
absl::StatusOr<Work> ComputeHvp(CallContext& call, const v1::ComputeHvpRequest& request,
                                v1::ComputeHvpResponse* response);
absl::StatusOr<Work> CheckGradient(CallContext& call, const v1::CheckGradientRequest& request,
                                   v1::CheckGradientResponse* response);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_GRADIENTS_H_
