#include "server/convert/layout.h"

#include <string>

#include "engine/base/field_error.h"
#include "tests/server/compiled_model.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

const std::vector<TensorInfo>& States() {
  static const auto& model = *new std::shared_ptr<const Model>(ModelOf(kTensorModel));
  return model->ir().states;
}

TEST(ElementName, NamesEveryElement) {
  const char* expected[] = {"x", "y[0,0]", "y[0,1]", "y[1,0]", "y[1,1]"};
  for (int64_t i = 0; i < 5; ++i) EXPECT_EQ(ElementName(States(), i), expected[i]);
  EXPECT_EQ(ElementName(States(), 5), "");
  EXPECT_EQ(ElementName(States(), -1), "");
}

TEST(FindElement, InvertsElementName) {
  for (int64_t i = 0; i < 5; ++i) {
    const auto found = FindElement("f", TensorIndex(States(), 1), ElementName(States(), i));
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(*found, i);
  }
}

TEST(FindElement, RefusesWhatIsNoElement) {
  for (const char* name : {"", "q", "y", "x[0]", "y[0]", "y[2,0]", "y[0,0", "y[0,0,0]", "y[-1,0]",
                           "y[]", "y[a,b]", "[", "]", "y]", "y[9999999999999999999,0]"}) {
    const auto found = FindElement("f", TensorIndex(States(), 1), name);
    EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument) << name;
    EXPECT_EQ(FieldOf(found.status()).value_or(""), "f");
  }
  EXPECT_THAT(std::string(FindElement("f", TensorIndex(States(), 1), "q").status().message()),
              HasSubstr("one of x, y[2, 2]"));
}

TEST(LayoutToProto, GivesNamesShapesOffsets) {
  v1::TensorLayout expected[2] = {FromText<v1::TensorLayout>("name: 'x'"),
                                  FromText<v1::TensorLayout>("name: 'y' shape: [2, 2] offset: 1")};
  LayoutList layout;
  LayoutToProto(States(), &layout);
  ASSERT_EQ(layout.size(), 2);
  for (int i = 0; i < 2; ++i) EXPECT_THAT(layout[i], EqualsProto(expected[i]));
}

// Offsets of columns count from the start of the vector of columns, not from the tensor's own.
TEST(WrtLayoutToProto, CountsColumns) {
  WrtEntry a{WrtEntry::Kind::kInitialState, "y", 1, 4, {2, 2}};
  WrtEntry b{WrtEntry::Kind::kT1, "t1", 0, 1, {}};
  LayoutList layout;
  WrtLayoutToProto({a, b}, &layout);
  EXPECT_THAT(layout[0], EqualsProto(FromText<v1::TensorLayout>("name: 'y' shape: [2, 2]")));
  EXPECT_THAT(layout[1], EqualsProto(FromText<v1::TensorLayout>("name: 't1' offset: 4")));
}

TEST(EquationOf, FindsStatements) {
  const std::string text =
      "state v = 1 # v' = comment\n"
      "# v' = 7\n"
      "vv' = 1\n"
      "  v ' =  -v*(1 +  # first half\n"
      "       2)  # second\n"
      "w' = v\n";
  EXPECT_EQ(EquationOf(text, "v"), "v ' =  -v*(1 + 2)");
  EXPECT_EQ(EquationOf(text, "w"), "w' = v");
  EXPECT_EQ(EquationOf(text, "u"), "");
  EXPECT_EQ(EquationOf("", "v"), "");
}

TEST(EquationOf, IsBounded) {
  const std::string text = "v' = (" + std::string(100'000, '1') + "\n\n";
  EXPECT_LT(EquationOf(text, "v").size(), 600u);
}

}  // namespace
}  // namespace costate
