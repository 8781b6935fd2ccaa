#include "server/grpc_status.h"

#include <string>

#include "absl/strings/match.h"
#include "engine/base/field_error.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/limits.h"

namespace costate {
namespace {

constexpr char kTypeUrlPrefix[] = "type.googleapis.com/";
constexpr char kRetryInfoUrl[] = "type.googleapis.com/google.rpc.RetryInfo";

std::string CutText(absl::string_view text, size_t max) {
  if (text.size() <= max) return std::string(text);
  constexpr absl::string_view kEllipsis = "...";
  size_t cut = max - kEllipsis.size();
  while (cut > 0 && (text[cut] & 0xC0) == 0x80) --cut;
  return std::string(text.substr(0, cut)) + std::string(kEllipsis);
}

// The message without the field path that starts it.
std::string Description(const std::string& message, const std::string& field) {
  if (!absl::StartsWith(message, field + ": ")) return message;
  return message.substr(field.size() + 2);
}

std::string Details(const absl::Status& status, const std::string& message) {
  google::rpc::Status details;
  if (const std::optional<std::string> field = FieldOf(status); field.has_value()) {
    google::rpc::BadRequest bad_request;
    google::rpc::BadRequest::FieldViolation* violation = bad_request.add_field_violations();
    violation->set_field(*field);
    constexpr size_t kMaxDescription = 200;
    violation->set_description(CutText(Description(message, *field), kMaxDescription));
    details.add_details()->PackFrom(bad_request);
  }
  status.ForEachPayload([&details](absl::string_view url, const absl::Cord& payload) {
    if (!absl::StartsWith(url, kTypeUrlPrefix)) return;
    google::protobuf::Any* any = details.add_details();
    any->set_type_url(std::string(url));
    any->set_value(std::string(payload));
  });
  if (details.details().empty()) return "";
  details.set_code(static_cast<int>(status.code()));
  constexpr size_t kMaxRepeated = 200;  // the full message has a trailer of its own
  details.set_message(CutText(message, kMaxRepeated));
  std::string bytes = details.SerializeAsString();
  return bytes.size() <= limits::kMaxStatusDetailBytes ? bytes : "";
}

}  // namespace

bool HidesMessage(const absl::Status& status) {
  return status.code() == absl::StatusCode::kInternal ||
         status.code() == absl::StatusCode::kUnknown ||
         status.code() == absl::StatusCode::kDataLoss;
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  if (HidesMessage(status)) {
    return grpc::Status(code, "internal error; the server's log has the details");
  }
  const std::string message = CutText(status.message(), limits::kMaxStatusMessageBytes);
  return grpc::Status(code, message, Details(status, message));
}

std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRetryInfoUrl);
  google::rpc::RetryInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return std::nullopt;
  return absl::Seconds(info.retry_delay().seconds()) +
         absl::Nanoseconds(info.retry_delay().nanos());
}

}  // namespace costate
