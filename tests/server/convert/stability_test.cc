#include "server/convert/stability.h"

#include <limits>
#include <string>

#include "tests/server/compiled_model.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::ElementsAre;

Scheme SchemeOf(const std::string& text) {
  return SchemeFromProto(FromText<v1::StabilityMethod>(text));
}

TEST(SchemeFromProto, EveryWrapper) {
  EXPECT_EQ(SchemeOf("base: METHOD_TSIT5").method, Method::kTsit5);
  EXPECT_FALSE(SchemeOf("base: METHOD_TSIT5").coupling.has_value());
  EXPECT_EQ(SchemeOf("base: METHOD_RK4 wrapper: WRAPPER_REVERSIBLE").coupling, 0.999);
  EXPECT_EQ(SchemeOf("base: METHOD_RK4 wrapper: WRAPPER_REVERSIBLE coupling: 0.5").coupling, 0.5);
  EXPECT_EQ(SchemeOf("base: METHOD_RK4 wrapper: WRAPPER_REVERSIBLE coupling: 0").coupling, 0);
  EXPECT_EQ(SchemeOf("wrapper: WRAPPER_ALF").method, Method::kAlf);
  EXPECT_EQ(SchemeOf("wrapper: WRAPPER_ALF").eta, 1);
  EXPECT_EQ(SchemeOf("wrapper: WRAPPER_ALF eta: 0.9").eta, 0.9);
  EXPECT_EQ(SchemeOf("wrapper: WRAPPER_REVERSIBLE_HEUN").method, Method::kReversibleHeun);
  EXPECT_EQ(SchemeOf("wrapper: WRAPPER_LEAPFROG_MIDPOINT").method, Method::kLeapfrogMidpoint);
}

TEST(SchemeToProto, ComesBackAsItWas) {
  for (const Scheme& scheme :
       {Scheme(Method::kDopri8), Scheme(Method::kBosh3, 0.9, 1),
        Scheme(Method::kAlf, std::nullopt, 0.8), Scheme(Method::kReversibleHeun),
        Scheme(Method::kLeapfrogMidpoint)}) {
    v1::StabilityMethod proto;
    SchemeToProto(scheme, &proto);
    const Scheme back = SchemeFromProto(proto);
    EXPECT_EQ(back.method, scheme.method);
    EXPECT_EQ(back.coupling, scheme.coupling);
    EXPECT_EQ(back.eta, scheme.eta);
  }
}

TEST(RegionRequestFromProto, DefaultsAndWindows) {
  const auto of = [](const std::string& text) {
    return RegionRequestFromProto(FromText<v1::ComputeStabilityRegionRequest>(text));
  };
  const stability::RegionRequest bare = of("method { base: METHOD_RK4 }");
  EXPECT_FALSE(bare.window.has_value());
  EXPECT_EQ(bare.real_points, 400);
  EXPECT_EQ(bare.imag_points, 400);
  EXPECT_FALSE(bare.want_raster);
  EXPECT_FALSE(bare.order_star);
  EXPECT_FALSE(of("method { base: METHOD_RK4 } window { real_points: 7 }").window.has_value());
  const stability::RegionRequest whole =
      of("method { base: METHOD_RK4 } want_raster: true order_star: true "
         "window { real_min: -3 real_max: 1 imag_min: -2 imag_max: 2.5 real_points: 7 imag_points: "
         "9 }");
  ASSERT_TRUE(whole.window.has_value());
  EXPECT_EQ(whole.window->real_min, -3);
  EXPECT_EQ(whole.window->real_max, 1);
  EXPECT_EQ(whole.window->imag_min, -2);
  EXPECT_EQ(whole.window->imag_max, 2.5);
  EXPECT_EQ(whole.real_points, 7);
  EXPECT_EQ(whole.imag_points, 9);
  EXPECT_TRUE(whole.want_raster);
  EXPECT_TRUE(whole.order_star);
}

TEST(RegionToProto, ShapesAndOrder) {
  stability::RegionRequest request;
  request.scheme = Scheme(Method::kRk4, 0.9, 1);
  stability::Region region;
  region.window = {-1, 0, -2, 2};
  region.real_points = 2;
  region.imag_points = 3;
  region.raster = {1, 2, 3, 4, 5, 6};
  region.boundary = {{{{1, 2}, {3, 4}}}, {{{5, 6}}}};
  region.real_interval_left = -std::numeric_limits<double>::infinity();
  region.imag_interval = 0.5;
  region.area = 7;
  v1::ComputeStabilityRegionResponse proto;
  RegionToProto(request, region, &proto);
  EXPECT_THAT(proto, Partially(R"pb(
                spectral_radius { shape: [ 3, 2 ] }
                boundary { shape: [ 2, 2 ] }
                boundary { shape: [ 1, 2 ] }
                real_interval_left: -inf
                imag_interval: 0.5
                area: 7
                window { real_min: -1 imag_min: -2 imag_max: 2 real_points: 2 imag_points: 3 }
                method { base: METHOD_RK4 wrapper: WRAPPER_REVERSIBLE coupling: 0.9 })pb"));
  EXPECT_THAT(Doubles(proto.spectral_radius()), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(Doubles(proto.boundary(0)), ElementsAre(1, 2, 3, 4));
}

TEST(StabilityResultToProto, EverythingIsThere) {
  StabilityResult result;
  result.times = {0, 1};
  result.steps = {0.1, 0.2};
  result.eigenvalues = {{-1, 2}, {-3, 0}, {4, 5}, {6, 7}};
  result.num_eigenvalues = 2;
  result.largest_stable_steps = {8, 9};
  result.analysis.share_outside = 0.25;
  result.analysis.growth = 3;
  result.analysis.worst = stability::Mode{1, 0.2, {4, 5}};
  result.analysis.limiting = stability::Mode{0, 0.1, {-1, 2}};
  result.analysis.largest_stable_step = 8;
  result.analysis.stiffness_ratio = 3;
  result.analysis.complete = false;
  result.analysis.reconstruction = stability::Reconstruction{30, 0.5, 3, 40};
  result.analysed_steps = 17;
  result.converged = false;
  result.advice = "wait";
  result.scheme = Scheme(Method::kAlf, std::nullopt, 0.9);
  result.stats = {3, 1, 22};
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  v1::AnalyzeStabilityResponse proto;
  StabilityResultToProto(result, {*model, kTensorModel}, &proto);
  EXPECT_THAT(
      proto, Partially(R"pb(
        times { shape: 2 }
        steps { shape: 2 }
        eigenvalues { shape: [ 2, 2, 2 ] }
        largest_stable_steps { shape: 2 }
        share_outside: 0.25
        growth: 3
        worst { t: 1 step: 0.2 real: 4 imag: 5 }
        limiting { step: 0.1 real: -1 imag: 2 }
        largest_stable_step: 8
        stiffness_ratio: 3
        reconstruction { reverse_growth: 30 worst_step: 0.5 digits_left: 3 checkpoint_every: 40 }
        analysed_steps: 17
        advice: "wait"
        method { base: METHOD_ALF eta: 0.9 }
        stats { accepted_steps: 3 rejected_steps: 1 rhs_evaluations: 22 }
        termination { reason: REASON_REACHED_END }
        options { method: METHOD_TSIT5 })pb"));
  EXPECT_FALSE(proto.complete());
  EXPECT_FALSE(proto.converged());
  EXPECT_THAT(Doubles(proto.eigenvalues()), ElementsAre(-1, 2, -3, 0, 4, 5, 6, 7));
}

}  // namespace
}  // namespace costate
