#include "server/convert/gradient.h"

#include <string>
#include <variant>

#include "engine/base/field_error.h"
#include "tests/server/compiled_model.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

absl::StatusOr<Loss> Convert(const std::string& text) {
  return LossFromProto("loss", FromText<v1::Loss>(text), ModelOf(kTensorModel)->ir());
}

TEST(LossFromProto, ConvertsLeastSquares) {
  const absl::StatusOr<Loss> loss = Convert(R"pb(
    terms {
      least_squares {
        output: "z[1,0]"
        times { values: [ 1, 2 ] }
        values { values: [ 3, nan ] }
        half: true
      }
    }
    terms {
      least_squares {
        state: "x"
        times { values: 1 }
        values { values: 0 }
        sigma { values: 7 }
      }
    })pb");
  ASSERT_TRUE(loss.ok()) << loss.status();
  const auto& first = std::get<LeastSquares>(loss->terms[0]);
  EXPECT_EQ(first.channel.kind, Channel::Kind::kOutput);
  EXPECT_EQ(first.channel.index, 3);
  EXPECT_THAT(first.times, ElementsAre(1, 2));
  EXPECT_THAT(first.sigma, ElementsAre(1));
  EXPECT_TRUE(first.half);
  const auto& second = std::get<LeastSquares>(loss->terms[1]);
  EXPECT_EQ(second.channel.kind, Channel::Kind::kState);
  EXPECT_EQ(second.channel.index, 0);
  EXPECT_THAT(second.sigma, ElementsAre(7));
}

TEST(LossFromProto, ConvertsWeights) {
  const absl::StatusOr<Loss> loss = Convert(R"pb(
    terms {
      linear {
        times { values: [ 1, 2 ] }
        state_weights {
          shape: [ 2, 5 ]
          values: [ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ]
        }
      }
    }
    terms { terminal { output_weights { values: [ 1, 2, 3, 4, 5 ] } } })pb");
  ASSERT_TRUE(loss.ok()) << loss.status();
  EXPECT_EQ(std::get<Linear>(loss->terms[0]).states.size(), 10u);
  EXPECT_THAT(std::get<Linear>(loss->terms[0]).outputs, IsEmpty());
  EXPECT_THAT(std::get<Terminal>(loss->terms[1]).output, ElementsAre(1, 2, 3, 4, 5));
}

TEST(LossFromProto, NamesWhatDoesNotFit) {
  const auto field = [](const std::string& text) {
    return FieldOf(Convert(text).status()).value_or("none");
  };
  EXPECT_EQ(field("terms { least_squares { output: 'q' times { values: 1 } } }"),
            "loss.terms[0].least_squares.output");
  EXPECT_EQ(field("terms { least_squares { state: 'y' times { values: 1 } } }"),
            "loss.terms[0].least_squares.state");
  EXPECT_EQ(field("terms { linear { times { values: [1, 2] } state_weights { values: [1, 2] } } }"),
            "loss.terms[0].linear.state_weights");
  EXPECT_EQ(field("terms { linear { times { values: [1, 2] } state_weights { shape: [5, 2] "
                  "values: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] } } }"),
            "loss.terms[0].linear.state_weights");
  EXPECT_EQ(field("terms { terminal { state_weights { values: 1 } } }"),
            "loss.terms[0].terminal.state_weights");
}

TEST(LossFromProto, SaysWhereANameBelongs) {
  absl::Status status =
      Convert("terms { least_squares { output: 'x' times { values: 1 } } }").status();
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("name it with state="));
  status = Convert("terms { least_squares { state: 'twice' times { values: 1 } } }").status();
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("name it with output="));
}

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
  GradientResultToProto(result, {*model, ""}, true, &proto);
  EXPECT_THAT(
      proto, Partially(R"pb(
        loss { shape: 2 }
        gradient { shape: [ 2, 3 ] }
        wrt_layout { name: "w" shape: 3 }
        gradient_options { method: GRADIENT_METHOD_BACKPROP tangent_control: TANGENT_CONTROL_FULL }
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

}  // namespace
}  // namespace costate
