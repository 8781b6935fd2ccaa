// Fits and profiles as jobs: cut into tasks, interrupted, put together again.
#include <gmock/gmock.h>

#include <cmath>
#include <memory>
#include <string>

#include "engine/base/field_error.h"
#include "server/jobs/prepared_fit.h"
#include "server/jobs/runners.h"
#include "tests/server/jobs/fake_task.h"
#include "tests/server/proto_matchers.h"

namespace costate::jobs {
namespace {

// x(t) = a exp(-k t) at a = 2, k = 0.7, rounded: a fit with a clear best point.
constexpr char kFit[] = R"pb(
  fit {
    simulation {
      model {
        text: "param a = 1 in [0, 10]\nparam k = 1 in [0, 10]\nstate x = a\nx' = -k*x\noutput y = x\n"
      }
      t1: 4
      options { adaptive { rtol: 1e-8 atol: 1e-10 } }
    }
    data {
      output: "y"
      times { values: [ 0, 1, 2, 3, 4 ] }
      values { values: [ 2.0, 1.0, 0.5, 0.24, 0.12 ] }
      sigma { values: 0.02 }
    }
    free { name: "a" lower: 0.1 upper: 10 scale: PARAMETER_SCALE_LOG10 }
    free { name: "k" lower: 0.1 upper: 10 scale: PARAMETER_SCALE_LOG10 }
    options { starts: 20 seed: 7 }
  }
)pb";

class FitRunnerTest : public testing::Test {
 protected:
  v1::JobSpec spec_ = FromText<v1::JobSpec>(kFit);
  Log log_{LogLevel::kError, [](std::string_view) {}};
  std::unique_ptr<Environment> environment_ = SmallEnvironment(log_);

