// Solves kept by a whole server: the bits of one call, names, time, room, and what is refused.
#include "server/handlers/kept_solves.h"

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "server/convert/options.h"
#include "server/environment.h"
#include "tests/server/proto_matchers.h"
#include "tests/server/running_server.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr char kModel[] =
    "param a = 1.1\nparam b = 0.4\nstate x = 10*a\nstate y = 5\nx' = a*x - b*x*y\n"
    "y' = 0.1*x*y - 0.4*y\noutput u = x*y\n";
constexpr char kSave[] = "options { save { times { times { values: [1, 2, 3] } } } } ";
constexpr char kSquares[] =
    "loss { terms { least_squares { output: 'u' times { values: [1, 2, 3] } values { values: [40, "
    "NAN, 3] } } } terms { terminal { state_weights { values: [1, 2] } } } } ";
constexpr char kCotangents[] =
    "cotangents { terms { linear { times { values: [1, 2, 3] } state_weights { shape: [3, 2] "
    "values: [1, 2, 3, 4, 5, 6] } } } } cotangents { terms { linear { times { values: [1, 2, 3] } "
    "output_weights { shape: [3, 1] values: [0, 1, -1] } } } } ";

ServerOptions Keeping(absl::Duration max_keep_time, int64_t max_kept_bytes) {
  ServerOptions options = TestServerOptions();
  options.environment.max_keep_time = max_keep_time;
  options.environment.max_kept_bytes = max_kept_bytes;
  return options;
}

class KeptSolveTest : public ::testing::Test {
 protected:
  explicit KeptSolveTest(const ServerOptions& options = TestServerOptions()) : server_(options) {}

  template <typename Request>
  static Request With(const std::string& simulation, const std::string& rest) {
    auto request = FromText<Request>("simulation { t1: 4 " + simulation + " } " + rest);
    request.mutable_simulation()->mutable_model()->set_text(kModel);
    return request;
  }

