// Messages made to hurt: each gets an error that says why, in bounded time and memory, and the
// server serves on.
#include <sys/resource.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/proto_matchers.h"
#include "tests/server/raw_call.h"
#include "tests/server/running_server.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

constexpr char kDecay[] = "param k = 2\nstate x = 1\nx' = -k*x\n";
constexpr char kSolve[] = "costate.v1.SolveService/Solve";

// Resident memory now, and its peak so far.
int64_t StatusBytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  std::string word;
  while (file >> word) {
    int64_t kilobytes = 0;
    if (word == key + ":" && file >> kilobytes) return kilobytes << 10;
  }
  return 0;
}

// A length-delimited field.
std::string Field(int number, const std::string& payload) {
  std::string bytes;
  const auto varint = [&bytes](uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes.push_back(static_cast<char>(0x80 | (value & 0x7f)));
    bytes.push_back(static_cast<char>(value));
  };
  varint(static_cast<uint64_t>(number) << 3 | 2);
  varint(payload.size());
  return bytes + payload;
}

std::string Repeat(const std::string& text, size_t count) {
  std::string all;
  all.reserve(text.size() * count);
  for (size_t i = 0; i < count; ++i) all += text;
  return all;
}

class HostileMessages : public ::testing::Test {
 protected:
  grpc::Status Solve(const v1::SolveRequest& request) {
    return CallRaw(server_.channel(), kSolve, request.SerializeAsString());
  }
  static v1::SolveRequest Request(const std::string& more) {
    auto request = FromText<v1::SolveRequest>("simulation { t1: 1 " + more + " }");
    request.mutable_simulation()->mutable_model()->set_text(kDecay);
    return request;
  }
  void TearDown() override {
    const grpc::Status status = Solve(Request(""));
    EXPECT_TRUE(status.ok()) << "the server serves on: " << status.error_message();
  }

  RunningServer server_;
};

// M1: shapes that promise more than there is.
TEST_F(HostileMessages, HugeShapesAllocateNothing) {
  const int64_t before = StatusBytes("VmHWM");
  for (const char* shape : {"shape: 1000000000000", "shape: [1000000, 1000000, 1000000, 1000000]",
                            "shape: [4294967296, 4294967296]", "shape: [-1, -8]"}) {
    const grpc::Status status =
        Solve(Request(absl::StrCat("params { name: 'k' array { ", shape, " data: '12345678' } }")));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << shape;
    EXPECT_FALSE(ViolatedFields(status).empty());
  }
  EXPECT_LT(StatusBytes("VmHWM") - before, 64 << 20);
}

