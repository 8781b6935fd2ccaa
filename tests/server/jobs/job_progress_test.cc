#include "server/jobs/job_progress.h"

#include <string>

#include "tests/server/proto_matchers.h"

namespace costate::jobs {
namespace {

v1::FitSummary Summary(int done, int iterations) {
  v1::FitSummary summary;
  summary.set_starts(10);
  summary.set_starts_done(done);
  summary.set_iterations(iterations);
  return summary;
}

TEST(JobProgress, SumsTheNewestOfEveryTask) {
  JobProgress progress;
  EXPECT_TRUE(progress.empty());
  progress.Update(0, Summary(1, 5));
  progress.Update(2, Summary(0, 7));
  EXPECT_THAT(progress.Update(0, Summary(2, 6)),
              Partially("starts: 10 starts_done: 2 iterations: 13"));
}

TEST(JobProgresses, AreSharedByTheTasksOfAJob) {
  JobProgresses progresses;
  auto first = progresses.Of("a");
  first->Update(0, Summary(1, 1));
  EXPECT_EQ(progresses.Of("a"), first);
  EXPECT_NE(progresses.Of("b"), first);
}

TEST(JobProgresses, RememberJobsOfLate) {
  JobProgresses progresses;
  progresses.Of("a")->Update(0, Summary(1, 1));
  EXPECT_FALSE(progresses.Of("a")->empty()) << "its tasks may run one after another";
  const auto held = progresses.Of("held");
  for (int i = 0; i < 100; ++i) progresses.Of(std::to_string(i));
  EXPECT_TRUE(progresses.Of("a")->empty()) << "not for ever";
  EXPECT_EQ(progresses.Of("held"), held) << "while a task has it";
}

}  // namespace
}  // namespace costate::jobs
