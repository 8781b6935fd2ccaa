// Metrics of a whole server, over HTTP: what is there, and that calls move it by their own figures.
#include "server/metrics_endpoint.h"

#include <chrono>
#include <future>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/exposition.h"
#include "tests/server/flat_json.h"
#include "tests/server/http_client.h"
#include "tests/server/proto_matchers.h"
#include "tests/server/running_server.h"

namespace costate {
namespace {

using std::chrono::steady_clock;
using ::testing::HasSubstr;

constexpr char kSolve[] = "costate.v1.SolveService/Solve";
constexpr char kStreamSolve[] = "costate.v1.SolveService/StreamSolve";
constexpr char kGradient[] = "costate.v1.GradientService/ComputeGradient";
constexpr char kLoss[] = "loss { terms { terminal { state_weights { values: [1, 2, 3] } } } } ";

ServerOptions WithMetrics() {
  ServerOptions options = TestServerOptions();
  options.metrics.address = "127.0.0.1:0";
  return options;
}

class MetricsEndpointTest : public ::testing::Test {
 protected:
  Exposition Scrape() {
    const HttpResponse response = GetHttp(server_.server().metrics_port(), "/metrics");
    EXPECT_EQ(response.code, 200);
    absl::StatusOr<Exposition> page = Exposition::Parse(response.body);
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? *page : Exposition();
  }

  // A call is counted when its answer is out, which the client may see before.
  Exposition ScrapeAfter(int calls) {
    const auto end = steady_clock::now() + std::chrono::seconds(30);
    for (;;) {
      Exposition page = Scrape();
      if (page.Sum("costate_rpc_requests_total") >= calls || steady_clock::now() > end) return page;
      std::this_thread::yield();
    }
  }

  template <typename Request>
  static Request About(const std::string& simulation, const std::string& rest = "") {
    auto request = FromText<Request>("simulation { " + simulation + " } " + rest);
    request.mutable_simulation()->mutable_model()->set_text(ProblemText("sir"));
    return request;
  }
  static v1::SolveRequest Endless() {
    return About<v1::SolveRequest>(
        "t1: 1e6 options { method: METHOD_RK4 fixed { step: 1e-3 } max_steps: 1000000000 }");
  }

  v1::SolveResponse Solve(const v1::SolveRequest& request, int timeout_ms = 60'000) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeout_ms));
    v1::SolveResponse response;
    status_ = server_.solves().Solve(&context, request, &response);
    return response;
  }
  v1::ComputeGradientResponse Gradient(const v1::ComputeGradientRequest& request) {
    grpc::ClientContext context;
    v1::ComputeGradientResponse response;
    status_ = server_.gradients().ComputeGradient(&context, request, &response);
    EXPECT_TRUE(status_.ok()) << status_.error_message();
    return response;
  }

  static double Steps(const Exposition& page, const char* pass, const char* outcome) {
    return page.Value("costate_solver_steps_total", {{"pass", pass}, {"outcome", outcome}});
  }
  static double Evaluations(const Exposition& page, const char* pass) {
    return page.Value("costate_rhs_evaluations_total", {{"pass", pass}});
  }

