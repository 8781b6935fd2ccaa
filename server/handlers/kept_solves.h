// Solves that are kept, and the calls that differentiate them.
#ifndef COSTATE_SERVER_HANDLERS_KEPT_SOLVES_H_
#define COSTATE_SERVER_HANDLERS_KEPT_SOLVES_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "costate/v1/gradient.pb.h"
#include "server/call.h"

namespace costate {

// As the handlers in gradients.h.
absl::StatusOr<Work> KeepSolve(CallContext& call, const v1::KeepSolveRequest& request,
                               v1::KeepSolveResponse* response);
absl::Status ReleaseSolve(CallContext& call, const v1::ReleaseSolveRequest& request,
                          v1::ReleaseSolveResponse* response);

// ComputeGradient and ComputeVjp of a kept solve; `request` is valid and names one.
absl::StatusOr<Work> ComputeKeptGradient(CallContext& call,
                                         const v1::ComputeGradientRequest& request,
                                         v1::ComputeGradientResponse* response);
absl::StatusOr<Work> ComputeKeptVjp(CallContext& call, const v1::ComputeVjpRequest& request,
                                    v1::ComputeVjpResponse* response);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_KEPT_SOLVES_H_
