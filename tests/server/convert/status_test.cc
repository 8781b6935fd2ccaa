#include "server/convert/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/cord.h"
#include "engine/base/field_error.h"
#include "google/rpc/error_details.pb.h"

namespace costate {
namespace {

// How it travels in trailers is in grpc_status_test.cc.
TEST(StatusToProto, NamesTheField) {
  const google::rpc::Status proto = StatusToProto(FieldError("spec.fit.data", "-1", "a number"));
  EXPECT_EQ(proto.code(), static_cast<int>(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(proto.message(), "spec.fit.data: got -1, expected a number");
  google::rpc::BadRequest bad_request;
  ASSERT_EQ(proto.details_size(), 1);
  ASSERT_TRUE(proto.details(0).UnpackTo(&bad_request));
  EXPECT_EQ(bad_request.field_violations(0).field(), "spec.fit.data");
}

TEST(StatusToProto, KeepsPayloadsWithATypeUrlWhileTheyFit) {
  absl::Status status = absl::AbortedError("text");
  status.SetPayload("costate.private", absl::Cord("inside"));
  EXPECT_EQ(StatusToProto(status).details_size(), 0);
  status.SetPayload("type.googleapis.com/x", absl::Cord("y"));
  EXPECT_EQ(StatusToProto(status).details_size(), 1);
  status.SetPayload("type.googleapis.com/x", absl::Cord(std::string(10'000, 'y')));
  EXPECT_EQ(StatusToProto(status).details_size(), 0);
  EXPECT_EQ(StatusToProto(status).message(), "text");
}

TEST(CutText, EndsBetweenCharacters) {
  EXPECT_EQ(CutText("abc", 3), "abc");
  EXPECT_EQ(CutText("abcdef", 5), "ab...");
  EXPECT_EQ(CutText("\u20ac\u20ac\u20ac", 8), "\u20ac...");
}

TEST(WithHiddenMessage, KeepsTheCodeAlone) {
  const absl::Status hidden = WithHiddenMessage(absl::DataLossError("/secret/path"));
  EXPECT_EQ(hidden.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(std::string(hidden.message()).find("secret"), std::string::npos);
  EXPECT_TRUE(HidesMessage(hidden));
  EXPECT_FALSE(HidesMessage(absl::InvalidArgumentError("x")));
}

}  // namespace
}  // namespace costate
