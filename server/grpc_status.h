// absl::Status to grpc::Status, with standard details.
#ifndef COSTATE_SERVER_GRPC_STATUS_H_
#define COSTATE_SERVER_GRPC_STATUS_H_

#include <optional>

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace costate {

// The code stays. The message is cut to limits::kMaxStatusMessageBytes, between characters; that
// of INTERNAL, UNKNOWN and DATA_LOSS is replaced, since it speaks of the server's inside. Details
// (a google.rpc.Status) are a google.rpc.BadRequest for a status that names a field, and every
// payload whose name is a type URL: RetryInfo, ModelIssues. They are left out when they pass
// limits::kMaxStatusDetailBytes.
grpc::Status ToGrpcStatus(const absl::Status& status);

// What a RetryInfo payload says.
std::optional<absl::Duration> RetryDelay(const absl::Status& status);

// Whether the text of such a status is kept from clients.
bool HidesMessage(const absl::Status& status);

}  // namespace costate

#endif  // COSTATE_SERVER_GRPC_STATUS_H_
