// StabilityService.
#ifndef COSTATE_SERVER_HANDLERS_STABILITY_H_
#define COSTATE_SERVER_HANDLERS_STABILITY_H_

#include "absl/status/statusor.h"
#include "costate/v1/stability.pb.h"
#include "server/call.h"
#include "server/handlers/response_stream.h"

namespace costate {

// Each checks and converts its request and returns the work left to do. Request and response
// outlive that work.
absl::StatusOr<Work> ComputeStabilityRegion(CallContext& call,
                                            const v1::ComputeStabilityRegionRequest& request,
                                            v1::ComputeStabilityRegionResponse* response);
absl::StatusOr<Work> StreamStabilityRegion(
    CallContext& call, const v1::StreamStabilityRegionRequest& request,
    ResponseStream<v1::StreamStabilityRegionResponse>* stream);
absl::StatusOr<Work> AnalyzeStability(CallContext& call, const v1::AnalyzeStabilityRequest& request,
                                      v1::AnalyzeStabilityResponse* response);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_STABILITY_H_
