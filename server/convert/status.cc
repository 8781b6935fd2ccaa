#include "server/convert/status.h"

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "engine/base/field_error.h"
#include "google/rpc/error_details.pb.h"
#include "server/limits.h"

namespace costate {
namespace {

constexpr char kTypeUrlPrefix[] = "type.googleapis.com/";
constexpr char kRetryInfoUrl[] = "type.googleapis.com/google.rpc.RetryInfo";

// The message without the field path that starts it.
std::string Description(const std::string& message, const std::string& field) {
  if (!absl::StartsWith(message, field + ": ")) return message;
  return message.substr(field.size() + 2);
}

}  // namespace

std::string CutText(absl::string_view text, size_t max) {
  if (text.size() <= max) return std::string(text);
  constexpr absl::string_view kEllipsis = "...";
  size_t cut = max - kEllipsis.size();
  while (cut > 0 && (text[cut] & 0xC0) == 0x80) --cut;
  return std::string(text.substr(0, cut)) + std::string(kEllipsis);
}

std::string SentMessage(const absl::Status& status) {
  return CutText(status.message(), limits::kMaxStatusMessageBytes);
}

google::rpc::Status StatusToProto(const absl::Status& status) {
  google::rpc::Status proto;
  const std::string message = SentMessage(status);
  if (const std::optional<std::string> field = FieldOf(status); field.has_value()) {
    google::rpc::BadRequest bad_request;
    google::rpc::BadRequest::FieldViolation* violation = bad_request.add_field_violations();
    violation->set_field(*field);
    constexpr size_t kMaxDescription = 200;
    violation->set_description(CutText(Description(message, *field), kMaxDescription));
    proto.add_details()->PackFrom(bad_request);
  }
  status.ForEachPayload([&proto](absl::string_view url, const absl::Cord& payload) {
    if (!absl::StartsWith(url, kTypeUrlPrefix)) return;
    google::protobuf::Any* any = proto.add_details();
    any->set_type_url(std::string(url));
    any->set_value(std::string(payload));
  });
  proto.set_code(static_cast<int>(status.code()));
  if (proto.ByteSizeLong() > static_cast<size_t>(limits::kMaxStatusDetailBytes)) {
    proto.clear_details();
  }
  proto.set_message(message);
  return proto;
}

std::optional<absl::Duration> RetryDelay(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRetryInfoUrl);
  google::rpc::RetryInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) return std::nullopt;
  return absl::Seconds(info.retry_delay().seconds()) +
         absl::Nanoseconds(info.retry_delay().nanos());
}

bool HidesMessage(const absl::Status& status) {
  return status.code() == absl::StatusCode::kInternal ||
         status.code() == absl::StatusCode::kUnknown ||
         status.code() == absl::StatusCode::kDataLoss;
}

absl::Status WithHiddenMessage(const absl::Status& status) {
  return absl::Status(status.code(), "internal error; the server's log has the details");
}

}  // namespace costate
