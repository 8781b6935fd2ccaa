// absl::Status to grpc::Status, with standard details.
#ifndef COSTATE_SERVER_GRPC_STATUS_H_
#define COSTATE_SERVER_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "server/convert/status.h"

namespace costate {

// The code stays; message and details are those of StatusToProto, or none where the message is
// hidden from clients.
grpc::Status ToGrpcStatus(const absl::Status& status);

}  // namespace costate

#endif  // COSTATE_SERVER_GRPC_STATUS_H_
