#include "server/jobs/job_error.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/cord.h"

namespace costate::jobs {
namespace {

TEST(JobError, ComesBackWithItsPayloads) {
  absl::Status error = absl::InvalidArgumentError("no ü");
  error.SetPayload("type.example/a", absl::Cord(std::string("\0\xff", 2)));
  error.SetPayload("type.example/b", absl::Cord(std::string(100'000, 'b')));
  Job job;
  SetJobError(error, job);
  EXPECT_EQ(job.error_code, 3);
  EXPECT_EQ(job.error_message, "no ü");
  EXPECT_EQ(JobError(job), error);
}

TEST(JobError, OkIsNone) {
  Job job;
  SetJobError(absl::InternalError("before"), job);
  SetJobError(absl::OkStatus(), job);
  EXPECT_EQ(job.error_message, "");
  EXPECT_EQ(job.error_details, "");
  EXPECT_TRUE(JobError(job).ok());
}

TEST(JobError, DamagedPayloadsAreLeftOut) {
  absl::Status error = absl::InternalError("why");
  error.SetPayload("type.example/a", absl::Cord("bytes"));
  Job job;
  SetJobError(error, job);
  const std::string whole = job.error_details;
  for (size_t size = 0; size < whole.size(); ++size) {
    job.error_details = whole.substr(0, size);
    EXPECT_EQ(JobError(job), absl::InternalError("why")) << size;
  }
}

}  // namespace
}  // namespace costate::jobs
