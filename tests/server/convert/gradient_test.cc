#include "server/convert/gradient.h"

#include <cmath>
#include <memory>
#include <vector>

#include "tests/server/compiled_model.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::ElementsAre;

TEST(GradientResultToProto, StacksTrajectories) {
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  GradientResult result;
  result.wrt = {{WrtEntry::Kind::kParam, "w", 1, 3, {3}}};
  result.trajectories.resize(2);
  result.trajectories[0].loss = 5;
  result.trajectories[0].gradient = {1, 2, 3};
  result.trajectories[0].saved.states = {1, 2, 3, 4, 5};
  result.trajectories[0].saved.outputs = {6, 7, 8, 9, 10};
  result.trajectories[0].stats.adjoint.peak_stored_bytes = 77;
  result.trajectories[1].loss = 6;
  result.trajectories[1].gradient = {4, 5, 6};
  result.method = GradientMethod::kBackprop;
  result.method_reason = "because";
  result.resolution.options.save.times = {2};
  v1::ComputeGradientResponse proto;
  GradientResultToProto(result, {*model, ""}, {.saved = true}, &proto);
  EXPECT_THAT(
      proto, Partially(R"pb(
        loss { shape: 2 }
        gradient { shape: [ 2, 3 ] }
        wrt_layout { name: "w" shape: 3 }
        gradient_options { method: GRADIENT_METHOD_BACKPROP memory_budget_bytes: 4294967296 }
        method_reason: "because"
        saved_states { shape: [ 2, 1, 5 ] }
        saved_outputs { shape: [ 2, 1, 5 ] })pb"));
  EXPECT_THAT(Doubles(proto.loss()), ElementsAre(5, 6));
  EXPECT_THAT(Doubles(proto.gradient()), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(proto.stats(0).peak_stored_bytes(), 77);
  const std::vector<double> saved = Doubles(proto.saved_states());
  ASSERT_EQ(saved.size(), 10u);
  EXPECT_EQ(saved[4], 5);
  EXPECT_TRUE(std::isnan(saved[5]));
  EXPECT_FALSE(proto.has_time_gradient());
  EXPECT_EQ(proto.reports_size(), 0);
}

TEST(GradientResultToProto, AddsWhatIsWanted) {
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  GradientResult result;
  result.wrt = {{WrtEntry::Kind::kParam, "k", 0, 1, {}}};
  result.trajectories.resize(2);
  result.trajectories[0].times = {7, 8};  // the other one ended early
  result.trajectories[0].gradient = {1};
  result.trajectories[1].gradient = {std::nan("")};
  result.trajectories[1].report.emplace().verdict = Verdict::kFailed;
  AdjointStats& stats = result.trajectories[0].stats.adjoint;
  stats.recomputed_steps = 11;
  stats.backward_steps = 12;
  stats.backward_rejected = 13;
  stats.disk_bytes = 14;
  stats.reconstruction_error = 1.5;
  stats.rhs_evaluations = 16;
  result.resolution.options.save.times = {1, 2};
  v1::ComputeGradientResponse proto;
  proto.mutable_gradient_options()->set_memory_budget_bytes(64);
  result.method = GradientMethod::kCheckpointed;
  GradientResultToProto(result, {*model, ""}, {.times = true, .report = true}, &proto);
  EXPECT_THAT(proto, Partially(R"pb(
                gradient_options { method: GRADIENT_METHOD_CHECKPOINTED memory_budget_bytes: 64 }
                time_gradient { shape: [ 2, 2 ] }
                stats {
                  recomputed_steps: 11
                  backward_steps: 12
                  backward_rejected: 13
                  disk_bytes: 14
                  reconstruction_error: 1.5
                  reverse_rhs_evaluations: 16
                }
                stats {}
                reports { verdict: VERDICT_UNSPECIFIED }
                reports { verdict: VERDICT_FAILED })pb"));
  const std::vector<double> times = Doubles(proto.time_gradient());
  ASSERT_EQ(times.size(), 4u);
  EXPECT_EQ(times[1], 8);
  EXPECT_TRUE(std::isnan(times[2]));
  EXPECT_FALSE(proto.has_saved_times());
  ASSERT_EQ(proto.reports_size(), 2);
  EXPECT_FALSE(proto.reports(0).has_abs_error()) << "no report was made of it";
}

// Terminal terms and integrals look at the end alone, which is no save time.
TEST(GradientResultToProto, HasNoTimesWhereTheLossHasNone) {
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  GradientResult result;
  result.trajectories.resize(2);
  for (GradientResult::PerTrajectory& trajectory : result.trajectories) {
    trajectory.times = {7};
    trajectory.saved.states.assign(5, 1.0);
    trajectory.saved.outputs.assign(5, 1.0);
  }
  v1::ComputeGradientResponse proto;
  GradientResultToProto(result, {*model, ""}, {.saved = true, .times = true}, &proto);
  for (const v1::Array* array : {&proto.time_gradient(), &proto.saved_times(),
                                 &proto.saved_states(), &proto.saved_outputs()}) {
    EXPECT_TRUE(array->data().empty()) << array->ShortDebugString();
  }
  EXPECT_THAT(proto, Partially("time_gradient { shape: [2, 0] }"));
}

TEST(GradientResultToProto, NamesTangentControlOfTangentsOnly) {
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  GradientResult result;
  for (const GradientMethod method : AllGradientMethods()) {
    result.method = method;
    v1::ComputeGradientResponse proto;
    GradientResultToProto(result, {*model, ""}, {}, &proto);
    EXPECT_EQ(proto.gradient_options().tangent_control() != v1::TANGENT_CONTROL_UNSPECIFIED,
              method == GradientMethod::kForward);
  }
}

TEST(JvpResultToProto, GivesDirectionsFirst) {
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  JvpResult result;
  result.wrt = {{WrtEntry::Kind::kParam, "k", 0, 1, {}}};
  result.saved.times = {1, 2};
  result.saved.states.assign(10, 1);
  result.saved.outputs.assign(10, 2);
  result.states.assign(30, 3);
  result.outputs.assign(30, 4);
  v1::ComputeJvpResponse jvp;
  JvpResultToProto(result, {*model, ""}, &jvp);
  EXPECT_THAT(jvp, Partially("times { shape: 2 } states { shape: [2, 5] } state_tangents { shape: "
                             "[3, 2, 5] } output_tangents { shape: [3, 2, 5] }"));
  result.states.assign(10, 3);
  result.outputs.assign(10, 4);
  v1::ComputeSensitivitiesResponse sensitivities;
  SensitivityResultToProto(result, {*model, ""}, &sensitivities);
  EXPECT_THAT(sensitivities, Partially("state_sensitivities { shape: [2, 5, 1] } "
                                       "output_sensitivities { shape: [2, 5, 1] }"));
}

TEST(VjpResultToProto, GivesOneRowPerCotangent) {
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  VjpResult result;
  result.wrt = {{WrtEntry::Kind::kParam, "k", 0, 1, {}}, {WrtEntry::Kind::kT0, "t0", 0, 1, {}}};
  result.values = {1, 2, 3};
  result.gradients = {1, 2, 3, 4, 5, 6};
  v1::ComputeVjpResponse proto;
  VjpResultToProto(result, {*model, ""}, &proto);
  EXPECT_THAT(proto, Partially("gradients { shape: [3, 2] } values { shape: 3 } wrt_layout { name: "
                               "'k' } wrt_layout { name: 't0' offset: 1 }"));
}

TEST(HvpResultToProto, GivesOneRowPerVector) {
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  HvpResult result;
  result.wrt = {{WrtEntry::Kind::kParam, "k", 0, 1, {}}, {WrtEntry::Kind::kT0, "t0", 0, 1, {}}};
  result.products = {1, 2, 3, 4, 5, 6};
  result.primal.loss = 7;
  result.primal.gradient = {8, 9};
  v1::ComputeHvpResponse proto;
  HvpResultToProto(result, {*model, ""}, &proto);
  EXPECT_THAT(proto,
              Partially("products { shape: [3, 2] } loss: 7 gradient { shape: 2 } wrt_layout "
                        "{ name: 'k' } wrt_layout { name: 't0' offset: 1 }"));
  EXPECT_THAT(Doubles(proto.products()), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(Doubles(proto.gradient()), ElementsAre(8, 9));
}

TEST(CheckResultToProto, KeepsTheOrderOfMethods) {
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  CheckResult result;
  result.wrt = {{WrtEntry::Kind::kParam, "k", 0, 1, {}}};
  result.rows.resize(2);
  result.rows[0].method = GradientMethod::kGauss;
  result.rows[0].result.gradient = {1};
  result.rows[1].method = GradientMethod::kForward;
  result.rows[1].result.loss = 3;
  result.rows[1].result.gradient = {2};
  result.rows[1].relative_difference = 0.5;
  result.rows[1].cost_in_solves = 4;
  result.rows[1].result.termination.reason = Termination::Reason::kMaxSteps;
  v1::CheckGradientResponse proto;
  CheckResultToProto(result, {*model, ""}, &proto);
  EXPECT_THAT(proto, Partially(R"pb(
                rows {
                  method: GRADIENT_METHOD_GAUSS
                  gradient { shape: 1 }
                }
                rows {
                  method: GRADIENT_METHOD_FORWARD
                  loss: 3
                  relative_difference: 0.5
                  cost_in_solves: 4
                  termination { reason: REASON_MAX_STEPS }
                }
                wrt_layout { name: "k" })pb"));
  EXPECT_THAT(Doubles(proto.rows(1).gradient()), ElementsAre(2));
}

}  // namespace
}  // namespace costate
