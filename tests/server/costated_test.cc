// The program itself: flags, port file, health check, and how it ends.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "costate/v1/solve.grpc.pb.h"
#include "tests/server/flat_json.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

// A child process with its output in files.
class Costated {
 public:
  explicit Costated(std::vector<std::string> arguments) {
    char pattern[] = "/tmp/costated_XXXXXX";
    directory_ = mkdtemp(pattern);
    arguments.insert(arguments.begin(), COSTATED_PATH);
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) std::abort();
    stdin_ = ends[1];
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[0], STDIN_FILENO);
      Redirect("out", STDOUT_FILENO);
      Redirect("err", STDERR_FILENO);
      std::vector<char*> argv;
      for (std::string& argument : arguments) argv.push_back(argument.data());
      argv.push_back(nullptr);
      execv(argv[0], argv.data());
      _exit(127);
    }
    close(ends[0]);
  }
  ~Costated() {
    CloseStdin();
    if (pid_ > 0) {
      kill(pid_, SIGKILL);
      waitpid(pid_, nullptr, 0);
    }
    std::filesystem::remove_all(directory_);
  }

  // A server on a free port that has said so.
  static std::unique_ptr<Costated> Serving(std::vector<std::string> more = {}) {
    char pattern[] = "/tmp/costated_port_XXXXXX";
    const int file = mkstemp(pattern);
    close(file);
    unlink(pattern);
    more.insert(more.end(), {"--address=127.0.0.1:0", "--cache-directory=", "--data-directory=none",
                             std::string("--port-file=") + pattern});
    auto server = std::make_unique<Costated>(more);
    for (int i = 0; i < 6000 && server->port_ == 0; ++i) {
      std::ifstream(pattern) >> server->port_;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    unlink(pattern);
    EXPECT_GT(server->port_, 0) << server->Output("err");
    return server;
  }

  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void Signal(int signal) { kill(pid_, signal); }
  void CloseStdin() {
    if (stdin_ >= 0) close(stdin_);
    stdin_ = -1;
  }
  std::string Output(const std::string& name) const {
    std::ifstream file(directory_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  void Redirect(const std::string& name, int descriptor) {
    dup2(open((directory_ + "/" + name).c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600), descriptor);
  }

  std::string directory_;
  pid_t pid_ = -1;
  int stdin_ = -1;
  int port_ = 0;
};

std::vector<std::string> EventsOf(const std::string& log) {
  std::vector<std::string> events;
  std::istringstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    const std::optional<FlatJson> parsed = FlatJsonReader::Read(line);
    EXPECT_TRUE(parsed.has_value()) << line;
    if (parsed.has_value()) events.push_back(parsed->at("event").text);
  }
  return events;
}

TEST(Costated, PrintsHelpAndVersion) {
  Costated help({"--help"});
  EXPECT_EQ(help.Wait(), 0);
  EXPECT_THAT(help.Output("out"), HasSubstr("--exit-with-stdin"));
  Costated version({"--version"});
  EXPECT_EQ(version.Wait(), 0);
  EXPECT_THAT(version.Output("out"), HasSubstr("costated "));
}

TEST(Costated, SaysWhatIsWrongAndEndsWithOne) {
  Costated flag({"--adress=localhost:1"});
  EXPECT_EQ(flag.Wait(), 1);
  EXPECT_THAT(flag.Output("err"), HasSubstr("--adress: unknown flag"));
  Costated open({"--address=0.0.0.0:0"});
  EXPECT_EQ(open.Wait(), 1);
  EXPECT_THAT(open.Output("err"), HasSubstr("--tls-cert"));
}

TEST(Costated, AnswersHealthChecks) {
  const auto server = Costated::Serving();
  Costated healthy({"--health-check=" + server->address()});
  EXPECT_EQ(healthy.Wait(), 0);
  server->Signal(SIGTERM);
  EXPECT_EQ(server->Wait(), 0);
  Costated gone({"--health-check=" + server->address()});
  EXPECT_EQ(gone.Wait(), 1);
}

TEST(Costated, StopsWithItsOwner) {
  const auto server = Costated::Serving({"--exit-with-stdin"});
  server->CloseStdin();
  EXPECT_EQ(server->Wait(), 0);
  EXPECT_THAT(server->Output("err"), HasSubstr("\"cause\":\"stdin\""));
}

class CostatedSignal : public ::testing::TestWithParam<int> {};

TEST_P(CostatedSignal, DrainsAndEndsWithZero) {
  const auto server = Costated::Serving({"--drain-grace=200ms"});
  const auto stub = v1::SolveService::NewStub(
      grpc::CreateChannel(server->address(), grpc::InsecureChannelCredentials()));
  auto request = FromText<v1::StreamSolveRequest>(
      "simulation { t1: 1e6 model { text: 'state x = 1\\nx\\' = 0\\n' } options { method: "
      "METHOD_EULER fixed { step: 1e-3 } max_steps: 1000000000 save { every_steps: 1000 } } }");
  grpc::ClientContext context;
  const auto reader = stub->StreamSolve(&context, request);
  v1::StreamSolveResponse message;
  ASSERT_TRUE(reader->Read(&message));  // it runs
  server->Signal(GetParam());
  while (reader->Read(&message)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server->Wait(), 0);
  const std::vector<std::string> events = EventsOf(server->Output("err"));
  EXPECT_THAT(events,
              ::testing::ElementsAre("listening", "stopping", "drain_start", "rpc", "drain_end"));
}

INSTANTIATE_TEST_SUITE_P(Both, CostatedSignal, ::testing::Values(SIGTERM, SIGINT));

}  // namespace
}  // namespace costate
