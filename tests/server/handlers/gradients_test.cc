#include "server/handlers/gradients.h"

#include <cmath>
#include <string>

#include "tests/server/proto_matchers.h"
#include "tests/server/running_server.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// x(t) = x0 exp(-k t): dx/dk = -t x, dx/dx0 = exp(-k t), dx/dt1 = -k x at the end.
constexpr char kDecay[] = "param k = 2 in [0, 10]\nstate x = 3\nx' = -k*x\noutput twice = 2*x\n";
constexpr char kTight[] =
    "simulation { t1: 0.5 options { adaptive { rtol: 1e-10 atol: 1e-12 } } } ";

class GradientServiceTest : public ::testing::Test {
 protected:
  template <typename Request>
  static Request With(const std::string& more) {
    auto request = FromText<Request>(kTight + more);
    request.mutable_simulation()->mutable_model()->set_text(kDecay);
    return request;
  }

  RunningServer server_;
  grpc::ClientContext context_;
};

TEST_F(GradientServiceTest, ComputesGradientsByEveryMethod) {
  const double x = 3 * std::exp(-1.0);
  const double residual = (2 * x - 1) / 0.5;  // output twice against 1, sigma 0.5
  for (const char* method :
       {"GRADIENT_METHOD_FORWARD", "GRADIENT_METHOD_BACKPROP", "GRADIENT_METHOD_UNSPECIFIED"}) {
    grpc::ClientContext context;
    v1::ComputeGradientResponse response;
    const auto request = With<v1::ComputeGradientRequest>(
        std::string("wrt: ['k', 'x', 't1'] want_saved: true gradient { method: ") + method +
        " } loss { terms { least_squares { output: 'twice' times { values: 0.5 } values { values: "
        "1 } sigma { values: 0.5 } } } }");
    const grpc::Status status = server_.gradients().ComputeGradient(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_NEAR(Doubles(response.loss())[0], residual * residual, 1e-8);
    const std::vector<double> gradient = Doubles(response.gradient());
    ASSERT_EQ(gradient.size(), 3u);
    const double dloss_dx = 2 * residual * 2 / 0.5;
    EXPECT_NEAR(gradient[0], dloss_dx * -0.5 * x, 1e-7) << method;
    EXPECT_NEAR(gradient[1], dloss_dx * std::exp(-1.0), 1e-7) << method;
    EXPECT_NEAR(gradient[2], 0, 1e-7) << "saved times do not move with t1";
    EXPECT_THAT(response, Partially(R"pb(
                  gradient { shape: [ 1, 3 ] }
                  wrt_layout { name: "k" }
                  wrt_layout { name: "x" offset: 1 }
                  wrt_layout { name: "t1" offset: 2 }
                  saved_times { shape: 1 }
                  saved_states { shape: [ 1, 1, 1 ] }
                  terminations { reason: REASON_REACHED_END })pb"));
    EXPECT_NEAR(Doubles(response.saved_states())[0], x, 1e-8);
    EXPECT_NE(response.gradient_options().method(), v1::GRADIENT_METHOD_UNSPECIFIED);
    EXPECT_EQ(response.method_reason().empty(),
              std::string(method) != "GRADIENT_METHOD_UNSPECIFIED");
    EXPECT_TRUE(response.options().has_adaptive());
  }
}

TEST_F(GradientServiceTest, DifferentiatesBatches) {
  v1::ComputeGradientResponse response;
  auto request = With<v1::ComputeGradientRequest>(
      "loss { terms { terminal { state_weights { values: 1 } } } }");
  *request.mutable_simulation()->add_params() =
      FromText<v1::NamedArray>("name: 'k' array { values: [1, 2] }");
  ASSERT_TRUE(server_.gradients().ComputeGradient(&context_, request, &response).ok());
  const std::vector<double> gradient = Doubles(response.gradient());
  ASSERT_EQ(gradient.size(), 2u);
  EXPECT_NEAR(gradient[0], -0.5 * 3 * std::exp(-0.5), 1e-8);
  EXPECT_NEAR(gradient[1], -0.5 * 3 * std::exp(-1.0), 1e-8);
  EXPECT_TRUE(response.batched());
}

TEST_F(GradientServiceTest, ComputesVjps) {
  v1::ComputeVjpResponse response;
  const auto request = With<v1::ComputeVjpRequest>(
      "wrt: ['k', 't1'] cotangents { terms { terminal { state_weights { values: 1 } } } } "
      "cotangents { terms { linear { times { values: 0.25 } output_weights { values: 3 } } } }");
  const grpc::Status status = server_.gradients().ComputeVjp(&context_, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const std::vector<double> g = Doubles(response.gradients());
  ASSERT_EQ(g.size(), 4u);
  const double end = 3 * std::exp(-1.0), middle = 3 * std::exp(-0.5);
  EXPECT_NEAR(g[0], -0.5 * end, 1e-8);
  EXPECT_NEAR(g[1], -2 * end, 1e-8);
  EXPECT_NEAR(g[2], 6 * -0.25 * middle, 1e-7);
  EXPECT_NEAR(g[3], 0, 1e-7);
  EXPECT_NEAR(Doubles(response.values())[0], end, 1e-8);
  EXPECT_NEAR(Doubles(response.values())[1], 6 * middle, 1e-7);
}

TEST_F(GradientServiceTest, ComputesJvpsAndSensitivities) {
  const double end = 3 * std::exp(-1.0);
  v1::ComputeJvpResponse jvp;
  const auto request = With<v1::ComputeJvpRequest>(
      "wrt: ['k', 'x'] directions { shape: [3, 2] values: [1, 0, 0, 1, 2, 3] }");
  const grpc::Status status = server_.gradients().ComputeJvp(&context_, request, &jvp);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const std::vector<double> tangents = Doubles(jvp.state_tangents());
  ASSERT_EQ(tangents.size(), 3u);
  EXPECT_NEAR(tangents[0], -0.5 * end, 1e-8);
  EXPECT_NEAR(tangents[1], std::exp(-1.0), 1e-8);
  EXPECT_NEAR(tangents[2], 2 * tangents[0] + 3 * tangents[1], 1e-7);
  EXPECT_NEAR(Doubles(jvp.output_tangents())[1], 2 * std::exp(-1.0), 1e-8);

  grpc::ClientContext context;
  v1::ComputeSensitivitiesResponse sensitivities;
  ASSERT_TRUE(server_.gradients()
                  .ComputeSensitivities(&context,
                                        With<v1::ComputeSensitivitiesRequest>("wrt: ['k', 'x']"),
                                        &sensitivities)
                  .ok());
  EXPECT_THAT(sensitivities, Partially("state_sensitivities { shape: [1, 1, 2] } "
                                       "output_sensitivities { shape: [1, 1, 2] }"));
  EXPECT_NEAR(Doubles(sensitivities.state_sensitivities())[0], -0.5 * end, 1e-8);
}

TEST_F(GradientServiceTest, NamesWhatItCannotDo) {
  const auto refuse = [this](const std::string& more) {
    grpc::ClientContext context;
    v1::ComputeGradientResponse response;
    return server_.gradients().ComputeGradient(&context, With<v1::ComputeGradientRequest>(more),
                                               &response);
  };
  const std::string terminal = "loss { terms { terminal { state_weights { values: 1 } } } } ";
  grpc::Status status = refuse(terminal + "wrt: 'q'");
  EXPECT_THAT(ViolatedFields(status), ElementsAre("wrt[0]"));
  status = refuse(terminal + "gradient { method: GRADIENT_METHOD_GAUSS }");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_THAT(status.error_message(), HasSubstr("GRADIENT_METHOD_BACKPROP"));
  status = refuse(
      "loss { terms { least_squares { output: 'q' times { values: 1 } values { values: "
      "1 } } } }");
  EXPECT_THAT(ViolatedFields(status), ElementsAre("loss.terms[0].least_squares.output"));
  status = refuse(
      "loss { terms { least_squares { output: 'twice' times { values: 1 } values { "
      "values: 1 } } } }");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("loss.terms[0]"));
}

}  // namespace
}  // namespace costate