  grpc::Status Keep(const v1::KeepSolveRequest& request, v1::KeepSolveResponse* response) {
    grpc::ClientContext context;
    return server_.gradients().KeepSolve(&context, request, response);
  }
  v1::KeepSolveResponse MustKeep(const std::string& rest = "", const std::string& more = "") {
    v1::KeepSolveResponse response;
    const grpc::Status status = Keep(With<v1::KeepSolveRequest>(kSave + more, rest), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_THAT(response.kept_solve(), MatchesRegex("solves/[0-9a-f]{32}"))
        << response.not_kept_reason();
    return response;
  }
  grpc::Status Gradient(const v1::ComputeGradientRequest& request,
                        v1::ComputeGradientResponse* response) {
    grpc::ClientContext context;
    return server_.gradients().ComputeGradient(&context, request, response);
  }
  grpc::Status GradientOf(const std::string& name, const std::string& rest,
                          v1::ComputeGradientResponse* response) {
    auto request = FromText<v1::ComputeGradientRequest>(rest);
    request.set_kept_solve(name);
    return Gradient(request, response);
  }
  std::string Refused(const std::string& name, const std::string& rest) {
    v1::ComputeGradientResponse response;
    const grpc::Status status = GradientOf(name, rest, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    const std::vector<std::string> fields = ViolatedFields(status);
    return fields.size() == 1 ? fields[0] : "";
  }

  RunningServer server_;
};

TEST_F(KeptSolveTest, GivesTheAnswersOfOneCall) {
  for (const char* method : {"FORWARD", "BACKPROP", "GAUSS", "UNSPECIFIED"}) {
    const std::string options =
        std::string("wrt: ['b', 'x', 't1'] gradient { method: GRADIENT_METHOD_") + method + " } ";
    const v1::KeepSolveResponse kept = MustKeep(options);
    for (const char* parts : {"", "want_saved: true "}) {
      v1::ComputeGradientResponse later, one;
      grpc::Status status = GradientOf(kept.kept_solve(), std::string(kSquares) + parts, &later);
      ASSERT_TRUE(status.ok()) << status.error_message();
      auto request = With<v1::ComputeGradientRequest>("", options + kSquares + parts);
      request.mutable_gradient()->mutable_report()->set_level(v1::ReportOptions::LEVEL_OFF);
      ASSERT_TRUE(Gradient(request, &one).ok());
      for (v1::ComputeGradientResponse* response : {&later, &one}) response->clear_timing();
      EXPECT_EQ(later.DebugString(), one.DebugString()) << method;
    }
    v1::ComputeVjpResponse later, one;
    auto request = FromText<v1::ComputeVjpRequest>(kCotangents);
    request.set_kept_solve(kept.kept_solve());
    grpc::ClientContext context, other;
    const grpc::Status status = server_.gradients().ComputeVjp(&context, request, &later);
    ASSERT_TRUE(status.ok()) << status.error_message();
    ASSERT_TRUE(
        server_.gradients()
            .ComputeVjp(&other, With<v1::ComputeVjpRequest>("", options + kCotangents), &one)
            .ok());
    for (v1::ComputeVjpResponse* response : {&later, &one}) {
      response->clear_timing();
      response->mutable_stats()->clear_recomputed_steps();
    }
    EXPECT_EQ(later.DebugString(), one.DebugString()) << method;
  }
}

TEST_F(KeptSolveTest, AnswersTheSolve) {
  const v1::KeepSolveResponse kept =
      MustKeep("wrt: 'b' gradient { method: GRADIENT_METHOD_BACKPROP } lifetime { seconds: 60 }");
  v1::SolveResponse plain;
  grpc::ClientContext context;
  ASSERT_TRUE(server_.solves().Solve(&context, With<v1::SolveRequest>(kSave, ""), &plain).ok());
  v1::SolveResponse solution = kept.solution();
  for (v1::SolveResponse* response : {&solution, &plain}) response->clear_timing();
  EXPECT_THAT(solution, EqualsProto(plain));
  EXPECT_GT(kept.stored_bytes(), 3 * 3 * 8);
  EXPECT_THAT(kept, Partially(R"pb(
                wrt_layout { name: "b" }
                not_kept_reason: ""
                gradient_options { method: GRADIENT_METHOD_BACKPROP })pb"));
  EXPECT_EQ(kept.stats_size(), 1);
  const absl::Time expires = absl::FromUnixSeconds(kept.expire_time().seconds());
  EXPECT_LE(expires, absl::Now() + absl::Seconds(60));
  EXPECT_GE(expires, absl::Now() + absl::Seconds(20));
  EXPECT_GE(server_.environment().memory().held(), kept.stored_bytes());
}

TEST_F(KeptSolveTest, KeepsBatches) {
  const v1::KeepSolveResponse kept = MustKeep("gradient { want_time_gradient: true }",
                                              "params { name: 'a' array { values: [1, 1.2] } }");
  EXPECT_TRUE(kept.solution().batched());
  v1::ComputeGradientResponse response;
  const grpc::Status status = GradientOf(kept.kept_solve(), kSquares, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_THAT(response, Partially("batched: true gradient { shape: [2, 2] } time_gradient { shape: "
                                  "[2, 3] }"));
  auto vjp = FromText<v1::ComputeVjpRequest>(kCotangents);
  vjp.set_kept_solve(kept.kept_solve());
  grpc::ClientContext context;
  v1::ComputeVjpResponse ignored;
  EXPECT_THAT(ViolatedFields(server_.gradients().ComputeVjp(&context, vjp, &ignored)),
              ElementsAre("kept_solve"));
}

TEST_F(KeptSolveTest, IsGoneWhenReleased) {
  const std::string name = MustKeep().kept_solve();
  grpc::ClientContext first, second;
  auto request = FromText<v1::ReleaseSolveRequest>("");
  request.set_name(name);
  v1::ReleaseSolveResponse response;
  EXPECT_TRUE(server_.gradients().ReleaseSolve(&first, request, &response).ok());
  EXPECT_EQ(server_.gradients().ReleaseSolve(&second, request, &response).error_code(),
            grpc::StatusCode::NOT_FOUND);
  v1::ComputeGradientResponse gradient;
  const grpc::Status status = GradientOf(name, kSquares, &gradient);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("solve again"));
}

TEST_F(KeptSolveTest, IsGoneAfterItsTimeWithItsMemory) {
  const std::string name = MustKeep("lifetime { nanos: 50000000 }").kept_solve();
  while (server_.environment().kept_solves().size() > 0) std::this_thread::yield();
  while (server_.environment().kept_solves().held_bytes() > 0) std::this_thread::yield();
  v1::ComputeGradientResponse gradient;
  EXPECT_EQ(GradientOf(name, kSquares, &gradient).error_code(), grpc::StatusCode::NOT_FOUND);
}

// Calls that wait for a kept solve leave their slots to others, and only so many wait.
TEST_F(KeptSolveTest, CallsWaitForTheirTurn) {
  const std::string name = MustKeep().kept_solve();
  KeptEntryPtr entry = server_.environment().kept_solves().Get(name).value();
  std::optional<KeptTurn> turn;
  entry->busy = true;
  turn.emplace(entry);
  std::vector<std::thread> waiting;
  for (int i = 0; i < 2; ++i) {
    waiting.emplace_back([&] {
      v1::ComputeGradientResponse response;
      grpc::Status status;
      do {  // while the one more below is before it
        status = GradientOf(name, kSquares, &response);
      } while (status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
      EXPECT_TRUE(status.ok()) << status.error_message();
    });
  }
  v1::ComputeGradientResponse response;
  const auto one_more = [&] {
    auto request = FromText<v1::ComputeGradientRequest>(kSquares);
    request.set_kept_solve(name);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
    return server_.gradients().ComputeGradient(&context, request, &response);
  };
  grpc::Status refused;
  do {
    refused = one_more();  // late, until the two wait
    ASSERT_FALSE(refused.ok());
  } while (refused.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("kept solves"));
  MustKeep();  // another's work goes on
  turn.reset();
  for (std::thread& thread : waiting) thread.join();
  EXPECT_TRUE(GradientOf(name, kSquares, &response).ok());
}

TEST_F(KeptSolveTest, NamesWhatALossCannotHave) {
  const std::string name = MustKeep().kept_solve();
  EXPECT_EQ(Refused(name,
                    "loss { terms { least_squares { state: 'x' times { values: [2, 2.5] } values { "
                    "values: [1, 1] } } } }"),
            "loss.terms[0].times[1]");
  EXPECT_EQ(Refused(name, "loss { terms { integral { integrand: 'x' } } }"),
            "loss.terms[0].integral");
  EXPECT_EQ(Refused(name, std::string(kSquares) + "wrt: 'a'"), "wrt");
  EXPECT_EQ(Refused(name, std::string(kSquares) + "gradient { report { } }"), "gradient");
  EXPECT_EQ(Refused(name, std::string(kSquares) + "simulation { t1: 4 }"), "simulation");
  EXPECT_EQ(Refused(name, ""), "loss");
  EXPECT_EQ(Refused("solves/x", kSquares), "kept_solve");
  EXPECT_EQ(Refused("models/00000000000000000000000000000000", kSquares), "kept_solve");
}

TEST_F(KeptSolveTest, NamesWhatCannotBeKept) {
  const auto field = [this](const std::string& simulation, const std::string& rest) {
    v1::KeepSolveResponse response;
    const grpc::Status status = Keep(With<v1::KeepSolveRequest>(simulation, rest), &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    const std::vector<std::string> fields = ViolatedFields(status);
    return fields.size() == 1 ? fields[0] : "";
  };
  EXPECT_EQ(field("", "gradient { method: GRADIENT_METHOD_FINITE_DIFFERENCE }"), "gradient.method");
  EXPECT_EQ(field("", "gradient { report { } }"), "gradient.report");
  EXPECT_EQ(field("options { save { every_steps: 1 } }", ""),
            "simulation.options.save.every_steps");
  EXPECT_EQ(field("", "wrt: 'q'"), "wrt[0]");
  EXPECT_EQ(field("", "lifetime { }"), "lifetime");
  EXPECT_EQ(field("", "lifetime { seconds: 3601 }"), "lifetime");
  EXPECT_EQ(field("", "lifetime { seconds: -1 }"), "lifetime");
  EXPECT_EQ(field("options { adaptive { rtol: -1 } }", ""), "simulation.options.adaptive.rtol");
}

class NoRoom : public KeptSolveTest {
 protected:
  NoRoom() : KeptSolveTest(Keeping(absl::Seconds(2), 0)) {}
};

TEST_F(NoRoom, AnswersTheSolveAllTheSame) {
  v1::KeepSolveResponse response;
  ASSERT_TRUE(Keep(With<v1::KeepSolveRequest>(kSave, ""), &response).ok());
  EXPECT_EQ(response.kept_solve(), "");
  EXPECT_THAT(response.not_kept_reason(), HasSubstr("--max-kept-bytes"));
  EXPECT_FALSE(response.has_expire_time());
  EXPECT_EQ(response.stored_bytes(), 0);
  EXPECT_EQ(Doubles(response.solution().states()).size(), 6u);
  EXPECT_EQ(server_.environment().kept_solves().size(), 0);
}

TEST_F(NoRoom, SaysItsLimits) {
  grpc::ClientContext context;
  v1::GetServerInfoResponse response;
  ASSERT_TRUE(server_.info().GetServerInfo(&context, {}, &response).ok());
  EXPECT_EQ(response.info().limits().max_kept_bytes(), 0);
  EXPECT_EQ(DurationFromProto(response.info().limits().max_keep_time()), absl::Seconds(2));
}

}  // namespace
}  // namespace costate
