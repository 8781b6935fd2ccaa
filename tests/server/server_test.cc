#include "server/server.h"

#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "tests/server/proto_matchers.h"
#include "tests/server/running_server.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

TEST(ValidateAddress, RefusesOtherMachinesWithoutTls) {
  const auto valid = [](const std::string& address) {
    ServerOptions options;
    options.address = address;
    return ValidateAddress(options).ok();
  };
  for (const char* address : {"localhost:4310", "localhost:0", "127.0.0.1:1", "127.1.2.3:65535",
                              "[::1]:4310", "unix:/tmp/costated.sock"}) {
    EXPECT_TRUE(valid(address)) << address;
  }
  for (const char* address : {"0.0.0.0:4310", "[::]:4310", "example.com:4310", "10.0.0.1:4310",
                              ":4310", "localhost.example.com:1", "localhost",
                              "localhost:", "localhost:65536", "localhost:-1", "", "[fe80::1]:1"}) {
    EXPECT_FALSE(valid(address)) << address;
  }
  ServerOptions options;
  options.address = "0.0.0.0:0";
  EXPECT_THAT(std::string(ValidateAddress(options).message()), HasSubstr("--tls-cert"));
  options.allow_insecure = true;
  EXPECT_TRUE(ValidateAddress(options).ok());
}

absl::Status StartWith(const ServerOptions& options) {
  Log log(LogLevel::kError, [](std::string_view) {});
  return Server::Start(options, log).status();
}

TEST(Server, RefusesToListenElsewhere) {
  ServerOptions options = TestServerOptions();
  options.address = "0.0.0.0:0";
  EXPECT_EQ(StartWith(options).code(), absl::StatusCode::kInvalidArgument);
  options.allow_insecure = true;
  EXPECT_TRUE(StartWith(options).ok());
}

TEST(Server, DoesNotShareItsPort) {
  RunningServer first;
  ServerOptions options = TestServerOptions();
  options.address = first.address();
  const absl::Status status = StartWith(options);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(first.address()));
}

TEST(Server, TellsItsHealth) {
  std::string address;
  {
    RunningServer server;
    address = server.address();
    EXPECT_TRUE(CheckHealth(address, "", {}).ok());
  }
  EXPECT_EQ(CheckHealth(address, "", {}).code(), absl::StatusCode::kUnavailable);
}

// ---- drain
// ---------------------------------------------------------------------------------------

v1::SolveRequest LongSolve(const std::string& t1) {
  auto request = FromText<v1::SolveRequest>(
      "simulation { t1: " + t1 +
      " options { method: METHOD_RK4 fixed { step: 1e-3 } max_steps: 1000000000 } }");
  request.mutable_simulation()->mutable_model()->set_text(ProblemText("lorenz"));
  return request;
}

void AwaitCall(RunningServer& server) {
  while (server.environment().pool().stats().running[1] == 0) std::this_thread::yield();
}

TEST(Drain, CancelsWhatOutlivesTheGrace) {
  RunningServer server;
  grpc::Status status;
  std::thread client([&] {
    grpc::ClientContext context;
    v1::SolveResponse response;
    status = server.solves().Solve(&context, LongSolve("1e6"), &response);
  });
  AwaitCall(server);
  server.server().Drain(absl::Milliseconds(100));
  client.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("shutting down"));
}

