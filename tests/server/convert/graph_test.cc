#include "server/convert/graph.h"

#include <string>

#include "engine/base/field_error.h"
#include "server/convert/array.h"
#include "tests/server/compiled_model.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

// x' = -k x with x(0) = 1 and output 2 x.
constexpr char kDecay[] = R"pb(
  params {
    name: "k"
    default_value { values: 2 }
    lower: 0
  }
  states { name: "x" }
  outputs { name: "twice" }
  init {
    instructions { op: "constant" attributes: 0 }
    results { value: 0 }
    constants { values: 1 }
  }
  rhs {
    instructions {
      op: "input"
      attributes: [ 1, 0 ]
    }
    instructions {
      op: "input"
      attributes: [ 2, 0 ]
    }
    instructions {
      op: "mul"
      operands: [ 0, 1 ]
    }
    instructions { op: "neg" operands: 2 }
    results { value: 3 }
  }
  output_map {
    instructions {
      op: "input"
      attributes: [ 1, 0 ]
    }
    instructions {
      op: "add"
      operands: [ 0, 0 ]
    }
    results { value: 1 }
  })pb";

TEST(GraphFromProto, BuildsTheModel) {
  absl::StatusOr<ModelIr> ir = GraphFromProto("g", FromText<v1::Graph>(kDecay));
  ASSERT_TRUE(ir.ok()) << ir.status();
  const auto f = Interpret(ir->rhs, {{0.0}, {3.0}, {2.0}});
  EXPECT_EQ(f[0][0], -6.0);
  EXPECT_EQ(Interpret(ir->init, {{0.0}, {2.0}})[0][0], 1.0);
  EXPECT_EQ(Interpret(ir->output_map, {{0.0}, {3.0}, {2.0}})[0][0], 6.0);
  EXPECT_EQ(ir->params[0].lower, 0.0);
  EXPECT_EQ(ir->params[0].upper, std::numeric_limits<double>::infinity());
}

