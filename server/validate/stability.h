// Judges requests about stability.
#ifndef COSTATE_SERVER_VALIDATE_STABILITY_H_
#define COSTATE_SERVER_VALIDATE_STABILITY_H_

#include "absl/status/status.h"
#include "costate/v1/stability.pb.h"

namespace costate {

// INVALID_ARGUMENT for what is missing, unknown or does not belong together. Ranges of coupling,
// eta, window and samples are the engine's to judge (stability/region.h).
absl::Status ValidateComputeStabilityRegionRequest(
    const v1::ComputeStabilityRegionRequest& request);
absl::Status ValidateStreamStabilityRegionRequest(const v1::StreamStabilityRegionRequest& request);
absl::Status ValidateAnalyzeStabilityRequest(const v1::AnalyzeStabilityRequest& request);

}  // namespace costate

#endif  // COSTATE_SERVER_VALIDATE_STABILITY_H_
