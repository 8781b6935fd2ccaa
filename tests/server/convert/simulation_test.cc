#include "server/convert/simulation.h"

#include "engine/base/field_error.h"
#include "tests/server/compiled_model.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(SimulationFromProto, CopiesEveryPart) {
  const auto proto = FromText<v1::Simulation>(R"pb(
    t0: [ 1, 2 ]
    t1: 5
    params {
      name: "k"
      array { values: 3 }
    }
    params {
      name: "w"
      array {
        shape: [ 1, 3 ]
        values: [ 1, 2, 3 ]
      }
    }
    initial_state {
      name: "x"
      array { values: [ 4, 5 ] }
    }
    options {
      method: METHOD_RK4
      fixed { step: 0.5 }
    })pb");
  const Simulation simulation = SimulationFromProto(proto, ModelOf(kTensorModel));
  EXPECT_THAT(simulation.t0, ElementsAre(1, 2));
  EXPECT_THAT(simulation.t1, ElementsAre(5));
  ASSERT_EQ(simulation.params.size(), 2u);
  EXPECT_EQ(simulation.params[0].name, "k");
  EXPECT_THAT(simulation.params[0].shape, IsEmpty());
  EXPECT_THAT(simulation.params[1].shape, ElementsAre(1, 3));
  EXPECT_THAT(simulation.params[1].values, ElementsAre(1, 2, 3));
  ASSERT_EQ(simulation.initial_state.size(), 1u);
  EXPECT_THAT(simulation.initial_state[0].shape, ElementsAre(2));
  EXPECT_EQ(simulation.options.method, Method::kRk4);
  EXPECT_FALSE(simulation.method_auto);
}

TEST(SimulationFromProto, StartsAtZero) {
  EXPECT_THAT(SimulationFromProto(FromText<v1::Simulation>("t1: 1"), nullptr).t0, ElementsAre(0));
}

TEST(InRequestWords, PrefixesFieldsOfASimulation) {
  const auto field = [](const char* path) {
    return FieldOf(InRequestWords(FieldError(path, "1", "2"))).value_or("");
  };
  EXPECT_EQ(field("options.adaptive.rtol"), "simulation.options.adaptive.rtol");
  EXPECT_EQ(field("params[0].array"), "simulation.params[0].array");
  EXPECT_EQ(field("t1"), "simulation.t1");
  EXPECT_EQ(field("loss.terms[0]"), "loss.terms[0]");
  EXPECT_EQ(field("wrt[1]"), "wrt[1]");
  EXPECT_EQ(InRequestWords(absl::CancelledError("x")), absl::CancelledError("x"));
}

}  // namespace
}  // namespace costate
