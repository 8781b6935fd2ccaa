#include "server/handlers/gradients.h"

#include <cmath>
#include <string>

#include "server/convert/options.h"
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
  status = refuse(terminal + "gradient { method: GRADIENT_METHOD_REVERSIBLE }");
  EXPECT_THAT(ViolatedFields(status), ElementsAre("gradient.method"));
  EXPECT_THAT(status.error_message(), HasSubstr("give it a coupling"));
  status = refuse(terminal + "gradient { method: GRADIENT_METHOD_BACKSOLVE }");
  EXPECT_THAT(ViolatedFields(status), ElementsAre("gradient.backward.rtol"));
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

// A hundred thousand reports pass the limit of a message. The solves asked for would not end.
TEST_F(GradientServiceTest, RefusesAnswersThatCannotBeSentBeforeTheWork) {
  auto request = With<v1::ComputeGradientRequest>(
      "loss { terms { terminal { state_weights { values: 1 } } } } gradient { report { every: 1 } "
      "}");
  for (int b = 0; b < 200'000; ++b) request.mutable_simulation()->add_t1(1e6);
  request.mutable_simulation()->mutable_options()->mutable_fixed()->set_step(1e-2);
  v1::ComputeGradientResponse response;
  grpc::Status status = server_.gradients().ComputeGradient(&context_, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("leave out saved values and reports"));
  EXPECT_THAT(status.error_message(), HasSubstr("a message at most 67108864"));

  // q = 1,200,000 in 8 rows.
  auto check =
      With<v1::CheckGradientRequest>("loss { terms { terminal { state_weights { values: 1 } } } }");
  check.mutable_simulation()->mutable_model()->set_text(
      "param k[1200000]\nstate x = 3\nx' = -k[0]*x\n");
  for (int i = 0; i < 8; ++i) check.add_methods(v1::GRADIENT_METHOD_FORWARD);
  grpc::ClientContext context;
  v1::CheckGradientResponse rows;
  status = server_.gradients().CheckGradient(&context, check, &rows);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("compare fewer methods"));
}

// The room is one for all calls, and given back.
TEST(GradientDisk, IsShared) {
  ServerOptions options = TestServerOptions();
  options.environment.scratch_directory = ::testing::TempDir();
  options.environment.max_disk_bytes = 1 << 20;
  RunningServer server(options);
  auto request = FromText<v1::ComputeGradientRequest>(
      "simulation { t1: 1 options { fixed { step: 0.001 } } } "
      "loss { terms { expression { text: 'sum(y)' times { values: 1 } } } } "
      "gradient { method: GRADIENT_METHOD_CHECKPOINTED checkpoints: 100 memory_budget_bytes: 32768 "
      "report { level: LEVEL_OFF } }");
  request.mutable_simulation()->mutable_model()->set_text(
      "param k = 2\nstate y[200] = 0\ny' = k - y\n");
  const auto call = [&] {
    grpc::ClientContext context;
    v1::ComputeGradientResponse response;
    const grpc::Status status = server.gradients().ComputeGradient(&context, request, &response);
    EXPECT_EQ(response.stats_size() == 1 && response.stats(0).disk_bytes() > 0, status.ok());
    return status;
  };
  EXPECT_TRUE(call().ok());
  EXPECT_EQ(server.environment().disk().held(), 0);
  MemoryBudget::Hold other = server.environment().disk().TakeUpTo(1'000'000);
  const grpc::Status refused = call();
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(refused.error_message(), HasSubstr("room on disk"));
  EXPECT_THAT(refused.error_details(), HasSubstr("RetryInfo"));
  other.Release();
  EXPECT_TRUE(call().ok());
}

// L = (2 x(1/2) - 1)^2 / sigma^2 with sigma = 1/2.
constexpr char kSquares[] =
    "loss { terms { least_squares { output: 'twice' times { values: 0.5 } values { values: 1 } "
    "sigma { values: 0.5 } } } } ";

