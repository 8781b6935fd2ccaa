// ServerService.
#ifndef COSTATE_SERVER_HANDLERS_SERVER_INFO_H_
#define COSTATE_SERVER_HANDLERS_SERVER_INFO_H_

#include "absl/status/status.h"
#include "costate/v1/server.pb.h"
#include "server/call.h"

namespace costate {

absl::Status GetServerInfo(CallContext& call, const v1::GetServerInfoRequest& request,
                           v1::GetServerInfoResponse* response);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_SERVER_INFO_H_
