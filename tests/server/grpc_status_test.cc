#include "server/grpc_status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/cord.h"
#include "engine/base/field_error.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/compute_pool.h"
#include "server/limits.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

google::rpc::Status DetailsOf(const grpc::Status& status) {
  google::rpc::Status details;
  EXPECT_TRUE(details.ParseFromString(status.error_details()));
  return details;
}

TEST(ToGrpcStatus, KeepsEveryCode) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  for (int code = 1; code <= 16; ++code) {
    const grpc::Status status = ToGrpcStatus(absl::Status(absl::StatusCode(code), "text"));
    EXPECT_EQ(static_cast<int>(status.error_code()), code);
    EXPECT_EQ(status.error_details(), "");
  }
}

TEST(ToGrpcStatus, NamesFields) {
  const grpc::Status status = ToGrpcStatus(FieldError("a.b[2]", "-1", "a number >= 0"));
  const google::rpc::Status details = DetailsOf(status);
  EXPECT_EQ(details.code(), static_cast<int>(grpc::StatusCode::INVALID_ARGUMENT));
  google::rpc::BadRequest bad_request;
  ASSERT_EQ(details.details_size(), 1);
  ASSERT_TRUE(details.details(0).UnpackTo(&bad_request));
  EXPECT_EQ(bad_request.field_violations(0).field(), "a.b[2]");
  EXPECT_EQ(bad_request.field_violations(0).description(), "got -1, expected a number >= 0");
  EXPECT_EQ(status.error_message(), "a.b[2]: got -1, expected a number >= 0");
}

TEST(ToGrpcStatus, CarriesRetryInfo) {
  const absl::Status exhausted = ExhaustedStatus("full", absl::Milliseconds(1250));
  EXPECT_EQ(RetryDelay(exhausted), absl::Milliseconds(1250));
  EXPECT_EQ(RetryDelay(absl::ResourceExhaustedError("too large")), std::nullopt);
  const google::rpc::Status details = DetailsOf(ToGrpcStatus(exhausted));
  google::rpc::RetryInfo info;
  ASSERT_TRUE(details.details(0).UnpackTo(&info));
  EXPECT_EQ(info.retry_delay().seconds(), 1);
}

TEST(ToGrpcStatus, HidesTheInside) {
  for (const absl::Status& status :
       {absl::InternalError("/secret/path"), absl::UnknownError("/secret/path"),
        absl::DataLossError("/secret/path")}) {
    EXPECT_EQ(ToGrpcStatus(status).error_message().find("secret"), std::string::npos);
  }
}

// Trailers are at most 8 KiB; a percent-encoded byte takes three.
TEST(ToGrpcStatus, FitsIntoTrailers) {
  std::string text;
  for (int i = 0; i < 10'000; ++i) text += "\u20ac";
  absl::Status status = FieldStatus(absl::StatusCode::kInvalidArgument, "field", text);
  status.SetPayload("type.googleapis.com/x", absl::Cord(std::string(2000, 'x')));
  const grpc::Status converted = ToGrpcStatus(status);
  EXPECT_LE(converted.error_message().size(), static_cast<size_t>(limits::kMaxStatusMessageBytes));
  EXPECT_LE(3 * converted.error_message().size() + 4 * converted.error_details().size() / 3, 7500u);
  const std::string cut = converted.error_message();
  EXPECT_EQ((cut.size() - std::string("field: ...").size()) % 3, 0u) << "between characters";
  EXPECT_EQ(DetailsOf(converted).details_size(), 2);
  status.SetPayload("type.googleapis.com/x", absl::Cord(std::string(20'000, 'x')));
  EXPECT_EQ(ToGrpcStatus(status).error_details(), "");
}

TEST(ToGrpcStatus, KeepsOwnPayloadsInside) {
  absl::Status status = absl::AbortedError("x");
  status.SetPayload("costate.v1/private", absl::Cord("y"));
  EXPECT_EQ(ToGrpcStatus(status).error_details(), "");
}

}  // namespace
}  // namespace costate
