#include "server/handlers/unimplemented.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace costate {
namespace {

constexpr char kJobs[] =
    "jobs are not in this version; call SolveService and GradientService directly, with a deadline "
    "as long as the work needs";

constexpr UnimplementedMethod kMethods[] = {
    {"costate.v1.JobService/CreateJob", kJobs},  {"costate.v1.JobService/GetJob", kJobs},
    {"costate.v1.JobService/ListJobs", kJobs},   {"costate.v1.JobService/WatchJob", kJobs},
    {"costate.v1.JobService/CancelJob", kJobs},  {"costate.v1.JobService/DeleteJob", kJobs},
    {"costate.v1.JobService/RequeueJob", kJobs},
};

}  // namespace

absl::Span<const UnimplementedMethod> UnimplementedMethods() { return kMethods; }

absl::Status UnimplementedStatus(std::string_view method) {
  for (const UnimplementedMethod& entry : kMethods) {
    if (method == entry.method) {
      return absl::UnimplementedError(absl::StrCat(entry.method, ": ", entry.instead));
    }
  }
  return absl::UnimplementedError(absl::StrCat(std::string(method), " is not in this version"));
}

}  // namespace costate
