// A whole server in the test process, on a free loopback port, with its logs kept.
#ifndef COSTATE_TESTS_SERVER_RUNNING_SERVER_H_
#define COSTATE_TESTS_SERVER_RUNNING_SERVER_H_

#include <grpcpp/grpcpp.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "costate/v1/gradient.grpc.pb.h"
#include "costate/v1/job.grpc.pb.h"
#include "costate/v1/model.grpc.pb.h"
#include "costate/v1/server.grpc.pb.h"
#include "costate/v1/solve.grpc.pb.h"
#include "costate/v1/stability.grpc.pb.h"
#include "server/log.h"
#include "server/server.h"

namespace costate {

// Lines of a log. Thread-safe.
class KeptLines {
 public:
  Log::Sink Sink();
  std::vector<std::string> lines() const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

// Two threads, one of them reserved; kernels are cached in memory only; no jobs are kept.
ServerOptions TestServerOptions();

class RunningServer {
 public:
  explicit RunningServer(const ServerOptions& options = TestServerOptions());

  Server& server() { return *server_; }
  Environment& environment() { return server_->environment(); }
  std::string address() const;  // "127.0.0.1:port"
  std::vector<std::string> log_lines() const { return lines_.lines(); }

  // With a message limit that fits the server's.
  std::shared_ptr<grpc::Channel> NewChannel() const;
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }

  v1::ModelService::Stub& models() { return *models_; }
  v1::SolveService::Stub& solves() { return *solves_; }
  v1::GradientService::Stub& gradients() { return *gradients_; }
  v1::JobService::Stub& jobs() { return *jobs_; }
  v1::ServerService::Stub& info() { return *info_; }

 private:
  KeptLines lines_;
  Log log_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::ModelService::Stub> models_;
  std::unique_ptr<v1::SolveService::Stub> solves_;
  std::unique_ptr<v1::GradientService::Stub> gradients_;
  std::unique_ptr<v1::JobService::Stub> jobs_;
  std::unique_ptr<v1::ServerService::Stub> info_;
};

// The text of tests/problems/<name>.ode.
std::string ProblemText(const std::string& name);

// Field paths in the BadRequest detail of a status.
std::vector<std::string> ViolatedFields(const grpc::Status& status);

}  // namespace costate

#endif  // COSTATE_TESTS_SERVER_RUNNING_SERVER_H_
