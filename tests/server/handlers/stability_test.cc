#include "server/handlers/stability.h"

#include <chrono>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "tests/server/proto_matchers.h"
#include "tests/server/running_server.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class StabilityServiceTest : public ::testing::Test {
 protected:
  grpc::Status Region(const std::string& text) {
    grpc::ClientContext context;
    region_.Clear();
    return stub_->ComputeStabilityRegion(
        &context, FromText<v1::ComputeStabilityRegionRequest>(text), &region_);
  }
  grpc::Status Analyze(const std::string& model, const std::string& simulation,
                       const std::string& more = "") {
    auto request =
        FromText<v1::AnalyzeStabilityRequest>("simulation { " + simulation + " } " + more);
    request.mutable_simulation()->mutable_model()->set_text(model);
    grpc::ClientContext context;
    analysis_.Clear();
    return stub_->AnalyzeStability(&context, request, &analysis_);
  }

  RunningServer server_;
  std::unique_ptr<v1::StabilityService::Stub> stub_ =
      v1::StabilityService::NewStub(server_.channel());
  v1::ComputeStabilityRegionResponse region_;
  v1::AnalyzeStabilityResponse analysis_;
};

TEST_F(StabilityServiceTest, RegionOfEuler) {
  ASSERT_TRUE(Region("method { base: METHOD_EULER }").ok());
  EXPECT_NEAR(region_.real_interval_left(), -2, 1e-12);
  EXPECT_EQ(region_.imag_interval(), 0);
  EXPECT_NEAR(region_.area(), std::numbers::pi, 1e-3);
  ASSERT_EQ(region_.boundary_size(), 1);
  const std::vector<double> points = Doubles(region_.boundary(0));
  for (size_t i = 0; i < points.size(); i += 2) {
    EXPECT_NEAR(std::hypot(points[i] + 1, points[i + 1]), 1, 1e-12);
  }
  EXPECT_FALSE(region_.has_spectral_radius());
  EXPECT_LT(region_.window().real_min(), -2);
  EXPECT_EQ(region_.window().real_points(), 400);
}

TEST_F(StabilityServiceTest, RasterInOnePieceAndInRows) {
  const std::string text =
      "method { base: METHOD_RK4 wrapper: WRAPPER_REVERSIBLE coupling: 0.8 } want_raster: true "
      "window { real_min: -3 real_max: 1 imag_min: -3 imag_max: 3 real_points: 900 imag_points: "
      "110 "
      "} ";
  ASSERT_TRUE(Region(text).ok());
  EXPECT_THAT(region_.spectral_radius().shape(), ElementsAre(110, 900));
  v1::StreamStabilityRegionRequest request;
  *request.mutable_region() = FromText<v1::ComputeStabilityRegionRequest>(text);
  grpc::ClientContext context;
  const auto reader = stub_->StreamStabilityRegion(&context, request);
  v1::StreamStabilityRegionResponse message;
  std::string rows;
  int blocks = 0;
  v1::ComputeStabilityRegionResponse summary;
  while (reader->Read(&message)) {
    if (message.has_summary()) {
      summary = message.summary();
      continue;
    }
    EXPECT_EQ(message.rows().first_row() * 900 * 8, static_cast<int64_t>(rows.size()));
    rows += message.rows().spectral_radius().data();
    ++blocks;
  }
  ASSERT_TRUE(reader->Finish().ok());
  EXPECT_GT(blocks, 1);
  EXPECT_EQ(rows, region_.spectral_radius().data());
  EXPECT_FALSE(summary.has_spectral_radius());
  EXPECT_EQ(summary.area(), region_.area());
  EXPECT_EQ(summary.boundary_size(), region_.boundary_size());
}

// The answer says which, and where.
TEST_F(StabilityServiceTest, RefusesWithFieldAndRange) {
  const auto expect = [&](const std::string& text, const char* field, const char* range) {
    const grpc::Status status = Region(text);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << text;
    EXPECT_THAT(status.error_message(), HasSubstr(field));
    EXPECT_THAT(status.error_message(), HasSubstr(range));
  };
  for (const char* coupling : {"0", "-1", "1.01", "nan"}) {
    expect(std::string("method { base: METHOD_RK4 wrapper: WRAPPER_REVERSIBLE coupling: ") +
               coupling + " }",
           "method.coupling", "(0, 1]");
  }
  expect("method { wrapper: WRAPPER_ALF eta: 0.5 }", "method.eta", "(0, 1]");
  expect("method { base: METHOD_ALF wrapper: WRAPPER_REVERSIBLE }", "method.coupling",
         "reversible by itself");
  expect("method { base: METHOD_RK4 } window { real_max: inf }", "window.real_max", "finite");
  expect("method { base: METHOD_RK4 } window { real_min: 1 real_max: -1 imag_max: 1 }",
         "window.real_max", "above");
  expect(
      "method { base: METHOD_RK4 } window { real_min: -1 real_max: 1 imag_min: -1 imag_max: 1 "
      "real_points: 1 }",
      "window.real_points", "at least 2");
}

