#include "server/grpc_status.h"

#include <string>

#include "google/rpc/status.pb.h"
#include "server/limits.h"

namespace costate {

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const auto code = static_cast<grpc::StatusCode>(status.code());
  if (HidesMessage(status)) {
    return grpc::Status(code, std::string(WithHiddenMessage(status).message()));
  }
  google::rpc::Status details = StatusToProto(status);
  const std::string message = details.message();
  if (details.details().empty()) return grpc::Status(code, message);
  constexpr size_t kMaxRepeated = 200;  // the full message has a trailer of its own
  details.set_message(CutText(message, kMaxRepeated));
  std::string bytes = details.SerializeAsString();
  if (bytes.size() > static_cast<size_t>(limits::kMaxStatusDetailBytes)) bytes.clear();
  return grpc::Status(code, message, bytes);
}

}  // namespace costate
