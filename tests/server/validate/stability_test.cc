#include "server/validate/stability.h"

#include <string>

#include "engine/base/field_error.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

std::string RegionField(const std::string& text) {
  const absl::Status status =
      ValidateComputeStabilityRegionRequest(FromText<v1::ComputeStabilityRegionRequest>(text));
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return FieldOf(status).value_or("");
}

TEST(ValidateStabilityRegion, MethodsAndWrappersThatFit) {
  EXPECT_EQ(RegionField("method { base: METHOD_RK4 }"), "");
  EXPECT_EQ(RegionField("method { base: METHOD_RK4 wrapper: WRAPPER_REVERSIBLE coupling: 0.9 }"),
            "");
  EXPECT_EQ(RegionField("method { wrapper: WRAPPER_ALF eta: 0.9 }"), "");
  EXPECT_EQ(RegionField("method { base: METHOD_ALF wrapper: WRAPPER_ALF }"), "");
  EXPECT_EQ(RegionField("method { base: METHOD_REVERSIBLE_HEUN }"), "");
  EXPECT_EQ(RegionField(""), "method");
  EXPECT_EQ(RegionField("method { }"), "method.base");
  EXPECT_EQ(RegionField("method { wrapper: WRAPPER_REVERSIBLE }"), "method.base");
  EXPECT_EQ(RegionField("method { base: METHOD_RK4 wrapper: WRAPPER_ALF }"), "method.base");
  EXPECT_EQ(RegionField("method { base: METHOD_ALF wrapper: WRAPPER_LEAPFROG_MIDPOINT }"),
            "method.base");
  EXPECT_EQ(RegionField("method { base: METHOD_RK4 coupling: 0.9 }"), "method.coupling");
  EXPECT_EQ(RegionField("method { wrapper: WRAPPER_REVERSIBLE_HEUN coupling: 0.9 }"),
            "method.coupling");
}

TEST(ValidateStabilityRegion, NumbersOfNewerClients) {
  v1::ComputeStabilityRegionRequest request;
  request.mutable_method()->set_base(static_cast<v1::Method>(9999));
  EXPECT_EQ(FieldOf(ValidateComputeStabilityRegionRequest(request)), "method.base");
  request.mutable_method()->set_base(v1::METHOD_RK4);
  request.mutable_method()->set_wrapper(static_cast<v1::StabilityMethod::Wrapper>(99));
  EXPECT_EQ(FieldOf(ValidateComputeStabilityRegionRequest(request)), "method.wrapper");
}

TEST(ValidateStreamStabilityRegion, NamesFieldsFromOutside) {
  const auto field = [](const std::string& text) {
    return FieldOf(ValidateStreamStabilityRegionRequest(
                       FromText<v1::StreamStabilityRegionRequest>(text)))
        .value_or("");
  };
  EXPECT_EQ(field("region { method { base: METHOD_RK4 } }"), "");
  EXPECT_EQ(field(""), "region");
  EXPECT_EQ(field("region { }"), "region.method");
  EXPECT_EQ(field("region { method { } }"), "region.method.base");
}

TEST(ValidateAnalyzeStability, ChecksPresenceAndCounts) {
  const auto field = [](const std::string& text) {
    return FieldOf(ValidateAnalyzeStabilityRequest(FromText<v1::AnalyzeStabilityRequest>(text)))
        .value_or("");
  };
  const std::string whole = "simulation { model { text: 'x' } t1: 1 } ";
  EXPECT_EQ(field(whole), "");
  EXPECT_EQ(field(whole + "method { wrapper: WRAPPER_ALF } num_points: 9 num_eigenvalues: 3"), "");
  EXPECT_EQ(field(""), "simulation");
  EXPECT_EQ(field("simulation { model { text: 'x' } }"), "simulation.t1");
  EXPECT_EQ(field(whole + "method { }"), "method.base");
  EXPECT_EQ(field(whole + "num_points: -1"), "num_points");
  EXPECT_EQ(field(whole + "num_points: 2000000000"), "num_points");
  EXPECT_EQ(field(whole + "num_eigenvalues: 201"), "num_eigenvalues");
}

}  // namespace
}  // namespace costate
