// What the wrapper around every RPC promises: cancellation, deadlines, admission, streams.
#include "server/rpc.h"

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/server/flat_json.h"
#include "tests/server/proto_matchers.h"
#include "tests/server/running_server.h"

namespace costate {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using std::chrono::system_clock;
using ::testing::HasSubstr;

// 10^9 steps: minutes at least.
v1::SolveRequest EndlessSolve() {
  auto request = FromText<v1::SolveRequest>(
      "simulation { t1: 1e6 options { method: METHOD_RK4 fixed { step: 1e-3 } max_steps: "
      "1000000000 } }");
  request.mutable_simulation()->mutable_model()->set_text(ProblemText("lorenz"));
  return request;
}

v1::StreamSolveRequest EndlessStream() {
  v1::StreamSolveRequest request;
  *request.mutable_simulation() = EndlessSolve().simulation();
  request.mutable_simulation()->mutable_options()->mutable_save()->set_every_steps(1);
  return request;
}

v1::SolveRequest SmallSolve() {
  auto request = FromText<v1::SolveRequest>("simulation { t1: 1 }");
  request.mutable_simulation()->mutable_model()->set_text(ProblemText("sir"));
  return request;
}

int64_t Running(RunningServer& server) {
  const ComputePool::Stats stats = server.environment().pool().stats();
  return stats.running[0] + stats.running[1];
}

template <typename Condition>
bool Await(Condition condition, std::chrono::seconds patience = std::chrono::seconds(60)) {
  const auto end = steady_clock::now() + patience;
  while (!condition()) {
    if (steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

grpc::Status Solve(RunningServer& server, const v1::SolveRequest& request) {
  grpc::ClientContext context;
  v1::SolveResponse response;
  return server.solves().Solve(&context, request, &response);
}

// A call in a thread of its own.
class SolveInBackground {
 public:
  SolveInBackground(RunningServer& server, v1::SolveRequest request,
                    milliseconds timeout = std::chrono::hours(1)) {
    context_.set_deadline(system_clock::now() + timeout);
    thread_ = std::thread([this, &server, request = std::move(request)] {
      v1::SolveResponse response;
      status_ = server.solves().Solve(&context_, request, &response);
      ended_ = true;
    });
  }
  ~SolveInBackground() {
    Cancel();
    if (thread_.joinable()) thread_.join();
  }
  void Cancel() { context_.TryCancel(); }
  grpc::Status Join() {
    thread_.join();
    return status_;
  }
  grpc::ClientContext& context() { return context_; }
  bool ended() const { return ended_; }

 private:
  grpc::ClientContext context_;
  grpc::Status status_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

TEST(Cancellation, FreesTheCore) {
  RunningServer server;
  ASSERT_TRUE(Solve(server, SmallSolve()).ok());
  SolveInBackground endless(server, EndlessSolve());
  // Running as batch work: the solve itself, no longer its preparation.
  ASSERT_TRUE(Await([&] { return server.environment().pool().stats().running[1] == 1; }));
  std::this_thread::sleep_for(milliseconds(50));
  const auto start = steady_clock::now();
  endless.Cancel();
  ASSERT_TRUE(Await([&] { return Running(server) == 0; }));
  const std::chrono::duration<double, std::milli> gap = steady_clock::now() - start;
  std::printf("core free %.2f ms after the client's cancel\n", gap.count());
  EXPECT_LT(gap.count(), 1000);
  EXPECT_EQ(endless.Join().error_code(), grpc::StatusCode::CANCELLED);
}

TEST(Deadline, OfTheClientEndsTheSolve) {
  RunningServer server;
  const auto start = steady_clock::now();
  SolveInBackground endless(server, EndlessSolve(), milliseconds(300));
  EXPECT_EQ(endless.Join().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  ASSERT_TRUE(Await([&] { return Running(server) == 0; }));
  const std::chrono::duration<double, std::milli> gap = steady_clock::now() - start;
  std::printf("core free %.2f ms after the deadline\n", gap.count() - 300);
  EXPECT_LT(gap.count(), 1300);
}

TEST(Deadline, IsImposedWhereThereIsNone) {
  ServerOptions options = TestServerOptions();
  options.environment.max_deadline = absl::Milliseconds(200);
  RunningServer server(options);
  const grpc::Status status = Solve(server, EndlessSolve());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_THAT(status.error_message(), HasSubstr("wall_budget"));
}

TEST(Classes, SmallCallsDoNotWaitBehindLargeOnes) {
  RunningServer server;
  SolveInBackground first(server, EndlessSolve());
  SolveInBackground second(server, EndlessSolve());
  ASSERT_TRUE(Await([&] {
    const ComputePool::Stats stats = server.environment().pool().stats();
    return stats.running[1] == 1 && stats.queued[1] == 1;
  }));
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(Solve(server, SmallSolve()).ok());
  EXPECT_FALSE(first.ended());
  EXPECT_FALSE(second.ended());
  second.Cancel();  // leaves the queue without ever running
  EXPECT_EQ(second.Join().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_TRUE(Await([&] { return server.environment().pool().stats().queued[1] == 0; }));
}

TEST(Admission, SaysWhenToTryAgain) {
  ServerOptions options = TestServerOptions();
  options.environment.pool.max_queued_tasks = 1;
  RunningServer server(options);
  SolveInBackground running(server, EndlessSolve());
  ASSERT_TRUE(Await([&] { return server.environment().pool().stats().running[1] == 1; }));
  SolveInBackground waiting(server, EndlessSolve());
  ASSERT_TRUE(Await([&] { return server.environment().pool().stats().queued[1] == 1; }));
  grpc::ClientContext context;
  v1::SolveResponse response;
  const grpc::Status status = server.solves().Solve(&context, EndlessSolve(), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  google::rpc::RetryInfo info;
  ASSERT_EQ(details.details_size(), 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  const auto pushback = context.GetServerTrailingMetadata().find("grpc-retry-pushback-ms");
  ASSERT_NE(pushback, context.GetServerTrailingMetadata().end());
  const int64_t milliseconds_told =
      std::stoll(std::string(pushback->second.data(), pushback->second.size()));
  EXPECT_EQ(milliseconds_told,
            info.retry_delay().seconds() * 1000 + info.retry_delay().nanos() / 1'000'000);
  EXPECT_GT(milliseconds_told, 0);
}

// The reader takes one message and no more.
TEST(Stream, WaitsForASlowReaderInBoundedMemory) {
  RunningServer server;
  grpc::ClientContext context;
  const auto reader = server.solves().StreamSolve(&context, EndlessStream());
  v1::StreamSolveResponse message;
  ASSERT_TRUE(reader->Read(&message));
  EXPECT_TRUE(message.has_header());
  // The solve pauses once the buffers on the way are full; its slot is free for others.
  ASSERT_TRUE(Await([&] { return Running(server) == 0; }));
  SolveInBackground other(server, EndlessSolve());
  ASSERT_TRUE(Await([&] { return server.environment().pool().stats().running[1] >= 1; }));
  context.TryCancel();
  while (reader->Read(&message)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  other.Cancel();
  EXPECT_EQ(other.Join().error_code(), grpc::StatusCode::CANCELLED);
  ASSERT_TRUE(Await([&] { return server.environment().active_calls().size() == 0; }));
  ASSERT_TRUE(Await([&] { return server.environment().open_streams() == 0; }));
  // The access line says how much was sent before it waited.
  for (const std::string& line : server.log_lines()) {
    if (line.find("StreamSolve") == std::string::npos) continue;
    const std::optional<FlatJson> parsed = FlatJsonReader::Read(line);
    ASSERT_TRUE(parsed.has_value()) << line;
    EXPECT_LT(parsed->at("response_bytes").number, 64 << 20);
  }
}

TEST(Stream, EndsWhenTheReaderStalls) {
  ServerOptions options = TestServerOptions();
  options.environment.max_stream_stall = absl::Milliseconds(100);
  RunningServer server(options);
  grpc::ClientContext context;
  const auto reader = server.solves().StreamSolve(&context, EndlessStream());
  v1::StreamSolveResponse message;
  ASSERT_TRUE(reader->Read(&message));
  ASSERT_TRUE(Await([&] { return server.environment().open_streams() == 0; }));
  while (reader->Read(&message)) {
  }
  EXPECT_FALSE(reader->Finish().ok());
}

TEST(Stream, EndsAtTheDeadlineOfTheServer) {
  ServerOptions options = TestServerOptions();
  options.environment.max_deadline = absl::Milliseconds(200);
  RunningServer server(options);
  grpc::ClientContext context;
  const auto reader = server.solves().StreamSolve(&context, EndlessStream());
  v1::StreamSolveResponse message;
  int64_t rows = 0;
  while (reader->Read(&message))
    rows += static_cast<int64_t>(Doubles(message.chunk().times()).size());
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_GT(rows, 0);
}

TEST(Stream, RefusesMoreThanAllowedAtATime) {
  RunningServer server;
  server.environment().open_streams() += limits::kMaxStreams;
  grpc::ClientContext context;
  const auto reader = server.solves().StreamSolve(&context, EndlessStream());
  v1::StreamSolveResponse message;
  EXPECT_FALSE(reader->Read(&message));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  server.environment().open_streams() -= limits::kMaxStreams;
}

// An answer that waits for its reader counts against the memory budget until it is read.
TEST(Answers, HoldTheirMemoryUntilTheyAreRead) {
  RunningServer server;
  MemoryBudget& memory = server.environment().memory();
  ASSERT_TRUE(Solve(server, SmallSolve()).ok());  // connects
  ASSERT_TRUE(Await([&] { return memory.held() == 0; }));
  v1::SolveRequest request = SmallSolve();
  auto* times = request.mutable_simulation()->mutable_options()->mutable_save()->mutable_times();
  for (int i = 0; i < 300'000; ++i) times->mutable_times()->add_values(1);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto call = server.solves().PrepareAsyncSolve(&context, request, &queue);
  call->StartCall();
  v1::SolveResponse response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  // Nobody looks at the queue, so the client reads nothing past its first window.
  ASSERT_TRUE(Await([&] { return memory.held() > 0; }));
  ASSERT_TRUE(Await([&] { return server.environment().active_calls().size() == 0; }));
  const int64_t held = memory.held();
  void* tag = nullptr;
  bool ok = false;
  ASSERT_TRUE(queue.Next(&tag, &ok));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(held, static_cast<int64_t>(response.ByteSizeLong()));
  EXPECT_TRUE(Await([&] { return memory.held() == 0; }));
}

// Clients that come, cancel and go in any order leave nothing behind.
TEST(Calls, LeaveNothingBehind) {
  RunningServer server;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&server, t] {
      for (int i = 0; i < 25; ++i) {
        switch ((i + t) % 4) {
          case 0:
            EXPECT_TRUE(Solve(server, SmallSolve()).ok());
            break;
          case 1: {
            SolveInBackground call(server, EndlessSolve(), milliseconds(5));
            break;
          }
          case 2: {
            SolveInBackground call(server, EndlessSolve());
            std::this_thread::sleep_for(milliseconds(i % 3));
            break;
          }
          default: {
            grpc::ClientContext context;
            const auto reader = server.solves().StreamSolve(&context, EndlessStream());
            v1::StreamSolveResponse message;
            reader->Read(&message);
            context.TryCancel();
            reader->Finish();
          }
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(Await([&] { return server.environment().active_calls().size() == 0; }));
  EXPECT_TRUE(Await([&] { return Running(server) == 0; }));
  EXPECT_EQ(server.environment().pool().stats().bytes, 0);
  // A stream is closed by gRPC once its call has ended.
  EXPECT_TRUE(Await([&] { return server.environment().open_streams() == 0; }));
}

TEST(Logs, HaveOneLinePerCall) {
  RunningServer server;
  ASSERT_TRUE(Solve(server, SmallSolve()).ok());
  v1::SolveRequest wrong = SmallSolve();
  wrong.mutable_simulation()->clear_t1();
  ASSERT_FALSE(Solve(server, wrong).ok());
  std::vector<FlatJson> access;
  ASSERT_TRUE(Await([&] {
    access.clear();
    for (const std::string& line : server.log_lines()) {
      const std::optional<FlatJson> parsed = FlatJsonReader::Read(line);
      EXPECT_TRUE(parsed.has_value()) << line;
      if (parsed.has_value() && parsed->at("event").text == "rpc") access.push_back(*parsed);
    }
    return access.size() >= 2;
  }));
  ASSERT_EQ(access.size(), 2u);
  const FlatJson& first = access[0];
  EXPECT_EQ(first.at("method").text, "costate.v1.SolveService/Solve");
  EXPECT_EQ(first.at("code").text, "OK");
  EXPECT_THAT(first.at("model").text, HasSubstr("models/"));
  EXPECT_GT(first.at("cost").number, 0);
  EXPECT_GT(first.at("total_ms").number, 0);
  EXPECT_GT(first.at("response_bytes").number, 0);
  EXPECT_EQ(access[1].at("code").text, "INVALID_ARGUMENT");
}

}  // namespace
}  // namespace costate