// M2: depth, and texts that grow when they are expanded.
TEST_F(HostileMessages, DeepAndGrowingModels) {
  const std::string open(1'000'000, '(');
  std::string doubling = "state x = 1\nlet a0 = x\n";
  for (int i = 1; i <= 60; ++i)
    absl::StrAppend(&doubling, "let a", i, " = a", i - 1, "*a", i - 1, "\n");
  absl::StrAppend(&doubling, "x' = -a60\n");
  auto request = Request("");
  request.mutable_simulation()->mutable_model()->set_text("state x = 1\nx' = " + open + "\n");
  EXPECT_EQ(Solve(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.mutable_simulation()->mutable_model()->set_text(
      "state x = 1\nx' = " + Repeat("-", 1'000'000) + "x\n");
  EXPECT_TRUE(Solve(request).ok()) << "a million signs cancel";
  request.mutable_simulation()->mutable_model()->set_text(doubling);
  EXPECT_TRUE(Solve(request).ok()) << "shared, not expanded";
  EXPECT_EQ(CallRaw(server_.channel(), kSolve, std::string(5000, '\x0b')).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

// M3: two bytes on the wire, a hundred in memory.
TEST_F(HostileMessages, FloodsOfEmptySubmessages) {
  const int64_t before = StatusBytes("VmHWM");
  const std::string params = Repeat(Field(4, ""), 30'000'000);  // Simulation.params
  const grpc::Status status = CallRaw(server_.channel(), kSolve, Field(1, params));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("submessages"));
  EXPECT_LT(StatusBytes("VmHWM") - before, int64_t{512} << 20);
}

TEST_F(HostileMessages, FloodsOfUnknownFields) {
  const grpc::Status status = CallRaw(server_.channel(), kSolve, Repeat(Field(900, ""), 1'000'000));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("does not know"));
}

TEST_F(HostileMessages, TooLargeForItsMethod) {
  const std::string large(int64_t{5} << 20, '\0');
  EXPECT_EQ(CallRaw(server_.channel(), "costate.v1.ModelService/GetModel", large).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  const std::string huge(int64_t{65} << 20, '\0');
  EXPECT_EQ(CallRaw(server_.channel(), kSolve, huge).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(HostileMessages, Noise) {
  std::mt19937 random(3);
  const std::string valid = Request("params { name: 'k' array { values: 1 } }").SerializeAsString();
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string bytes = valid;
    for (int i = 0; i < 2; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
    refused += CallRaw(server_.channel(), kSolve, bytes).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 500);
}

// M5.
TEST_F(HostileMessages, ValuesThatAreNoNumbers) {
  for (const double value :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::signaling_NaN()}) {
    auto request = Request("");
    v1::NamedArray* array = request.mutable_simulation()->add_params();
    array->set_name("k");
    array->mutable_array()->set_data(DoublesToBytes({value}));
    array->mutable_array()->add_shape(1);
    const grpc::Status status = Solve(request);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << value;
  }
}

TEST_F(HostileMessages, ExtremeValuesNeverSucceedWithNan) {
  for (const double k : {1e308, -1e308, 5e-324, -0.0, 1e-310}) {
    auto request = Request("");
    v1::NamedArray* array = request.mutable_simulation()->add_params();
    array->set_name("k");
    array->mutable_array()->add_values(k);
    std::string bytes;
    const grpc::Status status =
        CallRaw(server_.channel(), kSolve, request.SerializeAsString(), &bytes);
    ASSERT_TRUE(status.ok()) << k << status.error_message();
    v1::SolveResponse response;
    ASSERT_TRUE(response.ParseFromString(bytes));
    const bool reached = response.terminations(0).reason() == v1::Termination::REASON_REACHED_END;
    EXPECT_EQ(reached, std::isfinite(Doubles(response.states())[0])) << k;
  }
}

// M8: as many instructions as are allowed, and one more.
v1::SolveRequest LongGraph(int count) {
  v1::SolveRequest request;
  request.mutable_simulation()->add_t1(1e-3);
  v1::Graph* graph = request.mutable_simulation()->mutable_model()->mutable_graph();
  graph->add_states()->set_name("x");
  *graph->mutable_init() = FromText<v1::GraphFunction>(
      "instructions { op: 'constant' attributes: 0 } results { value: 0 } constants { values: 1 }");
  v1::GraphFunction* rhs = graph->mutable_rhs();
  *rhs->add_instructions() = FromText<v1::Instruction>("op: 'input' attributes: [1, 0]");
  for (int i = 1; i < count; ++i) {
    v1::Instruction* instruction = rhs->add_instructions();
    instruction->set_op("sin");
    instruction->add_operands(i - 1);
  }
  rhs->add_results()->set_value(count - 1);
  return request;
}

TEST_F(HostileMessages, MoreInstructionsThanAllowed) {
  const grpc::Status status = Solve(LongGraph(1'000'001));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(ViolatedFields(status),
              ::testing::ElementsAre("simulation.model.graph.rhs.instructions"));
}

TEST_F(HostileMessages, LongGraphsKeepToTheirDeadline) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
  v1::SolveResponse response;
  const grpc::Status status = server_.solves().Solve(&context, LongGraph(300'000), &response);
  EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED)
      << status.error_message();
}

v1::ComputeGradientRequest GradientRequest(const std::string& more) {
  auto request = FromText<v1::ComputeGradientRequest>("simulation { t1: 1 } " + more);
  request.mutable_simulation()->mutable_model()->set_text(kDecay);
  return request;
}

constexpr char kTerminal[] = "loss { terms { terminal { state_weights { values: 1 } } } } ";

// Every number of the gradient's options, at its worst: refused with the field's name, and no
// allocation of that size.
TEST_F(HostileMessages, GradientOptionsOutOfRange) {
  const int64_t before = StatusBytes("VmHWM");
  const struct {
    const char* options;
    const char* field;
  } cases[] = {
      {"memory_budget_bytes: -9223372036854775808", "gradient.memory_budget_bytes"},
      {"memory_budget_bytes: 9223372036854775807", "gradient.memory_budget_bytes"},
      {"method: 3 checkpoints: 9223372036854775807", "gradient.checkpoints"},
      {"method: 4 segments: -1", "gradient.segments"},
      {"method: 8 checkpoint_every: -9223372036854775808", "gradient.checkpoint_every"},
      {"method: 5 backward { rtol: nan atol: 1 }", "gradient.backward.rtol"},
      {"method: 5 backward { rtol: 1 atol: -inf }", "gradient.backward.atol"},
      {"method: 8 backward { method: 2147483647 }", "gradient.backward.method"},
      {"method: 9 difference { step: 0 }", "gradient.difference.step"},
      {"method: 2147483647", "gradient.method"},
      {"method: -2147483648", "gradient.method"},
      {"tangent_control: -1", "gradient.tangent_control"},
      {"report { level: 2147483647 }", "gradient.report.level"},
  };
  for (const auto& tested : cases) {
    const grpc::Status status =
        CallRaw(server_.channel(), "costate.v1.GradientService/ComputeGradient",
                GradientRequest(absl::StrCat(kTerminal, "gradient { ", tested.options, " }"))
                    .SerializeAsString());
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << tested.options;
    EXPECT_THAT(ViolatedFields(status), ::testing::ElementsAre(tested.field)) << tested.options;
  }
  EXPECT_LT(StatusBytes("VmHWM") - before, 64 << 20);
}

// The largest counts that are allowed cost no memory by themselves.
TEST_F(HostileMessages, HugeCountsOfCheckpointsAllocateNothing) {
  const int64_t before = StatusBytes("VmHWM");
  for (const char* options :
       {"method: 3 checkpoints: 1000000000", "method: 4 segments: 1000000000",
        "method: 8 checkpoint_every: 1000000000", "method: 3 memory_budget_bytes: 1",
        "method: 2 memory_budget_bytes: 1", "method: 8 memory_budget_bytes: 1"}) {
    const grpc::Status status = CallRaw(
        server_.channel(), "costate.v1.GradientService/ComputeGradient",
        GradientRequest(absl::StrCat(kTerminal, "gradient { ", options, " }")).SerializeAsString());
    EXPECT_TRUE(status.ok() || status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ||
                status.error_code() == grpc::StatusCode::INVALID_ARGUMENT)
        << options << ": " << status.error_message();
  }
  EXPECT_LT(StatusBytes("VmHWM") - before, 128 << 20);
}

// Texts of losses go through the parser of models, with its bounds.
TEST_F(HostileMessages, DeepAndBrokenLossTexts) {
  for (const std::string& text :
       {std::string(1'000'000, '('), Repeat("sin(", 100'000), std::string("x +"),
        std::string("nope"), std::string("\xff\xfe"), std::string(1, '\0'),
        std::string("x\nx' = 1"), std::string("y' = 1"), Repeat("x*", 500'000)}) {
    auto integral = GradientRequest("");
    integral.mutable_loss()->add_terms()->mutable_integral()->set_integrand(text);
    auto expression = GradientRequest("");
    v1::Expression* term = expression.mutable_loss()->add_terms()->mutable_expression();
    term->set_text(text);
    term->mutable_times()->add_values(1);
    for (const auto& request : {integral, expression}) {
      const grpc::Status status =
          CallRaw(server_.channel(), "costate.v1.GradientService/ComputeGradient",
                  request.SerializeAsString());
      EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT)
          << text.substr(0, 20) << ": " << status.error_message();
      EXPECT_LT(status.error_message().size(), 2000u);
    }
  }
}

TEST_F(HostileMessages, FloodsOfMethodsToCheck) {
  v1::CheckGradientRequest request;
  request.mutable_simulation()->add_t1(1);
  request.mutable_simulation()->mutable_model()->set_text(kDecay);
  *request.mutable_loss() = GradientRequest(kTerminal).loss();
  for (int i = 0; i < 1'000'000; ++i) request.add_methods(v1::GRADIENT_METHOD_FORWARD);
  const grpc::Status status = CallRaw(server_.channel(), "costate.v1.GradientService/CheckGradient",
                                      request.SerializeAsString());
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(ViolatedFields(status), ::testing::ElementsAre("methods"));
}

TEST_F(HostileMessages, VectorsThatDoNotFit) {
  for (const char* vectors : {"shape: [1000000000, 1] values: 1", "shape: [1, 2] values: [1, 2]",
                              "values: nan", "", "shape: [0, 1]", "shape: [1, 1, 1] values: 1"}) {
    auto request = FromText<v1::ComputeHvpRequest>(
        absl::StrCat("simulation { t1: 1 } vectors { ", vectors, " } ", kTerminal));
    request.mutable_simulation()->mutable_model()->set_text(kDecay);
    const grpc::Status status = CallRaw(server_.channel(), "costate.v1.GradientService/ComputeHvp",
                                        request.SerializeAsString());
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << vectors;
  }
}

// Solves that nobody comes back for: within the quota, whatever is asked.
TEST_F(HostileMessages, FloodsOfKeptSolves) {
  constexpr char kKeep[] = "costate.v1.GradientService/KeepSolve";
  ServerOptions options = TestServerOptions();
  options.environment.max_kept_bytes = 1 << 20;
  RunningServer server(options);
  auto request = FromText<v1::KeepSolveRequest>(
      "simulation { t1: 1 options { fixed { step: 0.001 } } } lifetime { seconds: 3600 } gradient "
      "{ "
      "method: GRADIENT_METHOD_BACKPROP }");
  request.mutable_simulation()->mutable_model()->set_text(kDecay);
  for (int i = 0; i < 300; ++i) {
    const grpc::Status status = CallRaw(server.channel(), kKeep, request.SerializeAsString());
    ASSERT_TRUE(status.ok()) << status.error_message();
  }
  EXPECT_LE(server.environment().kept_solves().held_bytes(), 1 << 20);
  EXPECT_GT(server.environment().kept_solves().size(), 1);
  EXPECT_LT(server.environment().kept_solves().size(), 100);
  for (const char* name : {"", "solves/", "solves/../../etc/passwd", "\xff\xff"}) {
    const std::string release = Field(1, name);
    EXPECT_NE(
        CallRaw(server.channel(), "costate.v1.GradientService/ReleaseSolve", release).error_code(),
        grpc::StatusCode::OK);
  }
}

// Many calls on one kept solve wait for each other; those that give up leave nothing behind.
TEST_F(HostileMessages, CrowdsAroundOneKeptSolve) {
  auto keep = FromText<v1::KeepSolveRequest>(
      "simulation { t1: 1 options { fixed { step: 1e-5 } } } gradient { method: "
      "GRADIENT_METHOD_CHECKPOINTED checkpoints: 4 }");
  keep.mutable_simulation()->mutable_model()->set_text(kDecay);
  v1::KeepSolveResponse kept;
  grpc::ClientContext context;
  ASSERT_TRUE(server_.gradients().KeepSolve(&context, keep, &kept).ok());
  auto request = FromText<v1::ComputeGradientRequest>(
      "loss { terms { terminal { state_weights { values: 1 } } } }");
  request.set_kept_solve(kept.kept_solve());
  std::vector<std::thread> crowd;
  for (int i = 0; i < 24; ++i) {
    crowd.emplace_back([&, i] {
      grpc::ClientContext own;
      if (i % 2 == 0)
        own.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(3 * i));
      v1::ComputeGradientResponse response;
      const grpc::Status status = server_.gradients().ComputeGradient(&own, request, &response);
      EXPECT_TRUE(status.ok() || i % 2 == 0 ||
                  status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED)
          << status.error_message();
    });
  }
  for (std::thread& one : crowd) one.join();
  grpc::ClientContext last;
  v1::ComputeGradientResponse response;
  const grpc::Status status = server_.gradients().ComputeGradient(&last, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_NEAR(Doubles(response.gradient())[0], -std::exp(-2.0), 1e-4);
}

TEST_F(HostileMessages, LogsTellNoValues) {
  auto request = Request("params { name: 'k' array { values: 123454321.5 } }");
  request.mutable_simulation()->mutable_model()->set_text(
      "param k = 2\nstate canary_state = 1\ncanary_state' = -k*canary_state\n");
  EXPECT_TRUE(Solve(request).ok());
  request.mutable_simulation()->mutable_model()->set_text("state canary_state = oops\n");
  EXPECT_FALSE(Solve(request).ok());
  for (const std::string& line : server_.log_lines()) {
    EXPECT_EQ(line.find("canary"), std::string::npos) << line;
    EXPECT_EQ(line.find("12345432"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace costate
