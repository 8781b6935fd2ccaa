#include "server/validate/job.h"

#include <string>

#include "engine/base/field_error.h"
#include "server/limits.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

std::string CreateField(const std::string& text) {
  const absl::Status status = ValidateCreateJobRequest(FromText<v1::CreateJobRequest>(text));
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return FieldOf(status).value_or("");
}

TEST(ValidateCreateJob, KeyPriorityRetentionAndName) {
  EXPECT_EQ(CreateField(""), "spec.request");
  EXPECT_EQ(CreateField("spec { priority: 3 }"), "spec.request");
  EXPECT_EQ(CreateField("spec { solve { } }"), "") << "what is inside is the runner's to judge";
  EXPECT_EQ(CreateField("spec { solve { } priority: -100 }"), "");
  EXPECT_EQ(CreateField("spec { solve { } priority: 101 }"), "spec.priority");
  EXPECT_EQ(CreateField("spec { solve { } priority: -101 }"), "spec.priority");
  EXPECT_EQ(CreateField("spec { solve { } retention { seconds: 60 } }"), "");
  EXPECT_EQ(CreateField("spec { solve { } retention { } }"), "spec.retention");
  EXPECT_EQ(CreateField("spec { solve { } retention { seconds: -5 } }"), "spec.retention");
  EXPECT_EQ(CreateField("spec { solve { } retention { seconds: 300000000000 } }"),
            "spec.retention");
  EXPECT_EQ(CreateField("spec { solve { } display_name: '" + std::string(256, 'x') + "' }"), "");
  EXPECT_EQ(CreateField("spec { solve { } display_name: '" + std::string(257, 'x') + "' }"),
            "spec.display_name");
}

TEST(ValidateCreateJob, CountsCharactersOfTheKey) {
  v1::CreateJobRequest request;
  request.mutable_spec()->mutable_solve();
  for (int i = 0; i < 128; ++i) *request.mutable_idempotency_key() += "\u20ac";
  EXPECT_TRUE(ValidateCreateJobRequest(request).ok());
  *request.mutable_idempotency_key() += "x";
  EXPECT_EQ(FieldOf(ValidateCreateJobRequest(request)), "idempotency_key");
}

TEST(ValidateJobDeadline, LiesAhead) {
  const absl::Time now = absl::FromUnixSeconds(1'000);
  v1::JobSpec spec;
  EXPECT_TRUE(ValidateJobDeadline(spec, now).ok());
  spec.mutable_deadline()->set_seconds(1'000);
  EXPECT_EQ(FieldOf(ValidateJobDeadline(spec, now)), "spec.deadline");
  spec.mutable_deadline()->set_nanos(1);
  EXPECT_TRUE(ValidateJobDeadline(spec, now).ok());
  spec.mutable_deadline()->set_nanos(-1);
  EXPECT_EQ(FieldOf(ValidateJobDeadline(spec, now)), "spec.deadline");
  spec.mutable_deadline()->set_nanos(0);
  spec.mutable_deadline()->set_seconds(int64_t{1} << 60);
  EXPECT_EQ(FieldOf(ValidateJobDeadline(spec, now)), "spec.deadline");
}

TEST(ValidateJobName, IsAnIdAsCreateJobMakesThem) {
  EXPECT_TRUE(ValidateJobName("name", "jobs/0123456789abcdef0123456789abcdef").ok());
  for (const char* bad :
       {"", "jobs/", "jobs/0123456789abcdef0123456789abcde", "0123456789abcdef0123456789abcdef",
        "jobs/0123456789abcdef0123456789ABCDEF", "models/0123456789abcdef0123456789abcdef",
        "jobs/0123456789abcdef0123456789abcdef'"}) {
    EXPECT_EQ(FieldOf(ValidateJobName("name", bad)), "name") << bad;
  }
}

// A text that is cut within a character makes an error whose details nobody can read.
TEST(ValidateJobName, QuotesNothingThatIsNoText) {
  for (int length = 60; length < 66; ++length) {
    const std::string name = std::string(static_cast<size_t>(length), 'x') + "\u20ac";
    v1::ListJobsRequest list;
    list.add_kinds(name);
    for (const absl::Status& status :
         {ValidateJobName("name", name), ValidateListJobsRequest(list)}) {
      for (const char c : status.message()) EXPECT_EQ(c & 0x80, 0) << status;
    }
  }
}

TEST(ValidateListJobs, PagesAndFilters) {
  const auto field = [](const std::string& text) {
    return FieldOf(ValidateListJobsRequest(FromText<v1::ListJobsRequest>(text))).value_or("");
  };
  EXPECT_EQ(field(""), "");
  EXPECT_EQ(field("page_size: 1000 states: STATE_DEAD kinds: 'fit' kinds: 'stability'"), "");
  EXPECT_EQ(field("page_size: 1001"), "page_size");
  EXPECT_EQ(field("page_size: -1"), "page_size");
  EXPECT_EQ(field("states: STATE_QUEUED states: STATE_UNSPECIFIED"), "states[1]");
  EXPECT_EQ(field("kinds: 'fits'"), "kinds[0]");
  EXPECT_EQ(field("kinds: 'priority'"), "kinds[0]") << "a field, but no request";
  EXPECT_EQ(field("display_name_contains: '" + std::string(300, 'x') + "'"),
            "display_name_contains");
}

TEST(ValidateWatchJob, NameAndSequence) {
  v1::WatchJobRequest request;
  EXPECT_EQ(FieldOf(ValidateWatchJobRequest(request)), "name");
  request.set_name("jobs/0123456789abcdef0123456789abcdef");
  EXPECT_TRUE(ValidateWatchJobRequest(request).ok());
  request.set_from_sequence(-1);
  EXPECT_EQ(FieldOf(ValidateWatchJobRequest(request)), "from_sequence");
}

}  // namespace
}  // namespace costate
