#include "server/handlers/stability.h"

#include <memory>
#include <utility>

#include "absl/time/clock.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/base/stop_source.h"
#include "server/convert/array.h"
#include "server/convert/simulation.h"
#include "server/convert/solve.h"
#include "server/convert/stability.h"
#include "server/environment.h"
#include "server/handlers/answer.h"
#include "server/handlers/memory_estimate.h"
#include "server/handlers/resolve_model.h"
#include "server/validate/stability.h"

namespace costate {
namespace {

// The boundary of a region: a few ten thousand points.
constexpr double kBoundaryBytes = 4e6;

double RasterBytes(const stability::RegionRequest& request) {
  return 8.0 * static_cast<double>(request.real_points) * static_cast<double>(request.imag_points);
}

absl::StatusOr<stability::Region> RunRegion(CallContext& call,
                                            const stability::RegionRequest& request,
                                            const stability::RasterSink* sink) {
  const absl::Time start = absl::Now();
  absl::StatusOr<stability::Region> region =
      stability::ComputeRegion(request, StopSource{&call.cancellation}, sink);
  call.record.engine += absl::Now() - start;
  return region;
}

absl::Status FinishRegion(CallContext& call, const stability::RegionRequest& request,
                          v1::ComputeStabilityRegionResponse* response) {
  ASSIGN_OR_RETURN(const stability::Region region, RunRegion(call, request, nullptr));
  RegionToProto(request, region, response);
  return CheckAnswerFits(call, static_cast<double>(response->ByteSizeLong()),
                         "ask for fewer samples");
}

absl::Status FinishRegionStream(CallContext& call, const stability::RegionRequest& request,
                                ResponseStream<v1::StreamStabilityRegionResponse>* stream) {
  const stability::RasterSink sink = [&](int64_t first, absl::Span<const double> values) {
    v1::StreamStabilityRegionResponse message;
    v1::RasterRows* rows = message.mutable_rows();
    rows->set_first_row(first);
    const int64_t width = request.real_points;
    ArrayToProto(values, {static_cast<int64_t>(values.size()) / width, width},
                 rows->mutable_spectral_radius());
    return stream->Write(message);
  };
  ASSIGN_OR_RETURN(const stability::Region region, RunRegion(call, request, &sink));
  v1::StreamStabilityRegionResponse message;
  RegionToProto(request, region, message.mutable_summary());
  return stream->Write(message);
}

absl::Status FinishAnalysis(CallContext& call, const StabilityRequest& request,
                            const ModelEntryPtr& entry, v1::AnalyzeStabilityResponse* response) {
  absl::StatusOr<StabilityResult> result =
      call.environment.engine().AnalyzeStability(request, &call.cancellation);
  if (!result.ok()) return InRequestWords(result.status());
  RETURN_IF_ERROR(EndOfEngine(call, ReportOf(*result)));
  StabilityResultToProto(*result, {*entry->model, entry->text}, response);
  response->set_model(entry->model->resource_name());
  TimingToProto(call, response->mutable_timing());
  return CheckAnswerFits(call, static_cast<double>(response->ByteSizeLong()),
                         "ask for fewer points or eigenvalues");
}

}  // namespace

absl::StatusOr<Work> ComputeStabilityRegion(CallContext& call,
                                            const v1::ComputeStabilityRegionRequest& request,
                                            v1::ComputeStabilityRegionResponse* response) {
  RETURN_IF_ERROR(ValidateComputeStabilityRegionRequest(request));
  const stability::RegionRequest region = RegionRequestFromProto(request);
  RETURN_IF_ERROR(stability::ValidateRegion(region));
  const double raster = region.want_raster ? RasterBytes(region) : 0;
  RETURN_IF_ERROR(CheckAnswerFits(call, raster,
                                  "ask for fewer samples, or use StreamStabilityRegion, which has "
                                  "no such limit"));
  return Work{stability::EstimateRegionCost(region),
              [&call, region, response] { return FinishRegion(call, region, response); },
              static_cast<int64_t>(kBoundaryBytes + 2 * raster)};
}

absl::StatusOr<Work> StreamStabilityRegion(
    CallContext& call, const v1::StreamStabilityRegionRequest& request,
    ResponseStream<v1::StreamStabilityRegionResponse>* stream) {
  RETURN_IF_ERROR(ValidateStreamStabilityRegionRequest(request));
  stability::RegionRequest region = RegionRequestFromProto(request.region());
  region.want_raster = true;
  RETURN_IF_ERROR(WithFieldPrefix("region", stability::ValidateRegion(region)));
  return Work{stability::EstimateRegionCost(region),
              [&call, region, stream] { return FinishRegionStream(call, region, stream); },
              static_cast<int64_t>(kBoundaryBytes)};
}

absl::StatusOr<Work> AnalyzeStability(CallContext& call, const v1::AnalyzeStabilityRequest& request,
                                      v1::AnalyzeStabilityResponse* response) {
  RETURN_IF_ERROR(ValidateAnalyzeStabilityRequest(request));
  ASSIGN_OR_RETURN(ResolvedModel model,
                   ResolveModel(call, "simulation.model", request.simulation().model()));
  auto analysis = std::make_shared<StabilityRequest>();
  analysis->simulation = SimulationFromProto(request.simulation(), model.entry->model);
  if (request.has_method()) analysis->scheme = SchemeFromProto(request.method());
  analysis->num_eigenvalues = request.num_eigenvalues();
  analysis->num_points = request.num_points();
  const double cost = model.compile_cost + Engine::EstimateCost(analysis->simulation, 0) +
                      EstimateSpectrumCost(*analysis);
  const int64_t bytes = EstimateSolveBytes({analysis->simulation, false}, true, 0) +
                        static_cast<int64_t>(EstimateSpectrumBytes(*analysis));
  return Work{cost,
              [&call, analysis, entry = std::move(model.entry), response] {
                return FinishAnalysis(call, *analysis, entry, response);
              },
              bytes};
}

}  // namespace costate