  std::string Field() {
    const absl::Status status =
        RunnerOf(spec_)->Plan(*environment_, spec_, Cancellation{}).status();
    EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
    return FieldOf(status).value_or("");
  }
  std::string RunWhole(const v1::JobSpec& spec) {
    FakeTask task(*environment_);
    const absl::StatusOr<std::string> result = RunnerOf(spec)->Run(task, spec);
    EXPECT_TRUE(result.ok()) << result.status();
    return result.value_or("");
  }
};

TEST_F(FitRunnerTest, ASmallFitIsOneTask) {
  const absl::StatusOr<JobPlan> plan = FitRunner()->Plan(*environment_, spec_, Cancellation{});
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_EQ(plan->num_tasks, 1);
  EXPECT_FALSE(plan->last_task_waits);
  EXPECT_GT(plan->cost, 0);
}

// Scales that are estimated start from a solve of every condition.
TEST_F(FitRunnerTest, APlanCanBeCancelled) {
  spec_.mutable_fit()->mutable_data(0)->set_estimate_scale(true);
  Cancellation cancelled;
  EXPECT_TRUE(FitRunner()->Plan(*environment_, spec_, cancelled).ok());
  cancelled.Cancel(Cancellation::Reason::kClientCancelled);
  EXPECT_EQ(FitRunner()->Plan(*environment_, spec_, cancelled).status().code(),
            absl::StatusCode::kCancelled);
  FakeTask task(*environment_);
  task.stop.Cancel(Cancellation::Reason::kShuttingDown);
  EXPECT_EQ(FitRunner()->Run(task, spec_).status().code(), absl::StatusCode::kUnavailable);
}

// Hours of work do not fail for the length of their traces.
TEST_F(FitRunnerTest, LeavesOutTracesThatDoNotFitIntoTheAnswer) {
  constexpr int64_t kRest = 64 << 10, kAnswer = 24 << 10;
  EnvironmentOptions options;
  options.pool.threads = 2;
  options.pool.interactive_threads = 1;
  options.max_message_bytes = kRest + kAnswer;
  environment_ = Environment::Create(options, log_).value();
  *spec_.mutable_fit()->mutable_options() = FromText<v1::FitOptions>(
      "starts: 20 method: FIT_METHOD_ADAM max_iterations: 200 gradient_tolerance: 0");
  v1::FitResult fit;
  ASSERT_TRUE(fit.ParseFromString(RunWhole(spec_)));
  ASSERT_EQ(fit.starts_size(), 20);
  EXPECT_LE(static_cast<int64_t>(fit.ByteSizeLong()), kAnswer);
  const auto has_trace = [&](int i) { return !fit.starts(i).trace().data().empty(); };
  EXPECT_TRUE(has_trace(0)) << "of the best one";
  EXPECT_FALSE(has_trace(19)) << "of the worst one";
  for (int i = 1; i < 20; ++i) EXPECT_LE(has_trace(i), has_trace(i - 1)) << i;
  EXPECT_EQ(fit.starts(19).iterations(), 200);
}

TEST_F(FitRunnerTest, CountsTheMemoryOfLongTraces) {
  *spec_.mutable_fit()->mutable_options() =
      FromText<v1::FitOptions>("starts: 2 method: FIT_METHOD_ADAM max_iterations: 10000000");
  FakeTask task(*environment_);
  task.stop.Cancel(Cancellation::Reason::kClientCancelled);
  EXPECT_FALSE(FitRunner()->Run(task, spec_).ok());
  EXPECT_GE(task.bytes, 2 * 8 * 10'000'000);
}

TEST_F(FitRunnerTest, FindsTheBestPoint) {
  v1::JobResult result;
  ASSERT_TRUE(FitRunner()->FillResult(spec_, {{0, 1, RunWhole(spec_)}}, &result).ok());
  const v1::FitResult& fit = result.fit();
  ASSERT_EQ(fit.starts_size(), 20);
  EXPECT_THAT(fit.names(), testing::ElementsAre("a", "k"));
  EXPECT_EQ(fit.starts(0).outcome(), v1::FIT_OUTCOME_CONVERGED);
  EXPECT_GE(fit.starts_at_best(), 10);
  // The gradient of the sum of squares over the closed form vanishes there.
  const double a = fit.estimates(0).value(), k = fit.estimates(1).value();
  const double values[] = {2.0, 1.0, 0.5, 0.24, 0.12};
  double by_a = 0, by_k = 0;
  for (int t = 0; t < 5; ++t) {
    const double x = a * std::exp(-k * t);
    by_a += (x - values[t]) * x / a;
    by_k -= (x - values[t]) * x * t;
  }
  EXPECT_NEAR(by_a, 0, 1e-7);
  EXPECT_NEAR(by_k, 0, 1e-7);
  EXPECT_EQ(fit.options().method(), v1::FIT_METHOD_LEVENBERG_MARQUARDT);
  EXPECT_EQ(fit.options().starts(), 20);
  EXPECT_EQ(fit.fitted_size(), 1);
}

TEST_F(FitRunnerTest, CountsTheStepsOfItsSolves) {
  RunWhole(spec_);
  CallRecord record;
  const Cancellation never;
  CallContext call{*environment_, never, record};
  const PreparedFit fit = PrepareFit(call, "fit", spec_.fit()).value();
  NoWorkers workers;
  const auto starts = fit::Starts::Create(fit.objective, fit.options, 0, 20).value();
  while (!starts->done()) ASSERT_TRUE(starts->Advance(kNeverStops, workers).ok());
  ASSERT_TRUE(
      fit::Summarise(*fit.objective, fit.options, starts->results(), kNeverStops, workers).ok());
  const SolveStats work = fit.objective->work();
  EXPECT_GT(work.accepted_steps, 20 * 5);
  EXPECT_THAT(environment_->metrics().Text({}),
              testing::HasSubstr(
                  absl::StrCat("costate_solver_steps_total{outcome=\"accepted\",pass=\"forward\"} ",
                               work.accepted_steps, "\n")));
}

// However it is interrupted, and by whatever method it searches.
TEST_F(FitRunnerTest, AnInterruptedFitHasTheBitsOfAnUnbrokenOne) {
  for (const char* options : {"starts: 20 seed: 7", "starts: 5 method: FIT_METHOD_LBFGSB",
                              "starts: 3 method: FIT_METHOD_ADAM max_iterations: 40 seed: 3"}) {
    *spec_.mutable_fit()->mutable_options() = FromText<v1::FitOptions>(options);
    const std::string whole = RunWhole(spec_);
    for (const int every : {0, 1, 5}) {
      std::optional<std::string> state;
      std::string result;
      for (int attempts = 0; result.empty(); ++attempts) {
        ASSERT_LT(attempts, 1000);
        FakeTask task(*environment_);
        task.state = state;
        task.interrupt_after = every;
        absl::StatusOr<std::string> ran = FitRunner()->Run(task, spec_);
        if (ran.ok()) result = *std::move(ran);
        if (task.stopped_state.has_value()) state = task.stopped_state;
      }
      EXPECT_TRUE(result == whole) << options << ", interrupted after " << every;
    }
  }
}

TEST_F(FitRunnerTest, ChunksGiveTheBitsOfOneTask) {
  const std::string whole = RunWhole(spec_);
  constexpr int64_t kTasks = 4;  // three chunks of eight, eight and four, and the summary
  std::vector<TaskResult> parts;
  for (int64_t i = 0; i + 1 < kTasks; ++i) {
    FakeTask task(*environment_, i, kTasks);
    const absl::StatusOr<std::string> part = FitRunner()->Run(task, spec_);
    ASSERT_TRUE(part.ok()) << part.status();
    parts.push_back({i, 1, *part});
    const v1::FitSummary summary = FitRunner()->SummaryOf(spec_, parts.back());
    EXPECT_EQ(summary.starts(), 20);
    EXPECT_EQ(summary.starts_done(), i < 2 ? 8 : 4);
    ASSERT_FALSE(task.ended.empty());
    EXPECT_EQ(summary.iterations(), task.ended.back().summary().iterations());
  }
  FakeTask last(*environment_, kTasks - 1, kTasks);
  last.results_before = parts;
  const absl::StatusOr<std::string> result = FitRunner()->Run(last, spec_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(*result == whole);
}

TEST_F(FitRunnerTest, ReportsEveryEndOnce) {
  FakeTask task(*environment_);
  ASSERT_TRUE(FitRunner()->Run(task, spec_).ok());
  std::vector<int64_t> starts;
  for (const v1::FitProgress& progress : task.ended) starts.push_back(progress.start());
  std::sort(starts.begin(), starts.end());
  std::vector<int64_t> all(20);
  for (int64_t i = 0; i < 20; ++i) all[static_cast<size_t>(i)] = i;
  EXPECT_EQ(starts, all);
  EXPECT_THAT(task.ended.back().summary(), Partially("starts: 20 starts_done: 20"));
  EXPECT_FALSE(task.reports.empty());
  EXPECT_GT(task.bytes, 0);
}

TEST_F(FitRunnerTest, BeginsAnewFromAStateOfAnotherBuild) {
  FakeTask task(*environment_);
  task.state = "not a state";
  const absl::StatusOr<std::string> result = FitRunner()->Run(task, spec_);
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_TRUE(*result == RunWhole(spec_));
}

TEST_F(FitRunnerTest, EndsWithItsCancellation) {
  FakeTask task(*environment_);
  task.stop.Cancel(Cancellation::Reason::kClientCancelled);
  EXPECT_EQ(FitRunner()->Run(task, spec_).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(FitRunnerTest, NamesFieldsOfTheSpec) {
  v1::FitRequest& fit = *spec_.mutable_fit();
  const v1::FitRequest good = fit;
  EXPECT_EQ(Field(), "");
  fit.mutable_data(0)->set_output("no_such");
  EXPECT_EQ(Field().substr(0, 11), "fit.data[0]");
  fit = good;
  fit.mutable_free(0)->set_name("no_such");
  EXPECT_EQ(Field(), "fit.free[0].name");
  fit = good;
  fit.mutable_data(0)->mutable_times()->set_values(4, 5);
  EXPECT_EQ(Field().substr(0, 17), "fit.data[0].times") << "outside of the span";
  fit = good;
  fit.mutable_simulation()->mutable_model()->set_text("state x = ");
  EXPECT_EQ(Field(), "fit.simulation.model.text");
  fit = good;
  fit.mutable_options()->set_batch_size(1);
  EXPECT_EQ(Field(), "fit.options.batch_size") << "Levenberg-Marquardt draws nothing";
  fit = good;
  fit.mutable_simulation()->mutable_options()->mutable_adaptive()->set_rtol(-1);
  EXPECT_EQ(Field(), "fit.simulation.options.adaptive.rtol");
}

TEST(Chunks, CoverAllStartsInMultiplesOfTheLanes) {
  for (int64_t starts = 1; starts <= 200; ++starts) {
    for (int64_t size = 8; size <= 64; size += 8) {
      Chunks chunks;
      chunks.starts = starts;
      chunks.count = (starts + size - 1) / size;
      int64_t covered = 0;
      for (int64_t i = 0; i < chunks.count; ++i) {
        EXPECT_EQ(chunks.first(i), covered);
        EXPECT_GE(chunks.length(i), 1);
        EXPECT_EQ(chunks.first(i) % kChunkLanes, 0);
        covered += chunks.length(i);
      }
      EXPECT_EQ(covered, starts);
    }
  }
}

TEST(ChooseChunks, ByWorkAndMemory) {
  PreparedFit fit;
  fit.options.starts = 1000;
  fit.cost_per_start = 1;
  fit.bytes_per_start = 1;
  EXPECT_EQ(ChooseChunks(fit, 1 << 30).count, 1);
  fit.cost_per_start = 1e13;
  EXPECT_EQ(ChooseChunks(fit, 1 << 30).size(), kChunkLanes) << "lanes are filled at least";
  fit.cost_per_start = 1;
  fit.bytes_per_start = 1e6;
  const Chunks by_memory = ChooseChunks(fit, int64_t{400} << 20);
  EXPECT_LE(static_cast<double>(by_memory.size()) * fit.bytes_per_start, 0.25 * (400 << 20));
  EXPECT_GT(by_memory.size(), kChunkLanes);
}

// ---- profiles

class ProfileRunnerTest : public FitRunnerTest {
 protected:
  ProfileRunnerTest() {
    v1::JobResult result;
    const std::string fit = RunWhole(spec_);
    EXPECT_TRUE(FitRunner()->FillResult(spec_, {{0, 1, fit}}, &result).ok());
    const v1::FitRequest request = spec_.fit();
    v1::ProfileRequest& profile = *spec_.mutable_profile();
    *profile.mutable_fit() = request;
    for (const v1::FitEstimate& estimate : result.fit().estimates()) {
      profile.mutable_best()->add_values(estimate.value());
    }
  }
};

TEST_F(ProfileRunnerTest, ATaskForEachElement) {
  EXPECT_EQ(ProfileRunner()->Plan(*environment_, spec_, Cancellation{})->num_tasks, 2);
  std::vector<TaskResult> results;
  for (int64_t i = 0; i < 2; ++i) {
    FakeTask task(*environment_, i, 2);
    const absl::StatusOr<std::string> result = ProfileRunner()->Run(task, spec_);
    ASSERT_TRUE(result.ok()) << result.status();
    results.push_back({i, 1, *result});
  }
  v1::JobResult result;
  ASSERT_TRUE(ProfileRunner()->FillResult(spec_, results, &result).ok());
  ASSERT_EQ(result.profile().profiles_size(), 2);
  for (int i = 0; i < 2; ++i) {
    const v1::Profile& profile = result.profile().profiles(i);
    EXPECT_EQ(profile.name(), i == 0 ? "a" : "k");
    const double best = spec_.profile().best().values(i);
    EXPECT_LT(profile.interval_lower(), best);
    EXPECT_GT(profile.interval_upper(), best);
  }
}

TEST_F(ProfileRunnerTest, NamesFieldsOfTheSpec) {
  v1::ProfileRequest& profile = *spec_.mutable_profile();
  profile.add_names("k");
  EXPECT_EQ(ProfileRunner()->Plan(*environment_, spec_, Cancellation{})->num_tasks, 1);
  profile.add_names("no_such");
  EXPECT_EQ(Field(), "profile.names[1]");
  profile.clear_names();
  profile.mutable_best()->set_values(1, 11);
  EXPECT_EQ(Field(), "profile.best[1]") << "beyond the bound";
  profile.mutable_best()->add_values(1);
  EXPECT_EQ(Field(), "profile.best");
  profile.mutable_fit()->mutable_free(0)->set_name("no_such");
  EXPECT_EQ(Field(), "profile.fit.free[0].name");
}

}  // namespace
}  // namespace costate::jobs
