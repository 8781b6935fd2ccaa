#include "server/handlers/server_info.h"

#include <grpcpp/generic/generic_stub.h>

#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "engine/model/ir.h"
#include "tests/server/proto_matchers.h"
#include "tests/server/raw_call.h"
#include "tests/server/running_server.h"

namespace costate {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;

v1::ServerInfo InfoOf(RunningServer& server) {
  grpc::ClientContext context;
  v1::GetServerInfoResponse response;
  EXPECT_TRUE(server.info().GetServerInfo(&context, {}, &response).ok());
  return response.info();
}

TEST(GetServerInfo, DescribesTheServer) {
  RunningServer server;
  const v1::ServerInfo info = InfoOf(server);
  EXPECT_THAT(info, Partially(R"pb(
                api_packages: "costate.v1"
                compute_threads: 2
                interactive_threads: 1
                limits {
                  max_message_bytes: 67108864
                  max_instructions: 1000000
                  max_steps: 1000000000
                  max_deadline { seconds: 3600 }
                  max_checked_methods: 16
                })pb"));
  EXPECT_EQ(info.limits().max_disk_bytes(), 0) << "no scratch directory";
  EXPECT_NE(info.version(), "");
  EXPECT_EQ(info.ops_size(), kNumOps);
  EXPECT_EQ(info.methods_size(), v1::Method_MAX);
}

TEST(GetServerInfo, SaysWhichMethodsGoBack) {
  RunningServer server;
  const v1::ServerInfo info = InfoOf(server);
  const auto named = [&info](const std::string& name) {
    for (const v1::MethodDescription& method : info.methods()) {
      if (method.name() == name) return method;
    }
    ADD_FAILURE() << name;
    return v1::MethodDescription();
  };
  for (const v1::MethodDescription& method : info.methods()) {
    EXPECT_GE(method.evaluations(), 1) << method.name();
    EXPECT_NE(method.citation(), "") << method.name();
    EXPECT_EQ(method.takes_coupling(), method.reversal() != "exact") << method.name();
  }
  EXPECT_THAT(named("tsit5"), Partially("evaluations: 6 reversal: 'none' takes_coupling: true"));
  EXPECT_THAT(named("rk4"), Partially("evaluations: 4 reversal: 'none' takes_coupling: true"));
  EXPECT_THAT(named("ees25"), Partially("order: 2 reversal: 'near' takes_coupling: true"));
  EXPECT_THAT(named("alf"), Partially("order: 2 evaluations: 1 reversal: 'exact'"));
  EXPECT_THAT(named("reversible_heun"), Partially("error_order: 1 reversal: 'exact'"));
  EXPECT_THAT(named("leapfrog_midpoint"), Partially("evaluations: 1 reversal: 'exact'"));
}

// Each is a value of the enum, and none is missing.
TEST(GetServerInfo, ListsGradientMethods) {
  RunningServer server;
  const v1::ServerInfo info = InfoOf(server);
  std::set<std::string> families;
  for (const v1::GradientMethodDescription& method : info.gradient_methods()) {
    v1::GradientMethod value;
    EXPECT_TRUE(
        v1::GradientMethod_Parse("GRADIENT_METHOD_" + absl::AsciiStrToUpper(method.name()), &value))
        << method.name();
    EXPECT_NE(method.citation(), "") << method.name();
    families.insert(method.family());
  }
  EXPECT_EQ(info.gradient_methods_size(), v1::GradientMethod_MAX);
  EXPECT_EQ(families, (std::set<std::string>{"tangent", "discrete_adjoint", "continuous_adjoint",
                                             "difference"}));
}

TEST(GetServerInfo, NamesTheRoomOnDisk) {
  ServerOptions options = TestServerOptions();
  options.environment.scratch_directory = testing::TempDir();
  options.environment.max_disk_bytes = 5 << 20;
  RunningServer server(options);
  EXPECT_EQ(InfoOf(server).limits().max_disk_bytes(), 5 << 20);
}

// Services as the server's reflection lists them; the messages are written by hand, since their
// C++ classes are not packaged.
std::set<std::string> ReflectedServices(RunningServer& server) {
  grpc::GenericStub stub(server.channel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  void* tag = nullptr;
  bool ok = false;
  const auto stream = stub.PrepareCall(
      &context, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", &queue);
  stream->StartCall(nullptr);
  queue.Next(&tag, &ok);
  const grpc::Slice list_services(std::string("\x3a\x00", 2));  // field 7: ""
  stream->Write(grpc::ByteBuffer(&list_services, 1), nullptr);
  queue.Next(&tag, &ok);
  grpc::ByteBuffer answer;
  stream->Read(&answer, nullptr);
  queue.Next(&tag, &ok);
  context.TryCancel();
  grpc::Status status;
  stream->Finish(&status, nullptr);
  queue.Next(&tag, &ok);
  std::set<std::string> services;
  const std::string bytes = BytesOf(answer);
  const std::string prefix = "costate.v1.";
  for (size_t at = bytes.find(prefix); at != std::string::npos; at = bytes.find(prefix, at + 1)) {
    size_t end = at;
    while (end < bytes.size() && (std::isalnum(bytes[end]) != 0 || bytes[end] == '.')) ++end;
    services.insert(bytes.substr(at, end - at));
  }
  return services;
}

// What reflection lists is implemented, or listed as not, and answers so.
TEST(Unimplemented, AreExactlyTheMethodsThatSaySo) {
  RunningServer server;
  std::set<std::string> listed;
  const v1::ServerInfo info = InfoOf(server);
  for (const std::string& method : info.unimplemented()) listed.insert(method);
  const std::set<std::string> services = ReflectedServices(server);
  EXPECT_THAT(services, Contains("costate.v1.SolveService"));
  EXPECT_EQ(services.size(), 6u);
  std::set<std::string> answered;
  int methods = 0;
  for (const std::string& name : services) {
    const auto* service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    ASSERT_NE(service, nullptr) << name;
    for (int i = 0; i < service->method_count(); ++i) {
      const std::string method = name + "/" + service->method(i)->name();
      const grpc::Status status = CallRaw(server.channel(), method, "");
      ++methods;
      if (status.error_code() != grpc::StatusCode::UNIMPLEMENTED) continue;
      answered.insert(method);
      EXPECT_THAT(status.error_message(), HasSubstr("--data-directory")) << method;
    }
  }
  EXPECT_EQ(answered, listed);
  EXPECT_EQ(answered.size(), 7u) << "those of JobService, without a data directory";
  EXPECT_EQ(methods, 25);
}

}  // namespace
}  // namespace costate
