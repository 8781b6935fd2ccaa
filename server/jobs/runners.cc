#include "server/jobs/runners.h"

#include "absl/strings/str_cat.h"
#include "server/environment.h"

namespace costate::jobs {

JobRunner* RunnerOf(const v1::JobSpec& spec) {
  switch (spec.request_case()) {
    case v1::JobSpec::kFit:
      return FitRunner();
    case v1::JobSpec::kProfile:
      return ProfileRunner();
    case v1::JobSpec::kSolve:
    case v1::JobSpec::kGradient:
    case v1::JobSpec::kStabilityRegion:
    case v1::JobSpec::kSensitivities:
    case v1::JobSpec::kVjp:
    case v1::JobSpec::kJvp:
    case v1::JobSpec::kHvp:
    case v1::JobSpec::kCheckGradient:
    case v1::JobSpec::kStability:
      return CallRunnerOf(spec);
    case v1::JobSpec::REQUEST_NOT_SET:
      break;
  }
  return nullptr;
}

int64_t MaxResultBytes(const Environment& environment) {
  constexpr int64_t kRest = int64_t{64} << 10;  // of the job around its result
  return environment.options().max_message_bytes - kRest;
}

absl::Status CheckResultFits(const Environment& environment, int64_t bytes) {
  const int64_t most = MaxResultBytes(environment);
  if (bytes <= most) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the result would have ", bytes, " bytes, the answer of GetJob holds at most ", most,
      "; ask for less in one job: fewer starts, points, saved times or columns"));
}

}  // namespace costate::jobs