TEST(Drain, LetsCallsFinishAndRefusesNewOnes) {
  RunningServer server;
  std::atomic<bool> refused{false};
  grpc::Status status;
  std::thread client([&] {
    grpc::ClientContext context;
    v1::SolveResponse response;
    status = server.solves().Solve(&context, LongSolve("1e6"), &response);
  });
  AwaitCall(server);
  std::thread drain([&] { server.server().Drain(absl::Seconds(30)); });
  while (!refused) {
    grpc::ClientContext context;
    v1::GetServerInfoResponse response;
    const grpc::Status late = server.info().GetServerInfo(&context, {}, &response);
    refused = late.error_code() == grpc::StatusCode::UNAVAILABLE;
    EXPECT_TRUE(late.ok() || refused) << late.error_message();
  }
  EXPECT_EQ(CheckHealth(server.address(), "", {}).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(server.environment().active_calls().size(), 1) << "the call is let run";
  server.environment().active_calls().CancelAll(Cancellation::Reason::kClientCancelled);
  client.join();
  drain.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
}

// ---- TLS
// -----------------------------------------------------------------------------------------

// Certificates for 127.0.0.1, made once: two authorities, a server, a client of each.
class TlsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    char pattern[] = "/tmp/costate_tls_XXXXXX";
    directory_ = new std::string(mkdtemp(pattern));
    for (const char* authority : {"ca", "other_ca"}) {
      Run(absl::StrCat("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes ",
                       "-days 2 -subj /CN=", authority, " -keyout ", Path(authority, "key"),
                       " -out ", Path(authority, "pem")));
    }
    Issue("server", "ca");
    Issue("client", "ca");
    Issue("stranger", "other_ca");
  }
  static void TearDownTestSuite() {
    std::filesystem::remove_all(*directory_);
    delete directory_;
  }

  static std::string Path(const std::string& name, const std::string& extension) {
    return absl::StrCat(*directory_, "/", name, ".", extension);
  }
  static void Run(const std::string& command) {
    ASSERT_EQ(std::system((command + " 2>/dev/null").c_str()), 0) << command;
  }
  static void Issue(const std::string& name, const std::string& authority) {
    std::ofstream(Path(name, "ext")) << "subjectAltName=IP:127.0.0.1,DNS:localhost\n";
    Run(absl::StrCat("openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=",
                     name, " -keyout ", Path(name, "key"), " -out ", Path(name, "csr")));
    Run(absl::StrCat("openssl x509 -req -days 2 -CAcreateserial -in ", Path(name, "csr"), " -CA ",
                     Path(authority, "pem"), " -CAkey ", Path(authority, "key"), " -extfile ",
                     Path(name, "ext"), " -out ", Path(name, "pem")));
  }
  static TlsOptions Identity(const std::string& name) {
    return {Path(name, "pem"), Path(name, "key"), ""};
  }

  static std::string* directory_;
};
std::string* TlsTest::directory_ = nullptr;

TEST_F(TlsTest, ServesOverTlsOnly) {
  ServerOptions options = TestServerOptions();
  options.tls = Identity("server");
  RunningServer server(options);
  EXPECT_TRUE(CheckHealth(server.address(), Path("ca", "pem"), {}).ok());
  EXPECT_FALSE(CheckHealth(server.address(), Path("other_ca", "pem"), {}).ok());
  EXPECT_FALSE(CheckHealth(server.address(), "", {}).ok());
}

TEST_F(TlsTest, AsksClientsForTheirCertificate) {
  ServerOptions options = TestServerOptions();
  options.tls = Identity("server");
  options.tls.client_ca = Path("ca", "pem");
  RunningServer server(options);
  EXPECT_TRUE(CheckHealth(server.address(), Path("ca", "pem"), Identity("client")).ok());
  EXPECT_FALSE(CheckHealth(server.address(), Path("ca", "pem"), {}).ok());
  EXPECT_FALSE(CheckHealth(server.address(), Path("ca", "pem"), Identity("stranger")).ok());
}

TEST_F(TlsTest, MayListenEverywhere) {
  ServerOptions options = TestServerOptions();
  options.address = "0.0.0.0:0";
  options.tls = Identity("server");
  EXPECT_TRUE(StartWith(options).ok());
}

TEST_F(TlsTest, RefusesFilesThatDoNotFit) {
  const auto refuse = [](const TlsOptions& tls) {
    ServerOptions options = TestServerOptions();
    options.tls = tls;
    return FieldOf(StartWith(options)).value_or("none");
  };
  EXPECT_EQ(refuse({Path("server", "pem"), "", ""}), "tls-key");
  EXPECT_EQ(refuse({"", Path("server", "key"), ""}), "tls-cert");
  EXPECT_EQ(refuse({"", "", Path("ca", "pem")}), "tls-client-ca");
  EXPECT_EQ(refuse({"/none", Path("server", "key"), ""}), "tls-cert");
  EXPECT_EQ(refuse({Path("server", "pem"), "/none", ""}), "tls-key");
  EXPECT_EQ(refuse({Path("server", "pem"), Path("server", "key"), "/none"}), "tls-client-ca");
}

}  // namespace
}  // namespace costate