  RunningServer server_{WithMetrics()};
  grpc::Status status_;
};

TEST_F(MetricsEndpointTest, HasEveryMetricOfTheTable) {
  server_.environment().SetJobGauges([] {
    JobGauges jobs;
    jobs.reachable = true;
    jobs.directory = "/tmp";
    jobs.tasks_queued = 5;
    return jobs;
  });
  server_.environment().metrics().RecordJob("fit", "succeeded", absl::Seconds(1));
  server_.environment().metrics().RecordFitStart("converged", 1, 1);
  std::set<std::string> names;
  for (const MetricInfo& info : AllMetrics()) names.insert(info.name);
  const Exposition page = Scrape();
  EXPECT_EQ(page.sampled_families(), names);
  EXPECT_EQ(page.Value("costate_job_tasks_queued"), 5);
  EXPECT_GT(page.Value("costate_directory_free_bytes", {{"directory", "jobs"}}), 0);
  EXPECT_GT(page.Value("process_resident_memory_bytes"), 1 << 20);
  EXPECT_EQ(page.Value("costate_compute_threads", {{"class", "interactive"}}), 1);
}

TEST_F(MetricsEndpointTest, KnowsEveryMethodBeforeItsFirstCall) {
  const Exposition page = Scrape();
  for (const char* method :
       {kSolve, kStreamSolve, kGradient, "costate.v1.GradientService/ReleaseSolve",
        "costate.v1.ModelService/CreateModel", "costate.v1.StabilityService/AnalyzeStability",
        "costate.v1.JobService/CreateJob", "costate.v1.ServerService/GetServerInfo"}) {
    EXPECT_EQ(page.Value("costate_rpc_requests_total", {{"method", method}, {"code", "OK"}}), 0);
    EXPECT_EQ(page.Value("costate_rpc_duration_seconds_count", {{"method", method}}), 0);
  }
}

TEST_F(MetricsEndpointTest, OneSolveMovesTheCountersByItsStats) {
  const auto request = About<v1::SolveRequest>("t1: 40 options { adaptive { rtol: 1e-9 } }");
  const v1::SolveResponse response = Solve(request);
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  const v1::SolveStats& stats = response.stats(0);
  ASSERT_GT(stats.accepted_steps(), 0);
  const Exposition page = ScrapeAfter(1);
  EXPECT_EQ(Steps(page, "forward", "accepted"), stats.accepted_steps());
  EXPECT_EQ(Steps(page, "forward", "rejected"), stats.rejected_steps());
  EXPECT_EQ(Evaluations(page, "forward"), stats.rhs_evaluations());
  EXPECT_EQ(page.Sum("costate_solver_steps_total", {{"pass", "backward"}}), 0);
  EXPECT_EQ(page.Sum("costate_gradients_total"), 0);
  const MetricLabels method = {{"method", kSolve}};
  EXPECT_EQ(page.Value("costate_rpc_requests_total", {{"method", kSolve}, {"code", "OK"}}), 1);
  EXPECT_EQ(page.Value("costate_rpc_request_bytes_total", method), request.ByteSizeLong());
  EXPECT_EQ(page.Value("costate_rpc_response_bytes_total", method), response.ByteSizeLong());
  EXPECT_EQ(page.Value("costate_rpc_duration_seconds_count", method), 1);
  EXPECT_GT(page.Value("costate_rpc_duration_seconds_sum", method), 0);
  // Kernels were built for it; once more they are there.
  const auto compiled = [](const Exposition& p) {
    return p.Value("costate_kernels_compiled_total");
  };
  Solve(request);
  const Exposition again = ScrapeAfter(2);
  EXPECT_EQ(Steps(again, "forward", "accepted"), 2 * stats.accepted_steps());
  EXPECT_EQ(compiled(again), compiled(page));
}

TEST_F(MetricsEndpointTest, TrajectoriesOfABatchAddUp) {
  const v1::SolveResponse response = Solve(About<v1::SolveRequest>("t1: [10, 20, 30, 40, 50]"));
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  ASSERT_EQ(response.stats_size(), 5);
  double steps = 0;
  for (const v1::SolveStats& stats : response.stats()) steps += stats.accepted_steps();
  EXPECT_EQ(Steps(ScrapeAfter(1), "forward", "accepted"), steps);
}

TEST_F(MetricsEndpointTest, GradientsCountByMethodAndPass) {
  const v1::ComputeGradientResponse gauss = Gradient(About<v1::ComputeGradientRequest>(
      "t1: 40",
      std::string(kLoss) +
          "gradient { method: GRADIENT_METHOD_BACKSOLVE backward { rtol: 1e-8 atol: 1e-10 } }"));
  const v1::GradientStats& stats = gauss.stats(0);
  ASSERT_GT(stats.backward_steps(), 0);
  const Exposition page = ScrapeAfter(1);
  EXPECT_EQ(Steps(page, "forward", "accepted"), stats.solve().accepted_steps());
  EXPECT_EQ(Steps(page, "backward", "accepted"), stats.backward_steps());
  EXPECT_EQ(Steps(page, "backward", "rejected"), stats.backward_rejected());
  EXPECT_EQ(Evaluations(page, "forward"), stats.solve().rhs_evaluations());
  EXPECT_EQ(Evaluations(page, "backward"), stats.reverse_rhs_evaluations());
  EXPECT_EQ(page.Value("costate_gradients_total", {{"method", "backsolve"}}), 1);
  EXPECT_EQ(page.Sum("costate_gradients_total"), 1);
}

// The steps of a kept solve are taken when it is kept, and not again.
TEST_F(MetricsEndpointTest, KeptSolvesCountTheirStepsOnce) {
  v1::KeepSolveResponse kept;
  {
    grpc::ClientContext context;
    const auto request = About<v1::KeepSolveRequest>(
        "t1: 40 options { save { end: true } }", "gradient { method: GRADIENT_METHOD_BACKPROP }");
    const grpc::Status status = server_.gradients().KeepSolve(&context, request, &kept);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  const Exposition before = ScrapeAfter(1);
  EXPECT_GT(Steps(before, "forward", "accepted"), 0);
  EXPECT_EQ(before.Value("costate_kept_solves"), 1);
  EXPECT_GT(before.Value("costate_kept_solves_held_bytes"), 0);
  auto request = FromText<v1::ComputeGradientRequest>(kLoss);
  request.set_kept_solve(kept.kept_solve());
  Gradient(request);
  const Exposition after = ScrapeAfter(2);
  EXPECT_EQ(Steps(after, "forward", "accepted"), Steps(before, "forward", "accepted"));
  EXPECT_EQ(after.Value("costate_gradients_total", {{"method", "backprop"}}), 1);
}

TEST_F(MetricsEndpointTest, StreamsCountMessagesAndSteps) {
  grpc::ClientContext context;
  const auto request = About<v1::StreamSolveRequest>("t1: 40 options { save { every_steps: 1 } }",
                                                     "rows_per_chunk: 5");
  const auto reader = server_.solves().StreamSolve(&context, request);
  v1::StreamSolveResponse message;
  int messages = 0;
  size_t bytes = 0;
  while (reader->Read(&message)) {
    ++messages;
    bytes += message.ByteSizeLong();
  }
  ASSERT_TRUE(reader->Finish().ok());
  const Exposition page = ScrapeAfter(1);
  const MetricLabels method = {{"method", kStreamSolve}};
  EXPECT_EQ(page.Value("costate_rpc_stream_messages_total", method), messages);
  EXPECT_EQ(page.Value("costate_rpc_response_bytes_total", method), bytes);
  EXPECT_EQ(Steps(page, "forward", "accepted"), message.summary().stats(0).accepted_steps());
}

// A call without a result took steps all the same.
TEST_F(MetricsEndpointTest, CallsThatAreCutShortCountToo) {
  Solve(Endless(), 300);
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  const Exposition page = ScrapeAfter(1);
  EXPECT_EQ(
      page.Value("costate_rpc_requests_total", {{"method", kSolve}, {"code", "DEADLINE_EXCEEDED"}}),
      1);
  EXPECT_GT(Steps(page, "forward", "accepted"), 0);
}

TEST_F(MetricsEndpointTest, RefusalsCountByCode) {
  Solve(FromText<v1::SolveRequest>("simulation { t1: 1 }"));
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const Exposition page = ScrapeAfter(1);
  EXPECT_EQ(
      page.Value("costate_rpc_requests_total", {{"method", kSolve}, {"code", "INVALID_ARGUMENT"}}),
      1);
  EXPECT_EQ(page.Sum("costate_solver_steps_total"), 0);
}

TEST_F(MetricsEndpointTest, EveryTaskThatStartedHasAQueueDelay) {
  for (int i = 0; i < 5; ++i) Solve(About<v1::SolveRequest>("t1: 1"));
  const Exposition page = ScrapeAfter(5);
  EXPECT_GE(page.Sum("costate_tasks_admitted_total"), 5);
  EXPECT_EQ(page.Sum("costate_queue_delay_seconds_count"),
            page.Sum("costate_tasks_admitted_total"));
  EXPECT_EQ(page.Sum("costate_tasks_shed_total"), 0);
}

// The sums of the access log are the counters.
TEST_F(MetricsEndpointTest, AgreesWithTheAccessLog) {
  Solve(About<v1::SolveRequest>("t1: 40"));
  Solve(FromText<v1::SolveRequest>("simulation { t1: 1 }"));
  Solve(Endless(), 200);
  Gradient(About<v1::ComputeGradientRequest>("t1: 20", kLoss));
  const Exposition page = ScrapeAfter(4);
  std::map<std::string, double> sums;
  std::map<std::pair<std::string, std::string>, int> lines;
  for (const std::string& line : server_.log_lines()) {
    const std::optional<FlatJson> json = FlatJsonReader::Read(line);
    ASSERT_TRUE(json.has_value()) << line;
    if (json->at("event").text != "rpc") continue;
    ++lines[{json->at("method").text, json->at("code").text}];
    for (const auto& [key, value] : *json) sums[key] += value.number;
  }
  EXPECT_EQ(lines.size(), 4u);
  for (const auto& [key, count] : lines) {
    EXPECT_EQ(
        page.Value("costate_rpc_requests_total", {{"method", key.first}, {"code", key.second}}),
        count)
        << key.first << " " << key.second;
  }
  EXPECT_EQ(Steps(page, "forward", "accepted"), sums.at("accepted_steps"));
  EXPECT_EQ(Steps(page, "forward", "rejected"), sums.at("rejected_steps"));
  EXPECT_EQ(Evaluations(page, "forward"), sums.at("rhs_evaluations"));
  EXPECT_EQ(page.Sum("costate_rpc_request_bytes_total"), sums.at("request_bytes"));
  EXPECT_EQ(page.Sum("costate_rpc_response_bytes_total"), sums.at("response_bytes"));
  EXPECT_NEAR(page.Sum("costate_rpc_duration_seconds_sum"), sums.at("total_ms") / 1e3, 1e-6);
  EXPECT_NEAR(page.Value("costate_engine_seconds_total"), sums.at("engine_ms") / 1e3, 1e-6);
}

TEST_F(MetricsEndpointTest, TurnsUnreadyOnDrainAndStaysAlive) {
  const int port = server_.server().metrics_port();
  EXPECT_EQ(GetHttp(port, "/readyz").code, 200);
  EXPECT_EQ(GetHttp(port, "/healthz").code, 200);
  grpc::ClientContext context;
  std::thread call([&] {
    v1::SolveResponse response;
    server_.solves().Solve(&context, Endless(), &response);
  });
  while (Scrape().Value("costate_active_calls") == 0) std::this_thread::yield();
  std::thread drain([this] { server_.server().Drain(absl::Seconds(60)); });
  while (GetHttp(port, "/readyz").code == 200) std::this_thread::yield();
  EXPECT_EQ(GetHttp(port, "/readyz").code, 503);
  EXPECT_EQ(GetHttp(port, "/healthz").code, 200);
  EXPECT_EQ(Scrape().Value("costate_draining"), 1);
  EXPECT_EQ(Scrape().Value("costate_active_calls"), 1);
  context.TryCancel();
  call.join();
  drain.join();
  EXPECT_EQ(GetHttp(port, "/readyz").code, 503);
  EXPECT_EQ(Scrape().Value("costate_active_calls"), 0);
}

TEST_F(MetricsEndpointTest, SaysWhereItListens) {
  bool said = false;
  for (const std::string& line : server_.log_lines()) {
    const std::optional<FlatJson> json = FlatJsonReader::Read(line);
    if (json->at("event").text != "metrics_listening") continue;
    said = true;
    EXPECT_EQ(json->at("port").number, server_.server().metrics_port());
  }
  EXPECT_TRUE(said);
  EXPECT_EQ(GetHttp(server_.server().metrics_port(), "/").code, 404);
}

// However many ask for what the store says: who looks after the process must not end it for that.
TEST_F(MetricsEndpointTest, AStoreThatDoesNotAnswerHoldsUpNoHealthCheck) {
  std::promise<void> answered;
  const std::shared_future<void> answer = answered.get_future().share();
  server_.environment().SetJobGauges([answer] {
    answer.wait();
    return JobGauges();
  });
  const int port = server_.server().metrics_port();
  std::vector<std::future<HttpResponse>> scrapes;
  for (int i = 0; i < 8; ++i) {
    scrapes.push_back(std::async(std::launch::async, [port] { return GetHttp(port, "/metrics"); }));
  }
  std::future<HttpResponse> health =
      std::async(std::launch::async, [port] { return GetHttp(port, "/healthz"); });
  EXPECT_EQ(health.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  answered.set_value();
  EXPECT_EQ(health.get().code, 200);
  int full = 0;
  for (std::future<HttpResponse>& scrape : scrapes) {
    const int code = scrape.get().code;
    EXPECT_TRUE(code == 200 || code == 503) << code;
    full += code == 200;
  }
  EXPECT_GE(full, 1);
  EXPECT_EQ(GetHttp(port, "/metrics").code, 200);
}

TEST(MetricsEndpointOff, IsTheDefault) {
  RunningServer server;
  EXPECT_EQ(server.server().metrics_port(), 0);
}

TEST(MetricsEndpointOptionsTest, RefusesOtherMachinesUnlessToldSo) {
  for (const char* address : {"0.0.0.0:0", "[::]:0", "192.0.2.1:9464"}) {
    const absl::Status status = ValidateMetricsEndpoint({address, false});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << address;
    EXPECT_THAT(std::string(status.message()), HasSubstr("--allow-remote-metrics"));
    EXPECT_TRUE(ValidateMetricsEndpoint({address, true}).ok()) << address;
  }
  EXPECT_FALSE(ValidateMetricsEndpoint({"example.com:80", true}).ok());
  for (const char* address : {"", "localhost:0", "127.0.0.1:9464", "[::1]:9464"}) {
    EXPECT_TRUE(ValidateMetricsEndpoint({address, false}).ok()) << address;
  }
  // Before anything is served.
  KeptLines lines;
  Log log(LogLevel::kInfo, lines.Sink());
  ServerOptions options = TestServerOptions();
  options.metrics.address = "0.0.0.0:0";
  EXPECT_EQ(Server::Start(options, log).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(lines.lines().empty());
}

}  // namespace
}  // namespace costate
