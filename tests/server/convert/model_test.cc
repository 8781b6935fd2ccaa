#include "server/convert/model.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "tests/server/compiled_model.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ModelToProto, DescribesTheModel) {
  const std::shared_ptr<const Model> model = ModelOf(kTensorModel);
  v1::Model proto;
  ModelToProto(*model, false, &proto);
  EXPECT_THAT(proto.name(), StartsWith("models/"));
  EXPECT_EQ(proto.display_name(), "tensors");
  ASSERT_EQ(proto.params_size(), 2);
  EXPECT_THAT(proto.params(0), Partially("name: 'k' lower: 0 upper: 10"));
  EXPECT_THAT(Doubles(proto.params(1).default_value()), ::testing::ElementsAre(1, 2, 3));
  EXPECT_FALSE(proto.params(1).has_lower());
  EXPECT_THAT(proto.states(1), Partially("name: 'y' shape: [2, 2] offset: 1"));
  EXPECT_THAT(proto.outputs(1), Partially("name: 'z' shape: [2, 2] offset: 1"));
  EXPECT_EQ(proto.canonical_text(), "");
  ModelToProto(*model, true, &proto);
  EXPECT_NE(proto.canonical_text(), "");
}

std::vector<Issue> IssuesOf(const std::string& text) { return ParseModel(text).issues; }

v1::ModelIssues DetailOf(const absl::Status& status) {
  v1::ModelIssues issues;
  const auto payload = status.GetPayload("type.googleapis.com/costate.v1.ModelIssues");
  EXPECT_TRUE(payload.has_value());
  EXPECT_TRUE(issues.ParseFromString(std::string(payload.value_or(absl::Cord()))));
  return issues;
}

TEST(ModelIssuesStatus, CarriesIssuesAndShowsTheFirst) {
  const std::string text = "state x = 1\nx' = -gmma*x + bta\n";
  const absl::Status status = ModelIssuesStatus("model.text", text, IssuesOf(text));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(FieldOf(status).value_or(""), "model.text");
  EXPECT_THAT(std::string(status.message()), HasSubstr("2 issues, the first is"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("^~~~"));
  const v1::ModelIssues issues = DetailOf(status);
  ASSERT_EQ(issues.issues_size(), 2);
  EXPECT_THAT(issues.issues(0), Partially("line: 2 column: 7 length: 4"));
  EXPECT_THAT(issues.formatted(), HasSubstr("bta"));
}

TEST(ModelIssuesStatus, FitsIntoTrailers) {
  std::string text = "state x = 1\nx' = 0\n";
  for (int i = 0; i < 300; ++i) absl::StrAppend(&text, "let a", i, " = unknown_name_", i, "\n");
  const std::vector<Issue> issues = IssuesOf(text);
  ASSERT_GT(issues.size(), 50u);
  const absl::Status status = ModelIssuesStatus("model.text", text, issues);
  const v1::ModelIssues detail = DetailOf(status);
  EXPECT_GT(detail.issues_size(), 0);
  EXPECT_LT(detail.ByteSizeLong(), 3000u);
  v1::ModelIssues all;
  IssuesToProto(text, issues, &all);
  EXPECT_EQ(all.issues_size(), static_cast<int>(issues.size()));
}

}  // namespace
}  // namespace costate