TEST_F(GradientServiceTest, KnowsEveryGradientMethod) {
  const double x = 3 * std::exp(-1.0);
  const double expected = 2 * (2 * x - 1) / 0.5 * 2 / 0.5 * -0.5 * x;
  std::vector<GradientMethod> methods(AllGradientMethods().begin(), AllGradientMethods().end());
  methods.push_back(GradientMethod::kReversible);
  for (const GradientMethod method : methods) {
    grpc::ClientContext context;
    v1::ComputeGradientResponse response;
    auto request = With<v1::ComputeGradientRequest>(std::string(kSquares) +
                                                    "gradient { report { level: LEVEL_OFF } }");
    request.mutable_gradient()->set_method(GradientMethodToProto(method));
    if (method == GradientMethod::kBacksolve) {
      request.mutable_gradient()->mutable_backward()->set_rtol(1e-10);
      request.mutable_gradient()->mutable_backward()->set_atol(1e-12);
    }
    if (method == GradientMethod::kReversible) {
      request.mutable_simulation()->mutable_options()->set_coupling(0.999);
    }
    const grpc::Status status = server_.gradients().ComputeGradient(&context, request, &response);
    ASSERT_TRUE(status.ok()) << GetGradientMethodInfo(method).name << ": "
                             << status.error_message();
    EXPECT_NEAR(Doubles(response.gradient())[0], expected, 1e-5 * std::fabs(expected))
        << GetGradientMethodInfo(method).name;
    EXPECT_EQ(response.gradient_options().method(), GradientMethodToProto(method));
  }
}

// Each scheme that goes back, and the bytes that its steps would have taken.
TEST_F(GradientServiceTest, TakesStepsBack) {
  const std::string fixed = "fixed { step: 0.0005 } ";
  for (const char* scheme :
       {"method: METHOD_RK4 coupling: 0.999", "method: METHOD_TSIT5 coupling: 1",
        "method: METHOD_ALF", "method: METHOD_ALF eta: 0.999", "method: METHOD_REVERSIBLE_HEUN",
        "method: METHOD_LEAPFROG_MIDPOINT", "method: METHOD_EES25", "method: METHOD_EES27"}) {
    v1::ComputeGradientResponse answers[2];
    for (const bool reversible : {false, true}) {
      auto request = FromText<v1::ComputeGradientRequest>(
          "simulation { t1: 0.5 options { " + fixed + scheme + " } } " + kSquares +
          "gradient { report { level: LEVEL_OFF } }");
      request.mutable_simulation()->mutable_model()->set_text(kDecay);
      request.mutable_gradient()->set_method(reversible ? v1::GRADIENT_METHOD_REVERSIBLE
                                                        : v1::GRADIENT_METHOD_BACKPROP);
      grpc::ClientContext context;
      const grpc::Status status =
          server_.gradients().ComputeGradient(&context, request, &answers[reversible]);
      ASSERT_TRUE(status.ok()) << scheme << ": " << status.error_message();
      EXPECT_THAT(answers[reversible],
                  Partially(std::string("options { ") + fixed + scheme + " }"));
    }
    EXPECT_EQ(Doubles(answers[0].loss()), Doubles(answers[1].loss())) << scheme;
    const double expected = Doubles(answers[0].gradient())[0];
    EXPECT_NEAR(Doubles(answers[1].gradient())[0], expected, 1e-10 * std::fabs(expected)) << scheme;
    EXPECT_LT(2 * answers[1].stats(0).peak_stored_bytes(), answers[0].stats(0).peak_stored_bytes())
        << scheme;
  }
}

