// What the server adds to the engine: a C++ client and a server in one process, over loopback.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "costate/v1/solve.grpc.pb.h"
#include "server/log.h"
#include "server/server.h"
#include "tests/benchmarks/report.h"

namespace costate {
namespace {

double Milliseconds(const google::protobuf::Duration& duration) {
  return 1e3 * static_cast<double>(duration.seconds()) + 1e-6 * duration.nanos();
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

struct CallTimes {
  double total_ms = 0;   // medians, as the client sees it
  double engine_ms = 0;  // as the server reports it
  double added_ms = 0;   // median of the differences
};

CallTimes Measure(v1::SolveService::Stub& stub, const v1::SolveRequest& request, int rounds) {
  std::vector<double> total, engine, added;
  for (int round = -rounds / 10; round < rounds; ++round) {
    grpc::ClientContext context;
    v1::SolveResponse response;
    const auto start = std::chrono::steady_clock::now();
    const grpc::Status status = stub.Solve(&context, request, &response);
    const double elapsed = 1e3 * SecondsSince(start);
    if (!status.ok()) {
      std::fprintf(stderr, "Solve: %s\n", status.error_message().c_str());
      std::exit(1);
    }
    if (round < 0) continue;
    total.push_back(elapsed);
    engine.push_back(Milliseconds(response.timing().engine()));
    added.push_back(elapsed - engine.back());
  }
  return {Median(total), Median(engine), Median(added)};
}

v1::SolveRequest SirRequest() {
  std::ifstream file(std::string(COSTATE_SOURCE_DIR) + "/tests/problems/sir.ode");
  v1::SolveRequest request;
  request.mutable_simulation()->mutable_model()->set_text(
      {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
  request.mutable_simulation()->add_t1(14);
  for (int day = 1; day <= 14; ++day) {
    request.mutable_simulation()
        ->mutable_options()
        ->mutable_save()
        ->mutable_times()
        ->mutable_times()
        ->add_values(day);
  }
  return request;
}

// 8 MiB of initial states there, as much of end states back; one Euler step between.
v1::SolveRequest ArrayRequest() {
  constexpr int64_t kBatch = 8;
  constexpr int64_t kStates = 131'072;
  v1::SolveRequest request;
  v1::Simulation* simulation = request.mutable_simulation();
  simulation->mutable_model()->set_text(
      absl::StrCat("state y[", kStates, "] = zeros(", kStates, ")\ny' = -y\n"));
  simulation->add_t1(1);
  simulation->mutable_options()->set_method(v1::METHOD_EULER);
  simulation->mutable_options()->mutable_fixed()->set_step(1);
  v1::NamedArray* initial = simulation->add_initial_state();
  initial->set_name("y");
  initial->mutable_array()->add_shape(kBatch);
  initial->mutable_array()->add_shape(kStates);
  const std::vector<double> values(kBatch * kStates, 1.5);
  initial->mutable_array()->set_data(values.data(), values.size() * sizeof(double));
  return request;
}

int Main() {
  Log log(LogLevel::kError, StandardErrorSink());
  ServerOptions options;
  options.address = "127.0.0.1:0";
  absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(options, log);
  if (!server.ok()) {
    std::fprintf(stderr, "%s\n", std::string(server.status().message()).c_str());
    return 1;
  }
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(64 << 20);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, 1 << 20);
  const auto stub = v1::SolveService::NewStub(
      grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", (*server)->port()),
                                grpc::InsecureChannelCredentials(), arguments));

  BenchTable table("server, loopback, client and server in one process");
  const CallTimes sir = Measure(*stub, SirRequest(), 2000);
  table.Row("unary Solve of SIR: added to the engine's time", sir.added_ms, "ms",
            "engine time of the same solve", sir.engine_ms, "<= 0.3 ms");
  constexpr double kMegabytes = 8.0 * (1 << 20) / 1e6;  // each way
  const CallTimes arrays = Measure(*stub, ArrayRequest(), 60);
  table.Row("8 MiB there and 8 MiB back: bytes moved per second",
            2 * kMegabytes / (1e-3 * arrays.total_ms), "MB/s", "", 0, ">= 300 MB/s");
  table.Row("  8 MiB over the time added to the engine's", kMegabytes / (1e-3 * arrays.added_ms),
            "MB/s", "", 0, ">= 300 MB/s");
  table.Row("  time added to the engine's", arrays.added_ms, "ms", "engine time of the same solve",
            arrays.engine_ms, "");
  return 0;
}

}  // namespace
}  // namespace costate

int main() { return costate::Main(); }