// The language and the graph say the same thing, so the model has the same name.
TEST(GraphFromProto, GivesTheNameOfTheSameText) {
  absl::StatusOr<ModelIr> ir = GraphFromProto("g", FromText<v1::Graph>(R"pb(
                                                params {
                                                  name: "k"
                                                  default_value { values: 2 }
                                                }
                                                states { name: "x" }
                                                init {
                                                  instructions { op: "constant" attributes: 0 }
                                                  results { value: 0 }
                                                  constants { values: 1 }
                                                }
                                                rhs {
                                                  instructions {
                                                    op: "input"
                                                    attributes: [ 2, 0 ]
                                                  }
                                                  instructions {
                                                    op: "input"
                                                    attributes: [ 1, 0 ]
                                                  }
                                                  instructions {
                                                    op: "mul"
                                                    operands: [ 0, 1 ]
                                                  }
                                                  results { value: 2 }
                                                })pb"));
  ASSERT_TRUE(ir.ok()) << ir.status();
  EXPECT_EQ(CanonicalText(*ir),
            CanonicalText(ModelOf("param k = 2\nstate x = 1\nx' = k*x\n")->ir()));
}

TEST(GraphFromProto, RepeatsOneDefault) {
  auto graph = FromText<v1::Graph>(kDecay);
  *graph.add_params() =
      FromText<v1::Parameter>("name: 'w' shape: [2, 2] default_value { values: 5 }");
  *graph.add_params() = FromText<v1::Parameter>("name: 'z' shape: 2");
  absl::StatusOr<ModelIr> ir = GraphFromProto("g", graph);
  ASSERT_TRUE(ir.ok()) << ir.status();
  EXPECT_EQ(ir->params[1].defaults, std::vector<double>(4, 5.0));
  EXPECT_EQ(ir->params[2].defaults, std::vector<double>(2, 0.0));
  EXPECT_EQ(ir->params[2].offset, 5);
}

struct Case {
  const char* name;
  void (*change)(v1::Graph*);
  const char* field;
};

class WrongGraph : public ::testing::TestWithParam<Case> {};

TEST_P(WrongGraph, IsRefusedWithItsPlace) {
  auto graph = FromText<v1::Graph>(kDecay);
  GetParam().change(&graph);
  const absl::Status status = GraphFromProto("g", graph).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_EQ(FieldOf(status).value_or(""), GetParam().field) << status;
}

INSTANTIATE_TEST_SUITE_P(
    All, WrongGraph,
    ::testing::Values(
        Case{"unknown_op",
             [](v1::Graph* g) { g->mutable_rhs()->mutable_instructions(2)->set_op("system"); },
             "g.rhs.instructions[2].op"},
        Case{"operand_ahead",
             [](v1::Graph* g) { g->mutable_rhs()->mutable_instructions(2)->set_operands(1, 3); },
             "g.rhs.instructions[2].operands[1]"},
        Case{"operand_itself",
             [](v1::Graph* g) { g->mutable_rhs()->mutable_instructions(2)->set_operands(0, 2); },
             "g.rhs.instructions[2].operands[0]"},
        Case{"operand_negative",
             [](v1::Graph* g) { g->mutable_rhs()->mutable_instructions(3)->set_operands(0, -1); },
             "g.rhs.instructions[3].operands[0]"},
        Case{"operand_missing",
             [](v1::Graph* g) { g->mutable_rhs()->mutable_instructions(2)->clear_operands(); },
             "g.rhs.instructions[2]"},
        Case{"buffer_unknown",
             [](v1::Graph* g) { g->mutable_rhs()->mutable_instructions(0)->set_attributes(0, 3); },
             "g.rhs.instructions[0]"},
        Case{"buffer_negative",
             [](v1::Graph* g) { g->mutable_rhs()->mutable_instructions(0)->set_attributes(0, -1); },
             "g.rhs.instructions[0]"},
        Case{"input_past_end",
             [](v1::Graph* g) { g->mutable_rhs()->mutable_instructions(0)->set_attributes(1, 1); },
             "g.rhs.instructions[0]"},
        Case{"attributes_missing",
             [](v1::Graph* g) { g->mutable_rhs()->mutable_instructions(0)->clear_attributes(); },
             "g.rhs.instructions[0]"},
        Case{"constant_missing",
             [](v1::Graph* g) { g->mutable_init()->mutable_instructions(0)->set_attributes(0, 1); },
             "g.init.instructions[0]"},
        Case{"constant_shape",
             [](v1::Graph* g) { g->mutable_init()->mutable_instructions(0)->add_shape(2); },
             "g.init.instructions[0]"},
        Case{"shape_given_wrong",
             [](v1::Graph* g) { g->mutable_rhs()->mutable_instructions(2)->add_shape(2); },
             "g.rhs.instructions[2].shape"},
        Case{"huge_shape",
             [](v1::Graph* g) {
               g->mutable_rhs()->mutable_instructions(0)->add_shape(int64_t{1} << 62);
             },
             "g.rhs.instructions[0]"},
        Case{"result_missing", [](v1::Graph* g) { g->mutable_rhs()->clear_results(); }, "g.rhs"},
        Case{"result_twice",
             [](v1::Graph* g) { *g->mutable_rhs()->add_results() = g->rhs().results(0); }, "g.rhs"},
        Case{"result_unknown",
             [](v1::Graph* g) { g->mutable_rhs()->mutable_results(0)->set_value(9); }, "g.rhs"},
        Case{"result_negative",
             [](v1::Graph* g) { g->mutable_rhs()->mutable_results(0)->set_value(-1); }, "g.rhs"},
        Case{"no_states", [](v1::Graph* g) { g->clear_states(); }, "g.init"},
        Case{"state_extent", [](v1::Graph* g) { g->mutable_states(0)->add_shape(0); },
             "g.states[0].shape[0]"},
        Case{"state_overflow",
             [](v1::Graph* g) {
               g->mutable_states(0)->add_shape(int64_t{1} << 40);
               g->mutable_states(0)->add_shape(int64_t{1} << 40);
             },
             "g.states[0].shape[0]"},
        Case{"too_many_states", [](v1::Graph* g) { g->mutable_states(0)->add_shape(1'000'001); },
             "g.states[0]"},
        Case{"same_names", [](v1::Graph* g) { g->mutable_params(0)->set_name("x"); }, "g"},
        Case{"bad_name", [](v1::Graph* g) { g->mutable_states(0)->set_name("a b"); }, "g"},
        Case{"default_size",
             [](v1::Graph* g) {
               g->mutable_params(0)->add_shape(3);
               g->mutable_params(0)->mutable_default_value()->add_values(1);
             },
             "g.params[0].default_value"}),
    [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace costate
