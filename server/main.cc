// costated: the server program.
#include <grpc/support/log.h>
#include <grpcpp/version_info.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "server/lifetime.h"
#include "server/log.h"
#include "server/options.h"
#include "server/server.h"
#include "server/version.h"

namespace costate {
namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "costated: %s\n", std::string(status.message()).c_str());
  return 1;
}

// Before 1.65 gRPC writes to standard error by itself; its lines become lines of the log.
void LogGrpcLines() {
#if GRPC_CPP_VERSION_MAJOR == 1 && GRPC_CPP_VERSION_MINOR < 65
  gpr_set_log_function([](gpr_log_func_args* line) {
    const LogLevel level =
        line->severity == GPR_LOG_SEVERITY_ERROR ? LogLevel::kError : LogLevel::kInfo;
    Log(LogLevel::kInfo, StandardErrorSink())
        .Write(level, "grpc", {{"source", line->file}, {"detail", line->message}});
  });
#endif
}

int Serve(const CommandLine& line) {
  LogGrpcLines();
  BlockStopSignals();
  Log log(line.log_level, StandardErrorSink());
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(line.server, log);
  if (!server.ok()) return Fail(server.status());
  if (!line.port_file.empty()) {
    const absl::Status written = WritePortFile(line.port_file, (*server)->port());
    if (!written.ok()) return Fail(written);
  }
  log.Write(LogLevel::kInfo, "stopping", {{"cause", WaitForStop(line.exit_with_stdin)}});
  (*server)->Drain(line.drain_grace);
  return 0;
}

int Main(const std::vector<std::string>& arguments) {
  const absl::StatusOr<CommandLine> line = ParseCommandLine(arguments);
  if (!line.ok()) return Fail(line.status());
  if (line->help) return std::fputs(HelpText().c_str(), stdout) < 0;
  if (line->version) return std::printf("costated %s\n", kVersion) < 0;
  if (line->health_check.empty()) return Serve(*line);
  const absl::Status health = CheckHealth(line->health_check, line->tls_ca, line->server.tls);
  return health.ok() ? 0 : Fail(health);
}

}  // namespace
}  // namespace costate

int main(int argc, char** argv) {
  return costate::Main(std::vector<std::string>(argv + 1, argv + argc));
}
