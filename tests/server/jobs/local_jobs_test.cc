#include "server/jobs/local_jobs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/convert/job.h"
#include "tests/server/jobs/fake_task.h"
#include "tests/server/jobs/temporary_directory.h"
#include "tests/server/jobs/worker_place.h"
#include "tests/server/proto_matchers.h"

namespace costate::jobs {
namespace {

class LocalJobsTest : public testing::Test {
 protected:
  LocalJobsOptions Options(int workers) const {
    LocalJobsOptions options;
    options.directory = directory_.path() + "/jobs";
    options.workers = workers;
    options.retention = absl::Hours(3);
    options.max_queued_jobs = 5;
    return options;
  }
  static NewJob SolveJob() {
    const auto spec = FromText<v1::JobSpec>(
        "solve { simulation { model { text: \"state x = 1\\nx' = -x\" } t1: 1 } }");
    NewJob job;
    job.kind = JobKindOf(spec);
    job.spec = StableBytes(spec);
    return job;
  }

  TemporaryDirectory directory_;
  Log log_{LogLevel::kError, [](std::string_view) {}};
  std::unique_ptr<Environment> environment_ = SmallEnvironment(log_);
};

TEST_F(LocalJobsTest, CarriesOutWhatItKeeps) {
  const auto jobs = LocalJobs::Open(Options(-1), *environment_).value();
  EXPECT_EQ(jobs->retention(), absl::Hours(3));
  EXPECT_EQ(jobs->max_queued_jobs(), 5);
  const std::string id = jobs->store().Create(SolveJob()).value().job.id;
  ASSERT_TRUE(Await([&] { return jobs->store().Get(id).value().state == JobState::kSucceeded; }));
  const JobGauges gauges = jobs->gauges();
  EXPECT_TRUE(gauges.reachable);
  EXPECT_EQ(gauges.directory, directory_.path() + "/jobs");
  EXPECT_EQ(gauges.succeeded, 1);
  EXPECT_EQ(gauges.queued + gauges.running + gauges.failed + gauges.cancelled + gauges.dead, 0);
  EXPECT_GT(gauges.store_bytes, 0);
  jobs->Drain();
}

TEST_F(LocalJobsTest, CountsJobsThatEndWithoutAWorkerToo) {
  const auto jobs = LocalJobs::Open(Options(0), *environment_).value();
  const std::string id = jobs->store().Create(SolveJob()).value().job.id;
  EXPECT_TRUE(jobs->store().Cancel(id).ok());
  EXPECT_TRUE(jobs->store().Cancel(id).ok());
  EXPECT_THAT(environment_->metrics().Text({}),
              testing::HasSubstr("costate_job_duration_seconds_count{kind=\"solve\","
                                 "state=\"cancelled\"} 1\n"));
}

TEST_F(LocalJobsTest, OnlyKeepsThemWithoutWorkers) {
  const auto jobs = LocalJobs::Open(Options(0), *environment_).value();
  const std::string id = jobs->store().Create(SolveJob()).value().job.id;
  jobs->CancelTasks(id);  // nothing runs here
  EXPECT_EQ(jobs->gauges().queued, 1);
  EXPECT_EQ(jobs->gauges().tasks_queued, 1);
  for (int i = 1; i < 5; ++i) ASSERT_TRUE(jobs->store().Create(SolveJob()).ok());
  EXPECT_EQ(jobs->store().Create(SolveJob()).status().code(), absl::StatusCode::kResourceExhausted);
  jobs->Drain();
}

TEST_F(LocalJobsTest, HasItsDirectoryForItself) {
  const auto jobs = LocalJobs::Open(Options(0), *environment_).value();
  EXPECT_EQ(LocalJobs::Open(Options(0), *environment_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(LocalJobsTest, FindsTheRunnerOfASpec) {
  const auto jobs = LocalJobs::Open(Options(0), *environment_).value();
  EXPECT_EQ(jobs->RunnerOf(v1::JobSpec()), nullptr);
  EXPECT_NE(jobs->RunnerOf(FromText<v1::JobSpec>("solve { }")), nullptr);
}

}  // namespace
}  // namespace costate::jobs
