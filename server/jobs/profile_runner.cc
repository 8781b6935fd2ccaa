#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/base/stop_source.h"
#include "engine/fit/fit.h"
#include "server/convert/array.h"
#include "server/convert/fit.h"
#include "server/convert/job.h"
#include "server/environment.h"
#include "server/jobs/prepared_fit.h"
#include "server/jobs/runners.h"
#include "server/validate/fit.h"

namespace costate::jobs {
namespace {

constexpr char kField[] = "profile";

// The elements asked for, by index.
absl::StatusOr<std::vector<int64_t>> Elements(const v1::ProfileRequest& request,
                                              const fit::Objective& objective) {
  std::vector<int64_t> elements;
  absl::flat_hash_map<std::string, int64_t> indices;
  for (const fit::FreeElement& element : objective.elements()) {
    const int64_t index = static_cast<int64_t>(indices.size());
    indices[element.name] = index;
    if (request.names().empty()) elements.push_back(index);
  }
  for (int i = 0; i < request.names_size(); ++i) {
    const auto found = indices.find(request.names(i));
    if (found == indices.end()) {
      return FieldStatus(absl::StatusCode::kInvalidArgument, absl::StrCat("names[", i, "]"),
                         absl::StrCat("'", request.names(i),
                                      "' is no free element of the fit (see FitResult.names)"));
    }
    elements.push_back(found->second);
  }
  if (static_cast<int64_t>(elements.size()) <= limits::kMaxProfiles) return elements;
  return FieldError("names", absl::StrCat("all ", elements.size()),
                    absl::StrCat("at most ", limits::kMaxProfiles));
}

absl::Status CheckBest(const std::vector<double>& best, const fit::Objective& objective) {
  const std::vector<fit::FreeElement>& elements = objective.elements();
  if (best.size() != elements.size()) {
    return FieldError("best", absl::StrCat(best.size(), " values"),
                      absl::StrCat(elements.size(), ", one for each free element"));
  }
  for (size_t i = 0; i < best.size(); ++i) {
    if (best[i] >= elements[i].lower && best[i] <= elements[i].upper) continue;
    return FieldError(absl::StrCat("best[", i, "]"), absl::StrCat(best[i]),
                      absl::StrCat(elements[i].lower, " to ", elements[i].upper,
                                   ", the bounds of '", elements[i].name, "'"));
  }
  return absl::OkStatus();
}

class ProfileRunnerImpl final : public JobRunner {
 public:
  absl::StatusOr<JobPlan> Plan(Environment& environment, const v1::JobSpec& spec,
                               const Cancellation& cancellation) override {
    RETURN_IF_ERROR(ValidateProfileRequest(kField, spec.profile()));
    CallRecord record;
    CallContext call{environment, cancellation, record};
    ASSIGN_OR_RETURN(const Prepared prepared, Prepare(call, spec));
    JobPlan plan;
    plan.num_tasks = static_cast<int64_t>(prepared.elements.size());
    constexpr double kRefit = 0.2;  // of a fit from afar
    plan.cost = prepared.fit.cost_per_start * kRefit * static_cast<double>(plan.num_tasks) *
                static_cast<double>(2 * prepared.options.max_points);
    return plan;
  }

  absl::StatusOr<std::string> Run(TaskContext& task, const v1::JobSpec& spec) override {
    CallContext call{task.environment(), task.cancellation(), task.record()};
    ASSIGN_OR_RETURN(const Prepared prepared, Prepare(call, spec));
    RETURN_IF_ERROR(task.TakeMemory(static_cast<int64_t>(prepared.fit.bytes_per_start)));
    const StepMeter steps(task.environment().metrics(), *prepared.fit.objective);
    const StopSource stop{&task.cancellation()};
    absl::StatusOr<fit::Profile> profile = fit::ComputeProfile(
        *prepared.fit.objective, prepared.fit.options, ValuesFromProto(spec.profile().best()),
        prepared.elements[static_cast<size_t>(task.task())], prepared.options, stop,
        task.workers());
    if (!profile.ok()) return WithFieldPrefix(kField, profile.status());
    v1::Profile proto;
    ProfileToProto(*profile, &proto);
    // Each may take its share, so that all of them fit into the answer.
    RETURN_IF_ERROR(CheckResultFits(task.environment(),
                                    static_cast<int64_t>(proto.ByteSizeLong()) * task.num_tasks()));
    return StableBytes(proto);
  }

  absl::Status FillResult(const v1::JobSpec& spec, std::vector<TaskResult> results,
                          v1::JobResult* result) override {
    static_cast<void>(spec);
    for (const TaskResult& task : results) {
      if (result->mutable_profile()->add_profiles()->ParseFromString(task.bytes)) continue;
      return absl::DataLossError("the result of a profile is damaged");
    }
    return absl::OkStatus();
  }

 private:
  struct Prepared {
    PreparedFit fit;
    std::vector<int64_t> elements;
    fit::ProfileOptions options;
  };

  static absl::StatusOr<Prepared> Prepare(CallContext& call, const v1::JobSpec& spec) {
    const v1::ProfileRequest& request = spec.profile();
    Prepared prepared;
    ASSIGN_OR_RETURN(prepared.fit, PrepareFit(call, absl::StrCat(kField, ".fit"), request.fit()));
    prepared.options = ProfileOptionsFromProto(request);
    const fit::Objective& objective = *prepared.fit.objective;
    RETURN_IF_ERROR(WithFieldPrefix(kField, CheckBest(ValuesFromProto(request.best()), objective)));
    absl::StatusOr<std::vector<int64_t>> elements = Elements(request, objective);
    if (!elements.ok()) return WithFieldPrefix(kField, elements.status());
    prepared.elements = *std::move(elements);
    return prepared;
  }
};

}  // namespace

JobRunner* ProfileRunner() {
  static ProfileRunnerImpl runner;
  return &runner;
}

}  // namespace costate::jobs
