// Regions and analyses of stability between wire and engine.
#ifndef COSTATE_SERVER_CONVERT_STABILITY_H_
#define COSTATE_SERVER_CONVERT_STABILITY_H_

#include "costate/v1/stability.pb.h"
#include "engine/analyze_stability.h"
#include "engine/stability/region.h"
#include "server/convert/solve.h"

namespace costate {

// Validated before.
Scheme SchemeFromProto(const v1::StabilityMethod& proto);
void SchemeToProto(const Scheme& scheme, v1::StabilityMethod* proto);

stability::RegionRequest RegionRequestFromProto(const v1::ComputeStabilityRegionRequest& proto);
// With the raster where there is one.
void RegionToProto(const stability::RegionRequest& request, const stability::Region& region,
                   v1::ComputeStabilityRegionResponse* proto);

// Everything but model and timing.
void StabilityResultToProto(const StabilityResult& result, const ModelInWords& words,
                            v1::AnalyzeStabilityResponse* proto);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_STABILITY_H_
