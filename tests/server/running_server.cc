#include "tests/server/running_server.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace costate {

Log::Sink KeptLines::Sink() {
  return [this](std::string_view line) {
    const std::lock_guard<std::mutex> lock(mutex_);
    lines_.emplace_back(line);
  };
}

std::vector<std::string> KeptLines::lines() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return lines_;
}

ServerOptions TestServerOptions() {
  ServerOptions options;
  options.address = "127.0.0.1:0";
  options.environment.pool.threads = 2;
  options.environment.pool.interactive_threads = 1;
  return options;
}

RunningServer::RunningServer(const ServerOptions& options) : log_(LogLevel::kDebug, lines_.Sink()) {
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options, log_);
  if (!server.ok()) {
    std::fprintf(stderr, "%s\n", server.status().ToString().c_str());
    std::abort();
  }
  server_ = *std::move(server);
  channel_ = NewChannel();
  models_ = v1::ModelService::NewStub(channel_);
  solves_ = v1::SolveService::NewStub(channel_);
  gradients_ = v1::GradientService::NewStub(channel_);
  jobs_ = v1::JobService::NewStub(channel_);
  info_ = v1::ServerService::NewStub(channel_);
}

std::string RunningServer::address() const { return absl::StrCat("127.0.0.1:", server_->port()); }

std::shared_ptr<grpc::Channel> RunningServer::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(256 << 20);
  arguments.SetMaxSendMessageSize(256 << 20);
  // A connection of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(address(), grpc::InsecureChannelCredentials(), arguments);
}

std::string ProblemText(const std::string& name) {
  std::ifstream file(absl::StrCat(COSTATE_SOURCE_DIR, "/tests/problems/", name, ".ode"));
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::string> ViolatedFields(const grpc::Status& status) {
  google::rpc::Status details;
  std::vector<std::string> fields;
  if (!details.ParseFromString(status.error_details())) return fields;
  for (const google::protobuf::Any& any : details.details()) {
    google::rpc::BadRequest bad_request;
    if (!any.UnpackTo(&bad_request)) continue;
    for (const auto& violation : bad_request.field_violations()) {
      fields.push_back(violation.field());
    }
  }
  return fields;
}

}  // namespace costate
