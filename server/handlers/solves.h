// SolveService.
#ifndef COSTATE_SERVER_HANDLERS_SOLVES_H_
#define COSTATE_SERVER_HANDLERS_SOLVES_H_

#include "absl/status/statusor.h"
#include "costate/v1/solve.pb.h"
#include "server/call.h"
#include "server/handlers/response_stream.h"

namespace costate {

// Each checks and converts its request and returns the work left to do, which fills `response` or
// writes to `stream`. Request, response and stream outlive that work.
absl::StatusOr<Work> Solve(CallContext& call, const v1::SolveRequest& request,
                           v1::SolveResponse* response);
absl::StatusOr<Work> StreamSolve(CallContext& call, const v1::StreamSolveRequest& request,
                                 ResponseStream<v1::StreamSolveResponse>* stream);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_SOLVES_H_
