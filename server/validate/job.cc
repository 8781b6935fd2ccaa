#include "server/validate/job.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "server/limits.h"
#include "server/validate/array.h"
#include "server/validate/simulation.h"

namespace costate {
namespace {

int64_t NumCharacters(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; });
}

absl::Status ValidateKey(const std::string& key) {
  const int64_t characters = NumCharacters(key);
  if (characters <= limits::kMaxIdempotencyKeyCharacters) return absl::OkStatus();
  return FieldError("idempotency_key", absl::StrCat(characters, " characters"),
                    absl::StrCat("at most ", limits::kMaxIdempotencyKeyCharacters));
}

absl::Status ValidateDisplayName(const std::string& field, const std::string& name) {
  const int64_t length = static_cast<int64_t>(name.size());
  if (length <= limits::kMaxDisplayNameBytes) return absl::OkStatus();
  return FieldError(field, absl::StrCat(length, " bytes"),
                    absl::StrCat("at most ", limits::kMaxDisplayNameBytes));
}

absl::Status ValidateRetention(const google::protobuf::Duration& retention) {
  RETURN_IF_ERROR(ValidatePositiveDuration("spec.retention", retention));
  if (absl::Seconds(retention.seconds()) <= limits::kMaxJobRetention) return absl::OkStatus();
  return FieldError("spec.retention", absl::StrCat(retention.seconds(), " s"),
                    absl::StrCat("at most ", absl::FormatDuration(limits::kMaxJobRetention)));
}

// Fields of the oneof.
bool IsKind(const std::string& name) {
  const google::protobuf::OneofDescriptor* request =
      v1::JobSpec::descriptor()->FindOneofByName("request");
  for (int i = 0; i < request->field_count(); ++i) {
    if (request->field(i)->name() == name) return true;
  }
  return false;
}

}  // namespace

absl::Status ValidateJobName(const std::string& field, const std::string& name) {
  constexpr absl::string_view kPrefix = "jobs/";
  constexpr size_t kDigits = 32;
  constexpr size_t kQuoted = 64;
  const bool right = name.size() == kPrefix.size() + kDigits && absl::StartsWith(name, kPrefix) &&
                     std::all_of(name.begin() + kPrefix.size(), name.end(), [](char c) {
                       return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                     });
  if (right) return absl::OkStatus();
  if (name.empty()) return FieldStatus(absl::StatusCode::kInvalidArgument, field, "missing");
  return FieldError(field, absl::StrCat("\"", absl::CHexEscape(name.substr(0, kQuoted)), "\""),
                    "jobs/ and 32 hex digits, as CreateJob returned it");
}

absl::Status ValidateCreateJobRequest(const v1::CreateJobRequest& request) {
  const v1::JobSpec& spec = request.spec();
  if (spec.request_case() == v1::JobSpec::REQUEST_NOT_SET) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, "spec.request",
                       "missing; set fit, solve, gradient or another request to run");
  }
  RETURN_IF_ERROR(ValidateKey(request.idempotency_key()));
  if (spec.priority() < -limits::kMaxJobPriority || spec.priority() > limits::kMaxJobPriority) {
    return FieldError("spec.priority", absl::StrCat(spec.priority()),
                      absl::StrCat("an integer from ", -limits::kMaxJobPriority, " to ",
                                   limits::kMaxJobPriority));
  }
  RETURN_IF_ERROR(ValidateDisplayName("spec.display_name", spec.display_name()));
  return spec.has_retention() ? ValidateRetention(spec.retention()) : absl::OkStatus();
}

absl::Status ValidateJobDeadline(const v1::JobSpec& spec, absl::Time now) {
  if (!spec.has_deadline()) return absl::OkStatus();
  constexpr int64_t kLast = 253'402'300'799;  // of google.protobuf.Timestamp
  const google::protobuf::Timestamp& deadline = spec.deadline();
  const bool valid = deadline.seconds() >= 0 && deadline.seconds() <= kLast &&
                     deadline.nanos() >= 0 && deadline.nanos() <= 999'999'999;
  if (valid &&
      absl::FromUnixSeconds(deadline.seconds()) + absl::Nanoseconds(deadline.nanos()) > now) {
    return absl::OkStatus();
  }
  return FieldError("spec.deadline",
                    absl::StrCat(deadline.seconds(), " s, ", deadline.nanos(), " ns"),
                    "a time that has not passed");
}

absl::Status ValidateListJobsRequest(const v1::ListJobsRequest& request) {
  if (request.page_size() < 0 || request.page_size() > limits::kMaxPageSize) {
    return FieldError("page_size", absl::StrCat(request.page_size()),
                      absl::StrCat("1 to ", limits::kMaxPageSize, ", or unset"));
  }
  constexpr int64_t kMaxFilters = 64;
  RETURN_IF_ERROR(ValidateCount("states", request.states_size(), kMaxFilters));
  for (int i = 0; i < request.states_size(); ++i) {
    const int state = request.states(i);
    if (v1::Job::State_IsValid(state) && state != v1::Job::STATE_UNSPECIFIED) continue;
    return FieldError(absl::StrCat("states[", i, "]"), absl::StrCat(state),
                      "a state this server knows");
  }
  RETURN_IF_ERROR(ValidateCount("kinds", request.kinds_size(), kMaxFilters));
  for (int i = 0; i < request.kinds_size(); ++i) {
    if (IsKind(request.kinds(i))) continue;
    return FieldError(absl::StrCat("kinds[", i, "]"),
                      absl::StrCat("\"", absl::CHexEscape(request.kinds(i).substr(0, 64)), "\""),
                      "a request that JobSpec has, such as \"fit\"");
  }
  return ValidateDisplayName("display_name_contains", request.display_name_contains());
}

absl::Status ValidateWatchJobRequest(const v1::WatchJobRequest& request) {
  RETURN_IF_ERROR(ValidateJobName("name", request.name()));
  if (request.from_sequence() >= 0) return absl::OkStatus();
  return FieldError("from_sequence", absl::StrCat(request.from_sequence()), "1 or more, or unset");
}

}  // namespace costate
