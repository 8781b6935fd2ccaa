#include "engine/base/field_error.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"

namespace costate {
namespace {

constexpr char kFieldPayload[] = "costate.v1/field";

}  // namespace

absl::Status FieldError(std::string_view field, std::string_view value, std::string_view expected) {
  return FieldStatus(
      absl::StatusCode::kInvalidArgument, field,
      absl::StrCat("got ", std::string(value), ", expected ", std::string(expected)));
}

absl::Status FieldStatus(absl::StatusCode code, std::string_view field, std::string_view message) {
  absl::Status status(code, absl::StrCat(std::string(field), ": ", std::string(message)));
  status.SetPayload(kFieldPayload, absl::Cord(std::string(field)));
  return status;
}

std::optional<std::string> FieldOf(const absl::Status& status) {
  absl::optional<absl::Cord> field = status.GetPayload(kFieldPayload);
  if (!field.has_value()) return std::nullopt;
  return std::string(*field);
}

absl::Status WithFieldPrefix(std::string_view prefix, const absl::Status& status) {
  const std::optional<std::string> field = FieldOf(status);
  if (!field.has_value()) return status;
  const bool element = !field->empty() && field->front() == '[';
  const std::string path = absl::StrCat(std::string(prefix), element ? "" : ".", *field);
  std::string message(status.message());
  if (message.rfind(*field, 0) == 0) message = path + message.substr(field->size());
  absl::Status prefixed(status.code(), message);
  status.ForEachPayload([&prefixed](absl::string_view url, const absl::Cord& payload) {
    prefixed.SetPayload(url, payload);
  });
  prefixed.SetPayload(kFieldPayload, absl::Cord(path));
  return prefixed;
}

}  // namespace costate
