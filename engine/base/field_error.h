// Statuses that name the request field at fault.
//
//   return FieldError("options.rtol", absl::StrCat(rtol), "a finite number >= 0");
//
// The field path follows the names of the wire messages, dots between, [i] for elements.
#ifndef COSTATE_ENGINE_BASE_FIELD_ERROR_H_
#define COSTATE_ENGINE_BASE_FIELD_ERROR_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace costate {

// INVALID_ARGUMENT with the message "<field>: got <value>, expected <expected>".
absl::Status FieldError(std::string_view field, std::string_view value, std::string_view expected);

// Any code, with a free message; the field path is attached and prefixes the message.
absl::Status FieldStatus(absl::StatusCode code, std::string_view field, std::string_view message);

// The field path attached by one of the above, if any.
std::optional<std::string> FieldOf(const absl::Status& status);

// The same status with `prefix` (and a dot, unless the path starts with '[') put before its
// field path. A status without a field path is returned as it is.
absl::Status WithFieldPrefix(std::string_view prefix, const absl::Status& status);

}  // namespace costate

#endif  // COSTATE_ENGINE_BASE_FIELD_ERROR_H_