TEST_F(GradientServiceTest, SchemesThatCannotBeAreNamed) {
  const auto refuse = [this](const std::string& options, const std::string& gradient) {
    auto request =
        FromText<v1::ComputeGradientRequest>("simulation { t1: 0.5 options { " + options + " } } " +
                                             kSquares + "gradient { " + gradient + " }");
    request.mutable_simulation()->mutable_model()->set_text(kDecay);
    grpc::ClientContext context;
    v1::ComputeGradientResponse response;
    const grpc::Status status = server_.gradients().ComputeGradient(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << options << gradient;
    return status;
  };
  const std::string steps = "fixed { step: 0.125 } ";
  for (const char* value : {"0", "-1", "1.5", "nan"}) {
    const grpc::Status status = refuse(steps + "method: METHOD_RK4 coupling: " + value, "");
    EXPECT_THAT(ViolatedFields(status), ElementsAre("simulation.options.coupling"));
    EXPECT_THAT(status.error_message(), HasSubstr("a number in (0, 1]"));
  }
  grpc::Status status = refuse(steps + "method: METHOD_ALF coupling: 0.999", "");
  EXPECT_THAT(ViolatedFields(status), ElementsAre("simulation.options.coupling"));
  EXPECT_THAT(status.error_message(), HasSubstr("alf is reversible by itself"));
  status = refuse(steps + "method: METHOD_ALF eta: 0.5", "");
  EXPECT_THAT(ViolatedFields(status), ElementsAre("simulation.options.eta"));
  status = refuse(steps + "method: METHOD_RK4 eta: 0.5", "");
  EXPECT_THAT(ViolatedFields(status), ElementsAre("simulation.options.eta"));
  status = refuse("method: METHOD_RK4 coupling: 0.999", "");
  EXPECT_THAT(ViolatedFields(status), ElementsAre("simulation.options.method"));
  EXPECT_THAT(status.error_message(), HasSubstr("or a fixed step"));
  status = refuse("method: METHOD_TSIT5", "method: GRADIENT_METHOD_REVERSIBLE");
  EXPECT_THAT(ViolatedFields(status), ElementsAre("gradient.method"));
  status = refuse("method: METHOD_TSIT5 coupling: 0.999",
                  "method: GRADIENT_METHOD_CHECKPOINTED checkpoint_every: 3");
  EXPECT_THAT(ViolatedFields(status), ElementsAre("gradient.checkpoint_every"));
  for (const char* method : {"GAUSS", "INTERPOLATING", "QUADRATURE",
                             "BACKSOLVE backward { rtol: 1e-8 atol: 1e-8 }", "COMPLEX_STEP"}) {
    status = refuse("method: METHOD_TSIT5 coupling: 0.999",
                    std::string("method: GRADIENT_METHOD_") + method);
    EXPECT_THAT(ViolatedFields(status), ElementsAre("gradient.method"));
    EXPECT_THAT(status.error_message(), HasSubstr("a coupled tsit5 carries more than the state"));
  }
}

TEST_F(GradientServiceTest, ReportsUnlessTheReportIsOff) {
  const auto reports = [this](const std::string& options) {
    grpc::ClientContext context;
    v1::ComputeGradientResponse response;
    const grpc::Status status = server_.gradients().ComputeGradient(
        &context, With<v1::ComputeGradientRequest>(kSquares + options), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  };
  const v1::ComputeGradientResponse basic = reports("");
  ASSERT_EQ(basic.reports_size(), 1);
  EXPECT_NE(basic.reports(0).verdict(), v1::GradientReport::VERDICT_UNSPECIFIED);
  EXPECT_NE(basic.reports(0).summary(), "");
  EXPECT_GT(basic.reports(0).checks_size(), 0);
  EXPECT_EQ(basic.gradient_options().report().level(), v1::ReportOptions::LEVEL_BASIC);
  EXPECT_EQ(reports("gradient { report { level: LEVEL_OFF } }").reports_size(), 0);
  const v1::ComputeGradientResponse refined =
      reports("gradient { report { tolerance_refinement: true } }");
  ASSERT_EQ(refined.reports_size(), 1);
  EXPECT_TRUE(refined.reports(0).error_measured());
  EXPECT_EQ(Doubles(refined.reports(0).refinement_difference()).size(), 1u);
}

TEST_F(GradientServiceTest, ReportsOnSomeOfABatch) {
  const auto answer = [this](const std::string& options) {
    grpc::ClientContext context;
    v1::ComputeGradientRequest request = With<v1::ComputeGradientRequest>(kSquares + options);
    v1::NamedArray* rates = request.mutable_simulation()->add_params();
    rates->set_name("k");
    for (int b = 0; b < 5; ++b) rates->mutable_array()->add_values(1 + 0.1 * b);
    rates->mutable_array()->add_shape(5);
    v1::ComputeGradientResponse response;
    const grpc::Status status = server_.gradients().ComputeGradient(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response;
  };
  const auto made = [](const v1::ComputeGradientResponse& response) {
    std::vector<int> which;
    for (int b = 0; b < response.reports_size(); ++b) {
      if (response.reports(b).verdict() != v1::GradientReport::VERDICT_UNSPECIFIED) {
        which.push_back(b);
      } else {
        EXPECT_FALSE(response.reports(b).has_abs_error());
      }
    }
    return which;
  };
  const v1::ComputeGradientResponse some = answer("gradient { report { every: 2 } }");
  EXPECT_EQ(made(some), (std::vector<int>{0, 2, 4}));
  EXPECT_EQ(some.gradient_options().report().every(), 2);
  const v1::ComputeGradientResponse unset = answer("");
  EXPECT_EQ(made(unset), (std::vector<int>{0}));
  EXPECT_EQ(unset.gradient_options().report().every(), 16);
  EXPECT_EQ(Doubles(unset.gradient()), Doubles(some.gradient()));
}

TEST_F(GradientServiceTest, GivesDerivativesBySaveTimes) {
  v1::ComputeGradientResponse response;
  const auto request = With<v1::ComputeGradientRequest>(
      "loss { terms { linear { times { values: [0.25, 0.5] } output_weights { shape: [2, 1] "
      "values: "
      "[1, 1] } } } } gradient { method: GRADIENT_METHOD_BACKPROP want_time_gradient: true report "
      "{ "
      "level: LEVEL_OFF } }");
  const grpc::Status status = server_.gradients().ComputeGradient(&context_, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const std::vector<double> by_time = Doubles(response.time_gradient());
  ASSERT_EQ(by_time.size(), 2u);
  EXPECT_NEAR(by_time[0], -2 * 6 * std::exp(-0.5), 1e-6);
  EXPECT_NEAR(by_time[1], -2 * 6 * std::exp(-1.0), 1e-6);
}

// integral of x^2 over [0, 1/2] is 9 (1 - exp(-k)) / (2k) at k t1 = k / 2; and log x(t) = log 3 -
// kt.
TEST_F(GradientServiceTest, DifferentiatesTexts) {
  v1::ComputeGradientResponse response;
  const auto request = With<v1::ComputeGradientRequest>(
      "loss { terms { integral { integrand: 'x^2' } } terms { expression { text: 'sum(w*log(x))' "
      "times { values: [0.5, 0.25] } data { name: 'w' array { shape: 2 values: [3, 5] } } } } } "
      "gradient { report { level: LEVEL_OFF } }");
  const grpc::Status status = server_.gradients().ComputeGradient(&context_, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  const double k = 2;
  const double e = std::exp(-k);
  EXPECT_NEAR(Doubles(response.loss())[0],
              9 * (1 - e) / (2 * k) + 8 * std::log(3.0) - k * (3 * 0.5 + 5 * 0.25), 1e-7);
  EXPECT_NEAR(Doubles(response.gradient())[0],
              9 * (e / (2 * k) - (1 - e) / (2 * k * k)) - (3 * 0.5 + 5 * 0.25), 1e-6);
}

// x = x0 exp(-k t): L = x(t1)^2 / 2 has d2L/dx0 dx0 = exp(-2 k t), d2L/dk dx0 = -2 t x0 exp(-2 k
// t), d2L/dk dk = 2 t^2 x^2; Gauss-Newton keeps t^2 x^2 of the last.
TEST_F(GradientServiceTest, ComputesHessianProducts) {
  const double x = 3 * std::exp(-1.0);
  for (const bool gauss_newton : {false, true}) {
    grpc::ClientContext context;
    v1::ComputeHvpResponse response;
    auto request = With<v1::ComputeHvpRequest>(
        "wrt: ['k', 'x'] loss { terms { least_squares { state: 'x' times { values: 0.5 } values { "
        "values: 0 } half: true } } } vectors { shape: [2, 2] values: [1, 0, 0, 1] }");
    request.set_gauss_newton(gauss_newton);
    const grpc::Status status = server_.gradients().ComputeHvp(&context, request, &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_THAT(response,
                Partially("products { shape: [2, 2] } wrt_layout { name: 'k' } wrt_layout "
                          "{ name: 'x' offset: 1 }"));
    const std::vector<double> hessian = Doubles(response.products());
    ASSERT_EQ(hessian.size(), 4u);
    EXPECT_NEAR(response.loss(), x * x / 2, 1e-8);
    EXPECT_NEAR(Doubles(response.gradient())[0], -0.5 * x * x, 1e-7);
    EXPECT_NEAR(hessian[0], (gauss_newton ? 1 : 2) * 0.25 * x * x, 1e-6);
    EXPECT_NEAR(hessian[1], (gauss_newton ? 1 : 2) * -0.5 * 3 * std::exp(-2.0), 1e-6);
    EXPECT_NEAR(hessian[2], hessian[1], 1e-6) << "symmetric";
    EXPECT_NEAR(hessian[3], std::exp(-2.0), 1e-6);
    EXPECT_NE(response.model(), "");
  }
}

TEST_F(GradientServiceTest, ComparesMethods) {
  v1::CheckGradientResponse response;
  const auto request = With<v1::CheckGradientRequest>(
      std::string(kSquares) + "methods: [GRADIENT_METHOD_BACKPROP, GRADIENT_METHOD_FORWARD]");
  const grpc::Status status = server_.gradients().CheckGradient(&context_, request, &response);
  ASSERT_TRUE(status.ok()) << status.error_message();
  ASSERT_EQ(response.rows_size(), 2);
  EXPECT_EQ(response.rows(0).method(), v1::GRADIENT_METHOD_BACKPROP);
  EXPECT_EQ(response.rows(1).method(), v1::GRADIENT_METHOD_FORWARD);
  EXPECT_LT(response.rows(1).relative_difference(), 1e-6);
  for (const auto& row : response.rows()) EXPECT_GT(row.cost_in_solves(), 1);
  grpc::ClientContext context;
  v1::CheckGradientResponse all;
  ASSERT_TRUE(server_.gradients()
                  .CheckGradient(&context, With<v1::CheckGradientRequest>(kSquares), &all)
                  .ok());
  EXPECT_EQ(all.rows_size(), 4);
}

TEST_F(GradientServiceTest, HessiansAndChecksTakeOneTrajectory) {
  const auto batch = FromText<v1::NamedArray>("name: 'k' array { values: [1, 2] }");
  auto vectors = With<v1::ComputeHvpRequest>(std::string(kSquares) + "vectors { values: 1 }");
  *vectors.mutable_simulation()->add_params() = batch;
  v1::ComputeHvpResponse hvp;
  grpc::Status status = server_.gradients().ComputeHvp(&context_, vectors, &hvp);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  auto methods = With<v1::CheckGradientRequest>(kSquares);
  *methods.mutable_simulation()->add_params() = batch;
  grpc::ClientContext context;
  v1::CheckGradientResponse check;
  status = server_.gradients().CheckGradient(&context, methods, &check);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

}  // namespace
}  // namespace costate
