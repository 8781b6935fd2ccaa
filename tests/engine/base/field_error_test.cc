#include "engine/base/field_error.h"

#include "absl/strings/cord.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

TEST(FieldErrorTest, SaysFieldValueAndRange) {
  const absl::Status status = FieldError("control.rtol", "-1", "a finite number >= 0");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "control.rtol: got -1, expected a finite number >= 0");
  EXPECT_EQ(FieldOf(status), "control.rtol");
}

TEST(FieldErrorTest, OtherStatusesHaveNoField) {
  EXPECT_EQ(FieldOf(absl::OkStatus()), std::nullopt);
  EXPECT_EQ(FieldOf(absl::InvalidArgumentError("rtol: bad")), std::nullopt);
}

TEST(WithFieldPrefixTest, JoinsWithADot) {
  const absl::Status inner = FieldStatus(absl::StatusCode::kResourceExhausted, "times", "too many");
  const absl::Status outer = WithFieldPrefix("save", inner);
  EXPECT_EQ(outer.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(FieldOf(outer), "save.times");
  EXPECT_EQ(outer.message(), "save.times: too many");
}

TEST(WithFieldPrefixTest, JoinsElementsWithoutADot) {
  const absl::Status status = WithFieldPrefix("atol", FieldError("[2]", "nan", "a number"));
  EXPECT_EQ(FieldOf(status), "atol[2]");
}

TEST(WithFieldPrefixTest, KeepsOtherPayloads) {
  absl::Status inner = FieldError("x", "1", "2");
  inner.SetPayload("test/url", absl::Cord("kept"));
  const absl::Status outer = WithFieldPrefix("a", inner);
  ASSERT_TRUE(outer.GetPayload("test/url").has_value());
  EXPECT_EQ(*outer.GetPayload("test/url"), "kept");
}

TEST(WithFieldPrefixTest, LeavesAStatusWithoutFieldAlone) {
  const absl::Status status = absl::InternalError("x: broken");
  EXPECT_EQ(WithFieldPrefix("a", status), status);
}

}  // namespace
}  // namespace costate