TEST_F(StabilityServiceTest, HugeRastersAreRefusedBeforeAnyWork) {
  const std::string huge =
      "method { base: METHOD_RK4 } want_raster: true window { real_points: 100000 imag_points: "
      "100000 }";
  const grpc::Status status = Region(huge);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("100000 x 100000"));
  v1::StreamStabilityRegionRequest request;
  *request.mutable_region() = FromText<v1::ComputeStabilityRegionRequest>(huge);
  grpc::ClientContext context;
  const auto reader = stub_->StreamStabilityRegion(&context, request);
  v1::StreamStabilityRegionResponse message;
  EXPECT_FALSE(reader->Read(&message));
  const grpc::Status streamed = reader->Finish();
  EXPECT_EQ(streamed.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(streamed.error_message(), HasSubstr("region.window.real_points"));
  // Too large for a message, but not for a stream.
  const grpc::Status large = Region(
      "method { base: METHOD_RK4 } want_raster: true window { real_points: 9000 imag_points: 9000 "
      "}");
  EXPECT_EQ(large.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(large.error_message(), HasSubstr("StreamStabilityRegion"));
}

TEST_F(StabilityServiceTest, DeadlinesEndARaster) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(50));
  const auto request = FromText<v1::StreamStabilityRegionRequest>(
      "region { method { base: METHOD_DOPRI8 wrapper: WRAPPER_REVERSIBLE } window { real_points: "
      "10000 imag_points: 10000 } }");
  const auto reader = stub_->StreamStabilityRegion(&context, request);
  v1::StreamStabilityRegionResponse message;
  while (reader->Read(&message)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

constexpr char kStiff[] = "param a = 1000\nstate x = 1\nstate y = 1\nx' = -a*x\ny' = -y + 0.1*x\n";

TEST_F(StabilityServiceTest, AnalyzesAModel) {
  ASSERT_TRUE(Analyze(kStiff, "t1: 1", "num_points: 5").ok());
  EXPECT_THAT(analysis_.eigenvalues().shape(), ElementsAre(5, 2, 2));
  const std::vector<double> eigenvalues = Doubles(analysis_.eigenvalues());
  EXPECT_NEAR(eigenvalues[0], -1000, 1e-9);
  EXPECT_NEAR(eigenvalues[2], -1, 1e-9);
  EXPECT_NEAR(analysis_.stiffness_ratio(), 1000, 1e-6);
  EXPECT_NEAR(analysis_.largest_stable_step(), 3.507e-3, 1e-5);
  EXPECT_THAT(analysis_, Partially(R"pb(
                times { shape: 5 }
                complete: true
                converged: true
                method { base: METHOD_TSIT5 }
                termination { reason: REASON_REACHED_END t: 1 }
                options { method: METHOD_TSIT5 })pb"));
  EXPECT_THAT(analysis_.advice(), HasSubstr("stiff"));
  EXPECT_THAT(analysis_.model(), HasSubstr("models/"));
  EXPECT_TRUE(analysis_.has_timing());
  EXPECT_TRUE(analysis_.has_limiting());
}

TEST_F(StabilityServiceTest, AnalyzesAnotherMethod) {
  const std::string fixed =
      "t1: 1 options { method: METHOD_RK4 coupling: 0.99 fixed { step: 0.001 } }";
  ASSERT_TRUE(Analyze(kStiff, fixed).ok());
  EXPECT_EQ(analysis_.share_outside(), 1);
  EXPECT_TRUE(analysis_.has_reconstruction());
  EXPECT_THAT(
      analysis_,
      Partially(R"pb(method { base: METHOD_RK4 wrapper: WRAPPER_REVERSIBLE coupling: 0.99 })pb"));
  ASSERT_TRUE(Analyze(kStiff, fixed, "method { base: METHOD_RK4 }").ok());
  EXPECT_EQ(analysis_.share_outside(), 0);
  EXPECT_FALSE(analysis_.has_reconstruction());
}

TEST_F(StabilityServiceTest, RefusesAnalysesThatDoNotFit) {
  const auto expect = [&](const grpc::Status& status, const char* field) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_THAT(status.error_message(), HasSubstr(field));
  };
  expect(Analyze(kStiff, "t1: 1 params { name: 'a' array { values: [1, 2] } }"), "simulation");
  expect(Analyze(kStiff, "t1: 1 params { name: 'b' array { values: 1 } }"),
         "simulation.params[0].name");
  expect(Analyze(kStiff, "t1: 1",
                 "method { base: METHOD_RK4 wrapper: WRAPPER_REVERSIBLE coupling: 2 }"),
         "method.coupling");
  expect(Analyze(kStiff, "t1: 1 options { method: METHOD_RK4 coupling: 2 fixed { step: 1 } }"),
         "simulation.options.coupling");
  expect(Analyze(kStiff, "t1: 1", "num_points: -4"), "num_points");
}

}  // namespace
}  // namespace costate
