// Statuses as messages, with standard details: for answers and for errors of jobs.
#ifndef COSTATE_SERVER_CONVERT_STATUS_H_
#define COSTATE_SERVER_CONVERT_STATUS_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/rpc/status.pb.h"

namespace costate {

// Code, message and details: a google.rpc.BadRequest for a status that names a field, and every
// payload whose name is a type URL: RetryInfo, ModelIssues. Details are left out when they pass
// limits::kMaxStatusDetailBytes.
google::rpc::Status StatusToProto(const absl::Status& status);

// At most `max` bytes, cut between characters, with an ellipsis where something is missing.
std::string CutText(absl::string_view text, size_t max);

// The message as it is sent: cut to limits::kMaxStatusMessageBytes, between characters.
std::string SentMessage(const absl::Status& status);

// What a RetryInfo payload says.
std::optional<absl::Duration> RetryDelay(const absl::Status& status);

// Whether the text of such a status is kept from clients: that of INTERNAL, UNKNOWN and DATA_LOSS
// speaks of the server's inside.
bool HidesMessage(const absl::Status& status);

// The code, with words for clients and nothing else.
absl::Status WithHiddenMessage(const absl::Status& status);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_STATUS_H_
