#include "server/validate/model_source.h"

#include <string>

#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

std::string FieldAtFault(const v1::ModelSource& source) {
  return FieldOf(ValidateModelSource("m", source)).value_or("none");
}

TEST(ValidateModelSource, NeedsExactlyOneSource) {
  EXPECT_EQ(FieldAtFault(v1::ModelSource()), "m");
  EXPECT_EQ(FieldAtFault(FromText<v1::ModelSource>("text: 'x'")), "none");
}

TEST(ValidateModelSource, ChecksTheFormOfNames) {
  const std::string digits = "0123456789abcdef0123456789abcdef";
  v1::ModelSource source;
  source.set_name("models/" + digits);
  EXPECT_EQ(FieldAtFault(source), "none");
  for (const std::string& name :
       {std::string(), digits, "models/" + digits + "0", "models/" + digits.substr(1) + "G",
        "model/" + digits + "0", "models/" + digits.substr(1) + std::string(1, '\0')}) {
    source.set_name(name);
    EXPECT_EQ(FieldAtFault(source), "m.name") << name;
  }
}

TEST(ValidateModelSource, CutsLongNamesInMessages) {
  v1::ModelSource source;
  source.set_name(std::string(100'000, 'x'));
  EXPECT_LT(ValidateModelSource("m", source).message().size(), 300u);
}

TEST(ValidateModelSource, BoundsText) {
  v1::ModelSource source;
  source.set_text(std::string(limits::kMaxModelTextBytes, ' '));
  EXPECT_EQ(FieldAtFault(source), "none");
  source.mutable_text()->push_back(' ');
  EXPECT_EQ(FieldAtFault(source), "m.text");
}

TEST(ValidateModelSource, BoundsGraphs) {
  v1::ModelSource source;
  v1::GraphFunction* rhs = source.mutable_graph()->mutable_rhs();
  for (int i = 0; i < 20'000; ++i) rhs->add_instructions()->set_op("add");
  EXPECT_EQ(FieldAtFault(source), "none");
  rhs->mutable_instructions(7)->mutable_operands()->Resize(10'001, 0);
  EXPECT_EQ(FieldAtFault(source), "m.graph.rhs.instructions[7]");
}

TEST(ValidateModelSource, BoundsInstructions) {
  v1::ModelSource source;
  v1::GraphFunction* rhs = source.mutable_graph()->mutable_rhs();
  for (int64_t i = 0; i <= limits::kMaxInstructions; ++i) rhs->add_instructions();
  EXPECT_EQ(FieldAtFault(source), "m.graph.rhs.instructions");
}

TEST(ValidateModelSource, ChecksDeclarations) {
  EXPECT_EQ(FieldAtFault(FromText<v1::ModelSource>("graph { states { } }")),
            "m.graph.states[0].name");
  EXPECT_EQ(FieldAtFault(
                FromText<v1::ModelSource>("graph { states { name: 'y' shape: [1, 1, 1, 1, 1] } }")),
            "m.graph.states[0].shape");
  EXPECT_EQ(FieldAtFault(FromText<v1::ModelSource>(
                "graph { params { name: 'p' default_value { shape: 2 values: 1 } } }")),
            "m.graph.params[0].default_value");
  EXPECT_EQ(FieldAtFault(FromText<v1::ModelSource>("graph { rhs { constants { values: nan } } }")),
            "m.graph.rhs.constants[0].values[0]");
}

TEST(ValidateCreateModelRequest, RefusesNames) {
  const auto request = FromText<v1::CreateModelRequest>("source { name: 'models/x' }");
  EXPECT_THAT(FieldOf(ValidateCreateModelRequest(request)), Optional(std::string("source.name")));
}

TEST(ValidateListModelsRequest, ChecksPages) {
  const auto valid = [](const std::string& text) {
    return ValidateListModelsRequest(FromText<v1::ListModelsRequest>(text)).ok();
  };
  EXPECT_TRUE(valid(""));
  EXPECT_TRUE(valid("page_size: 1000"));
  EXPECT_FALSE(valid("page_size: 1001"));
  EXPECT_FALSE(valid("page_size: -1"));
  EXPECT_FALSE(valid("page_token: 'elsewhere'"));
}

}  // namespace
}  // namespace costate
