#include "server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "google/protobuf/struct.pb.h"
#include "google/protobuf/util/json_util.h"
#include "tests/server/exposition.h"

namespace costate {
namespace {

using ::testing::Contains;
using ::testing::IsSubsetOf;

constexpr char kSolve[] = "costate.v1.SolveService/Solve";

std::set<std::string> TableNames() {
  std::set<std::string> names;
  for (const MetricInfo& info : AllMetrics()) names.insert(info.name);
  return names;
}

Exposition Read(const Metrics& metrics, const MetricsSnapshot& snapshot = {}) {
  absl::StatusOr<Exposition> page = Exposition::Parse(metrics.Text(snapshot));
  EXPECT_TRUE(page.ok()) << page.status();
  return page.ok() ? *page : Exposition();
}

// One of everything.
MetricsSnapshot FullSnapshot() {
  MetricsSnapshot now;
  now.version = "1.2.3";
  now.evaluator = "llvm";
  now.simd_lanes = 8;
  now.threads = 6;
  now.interactive_threads = 2;
  now.directories = {{"cache", 10, 20}};
  now.jobs.emplace();
  now.jobs->reachable = true;
  return now;
}

void RecordOneOfEach(Metrics* metrics) {
  metrics->AddMethod(kSolve);
  metrics->RecordJob("fit", "succeeded", absl::Seconds(3));
  metrics->RecordFitStart("converged", 12, 30);
}

TEST(MetricsTest, TheTableAndThePageHaveTheSameMetrics) {
  Metrics metrics;
  RecordOneOfEach(&metrics);
  const Exposition page = Read(metrics, FullSnapshot());
  EXPECT_EQ(page.sampled_families(), TableNames());
  EXPECT_EQ(AllMetrics().size(), TableNames().size()) << "a name twice";
  for (const MetricInfo& info : AllMetrics()) {
    const char* const types[] = {"counter", "gauge", "histogram"};
    EXPECT_EQ(page.types().at(info.name), types[static_cast<int>(info.type)]) << info.name;
    EXPECT_EQ(page.helps().at(info.name), info.help);
  }
}

// https://prometheus.io/docs/practices/naming/
TEST(MetricsTest, NamesFollowTheConventions) {
  const std::regex shape("(costate|process)(_[a-z]+)+");
  for (const MetricInfo& info : AllMetrics()) {
    const std::string name = info.name;
    EXPECT_TRUE(std::regex_match(name, shape)) << name;
    EXPECT_EQ(absl::EndsWith(name, "_total"), info.type == MetricType::kCounter) << name;
    if (info.type == MetricType::kHistogram) {
      EXPECT_TRUE(absl::EndsWith(name, "_seconds")) << name;
    }
    EXPECT_FALSE(std::regex_search(name, std::regex("_(ms|millis|kb|mb)(_|$)"))) << name;
  }
}

TEST(MetricsTest, CallsMoveTheirCountersByTheirFigures) {
  Metrics metrics;
  CallRecord record;
  record.request_bytes = 100;
  record.response_bytes = 2000;
  record.messages = 3;
  record.engine = absl::Milliseconds(250);
  record.work.forward = {50, 7, 400};
  record.work.backward = {40, 2, 300};
  record.work.gradients[static_cast<size_t>(GradientMethod::kGauss)] = 2;
  metrics.RecordCall(kSolve, absl::StatusCode::kOk, absl::Milliseconds(30), record);
  metrics.RecordCall(kSolve, absl::StatusCode::kOk, absl::Milliseconds(40), record);
  metrics.RecordCall(kSolve, absl::StatusCode::kInvalidArgument, absl::Seconds(4), {});
  const Exposition page = Read(metrics);
  const MetricLabels method = {{"method", kSolve}};
  EXPECT_EQ(page.Value("costate_rpc_requests_total", {{"method", kSolve}, {"code", "OK"}}), 2);
  EXPECT_EQ(
      page.Value("costate_rpc_requests_total", {{"method", kSolve}, {"code", "INVALID_ARGUMENT"}}),
      1);
  EXPECT_EQ(page.Value("costate_rpc_duration_seconds_count", method), 3);
  EXPECT_NEAR(page.Value("costate_rpc_duration_seconds_sum", method), 4.07, 1e-9);
  // 30 and 40 ms lie below 50 ms and above 25 ms.
  const auto below = [&page](const char* bound) {
    return page.Value("costate_rpc_duration_seconds_bucket", {{"method", kSolve}, {"le", bound}});
  };
  EXPECT_EQ(below("0.025"), 0);
  EXPECT_EQ(below("0.05"), 2);
  EXPECT_EQ(below("5"), 3);
  EXPECT_EQ(page.Value("costate_rpc_request_bytes_total", method), 200);
  EXPECT_EQ(page.Value("costate_rpc_response_bytes_total", method), 4000);
  EXPECT_EQ(page.Value("costate_rpc_stream_messages_total", method), 6);
  EXPECT_EQ(page.Value("costate_engine_seconds_total"), 0.5);
  const auto steps = [&page](const char* pass, const char* outcome) {
    return page.Value("costate_solver_steps_total", {{"pass", pass}, {"outcome", outcome}});
  };
  EXPECT_EQ(steps("forward", "accepted"), 100);
  EXPECT_EQ(steps("forward", "rejected"), 14);
  EXPECT_EQ(steps("backward", "accepted"), 80);
  EXPECT_EQ(steps("backward", "rejected"), 4);
  EXPECT_EQ(page.Value("costate_rhs_evaluations_total", {{"pass", "forward"}}), 800);
  EXPECT_EQ(page.Value("costate_rhs_evaluations_total", {{"pass", "backward"}}), 600);
  EXPECT_EQ(page.Value("costate_gradients_total", {{"method", "gauss"}}), 4);
  EXPECT_EQ(page.Sum("costate_gradients_total"), 4);
}

TEST(MetricsTest, EveryStatusCodeHasItsName) {
  Metrics metrics;
  for (int code = 0; code <= 16; ++code) {
    metrics.RecordCall(kSolve, static_cast<absl::StatusCode>(code), absl::ZeroDuration(), {});
  }
  metrics.RecordCall(kSolve, static_cast<absl::StatusCode>(99), absl::ZeroDuration(), {});
  const Exposition page = Read(metrics);
  EXPECT_EQ(page.Sum("costate_rpc_requests_total"), 18);
  EXPECT_EQ(
      page.Value("costate_rpc_requests_total", {{"method", kSolve}, {"code", "DEADLINE_EXCEEDED"}}),
      1);
  EXPECT_EQ(page.Value("costate_rpc_requests_total", {{"method", kSolve}, {"code", "UNKNOWN"}}), 2);
}

TEST(MetricsTest, EveryGradientMethodHasItsName) {
  Metrics metrics;
  const Exposition page = Read(metrics);
  for (const GradientMethod method : AllGradientMethods()) {
    const std::string name(GetGradientMethodInfo(method).name);
    EXPECT_TRUE(page.Has("costate_gradients_total", {{"method", name}})) << name;
  }
  EXPECT_TRUE(page.Has("costate_gradients_total", {{"method", "reversible"}}));
}

TEST(MetricsTest, ReadsLevelsFromTheSnapshot) {
  Metrics metrics;
  MetricsSnapshot now = FullSnapshot();
  now.pool.queued[0] = 3;
  now.pool.running[1] = 4;
  now.pool.admitted[1] = 70;
  now.pool.refused[0] = 5;
  now.kernels = {.compiled = 6,
                 .memory_hits = 100,
                 .disk_hits = 20,
                 .code_bytes = 4096,
                 .compile_time = absl::Milliseconds(1500)};
  now.memory_held = 11;
  now.memory_total = 22;
  now.draining = true;
  const auto value = [&](const char* name, const MetricLabels& labels = {}) {
    return Read(metrics, now).Value(name, labels);
  };
  EXPECT_EQ(value("costate_queue_depth", {{"class", "interactive"}}), 3);
  EXPECT_EQ(value("costate_queue_depth", {{"class", "batch"}}), 0);
  EXPECT_EQ(value("costate_running_tasks", {{"class", "batch"}}), 4);
  EXPECT_EQ(value("costate_tasks_admitted_total", {{"class", "batch"}}), 70);
  EXPECT_EQ(value("costate_tasks_shed_total", {{"class", "interactive"}}), 5);
  EXPECT_EQ(value("costate_compute_threads", {{"class", "batch"}}), 4);
  EXPECT_EQ(value("costate_compile_seconds_total"), 1.5);
  const auto cache = [&](const char* which, const char* result) {
    return value("costate_kernel_cache_requests_total", {{"cache", which}, {"result", result}});
  };
  EXPECT_EQ(cache("memory", "hit"), 100);
  EXPECT_EQ(cache("memory", "miss"), 26);
  EXPECT_EQ(cache("disk", "hit"), 20);
  EXPECT_EQ(cache("disk", "miss"), 0) << "there is no cache on disk";
  now.has_disk_cache = true;
  EXPECT_EQ(cache("disk", "miss"), 6);
  EXPECT_EQ(value("costate_memory_budget_held_bytes"), 11);
  EXPECT_EQ(value("costate_memory_budget_bytes"), 22);
  EXPECT_EQ(value("costate_draining"), 1);
  EXPECT_EQ(value("costate_directory_free_bytes", {{"directory", "cache"}}), 10);
  EXPECT_EQ(value("costate_build_info",
                  {{"version", "1.2.3"}, {"evaluator", "llvm"}, {"simd_lanes", "8"}}),
            1);
}

TEST(MetricsTest, JobsAreReadFromTheirStore) {
  Metrics metrics;
  MetricsSnapshot now = FullSnapshot();
  now.jobs->dead = 2;
  now.jobs->tasks_queued = 9;
  now.jobs->oldest_queued = absl::Milliseconds(2500);
  now.jobs->stale_writes = 4;
  Exposition page = Read(metrics, now);
  EXPECT_EQ(page.Value("costate_job_store_up"), 1);
  EXPECT_EQ(page.Value("costate_jobs", {{"state", "dead"}}), 2);
  EXPECT_EQ(page.Value("costate_job_tasks_queued"), 9);
  EXPECT_EQ(page.Value("costate_job_oldest_queued_seconds"), 2.5);
  EXPECT_EQ(page.Value("costate_job_stale_writes_total"), 4);
  // Of a store that does not answer nothing is made up.
  now.jobs->reachable = false;
  page = Read(metrics, now);
  EXPECT_EQ(page.Value("costate_job_store_up"), 0);
  EXPECT_FALSE(page.Has("costate_job_tasks_queued"));
  now.jobs.reset();
  EXPECT_FALSE(Read(metrics, now).Has("costate_job_store_up"));
}

TEST(MetricsTest, CountsJobsAndStarts) {
  Metrics metrics;
  metrics.RecordJob("fit", "succeeded", absl::Seconds(3));
  metrics.RecordJob("fit", "failed", absl::Seconds(100));
  metrics.RecordJob("fit", "succeeded", absl::Seconds(4));
  metrics.RecordFitStart("converged", 12, 30);
  metrics.RecordFitStart("converged", 8, 10);
  metrics.RecordFitStart("diverged", 0, 1);
  const Exposition page = Read(metrics);
  const MetricLabels good = {{"kind", "fit"}, {"state", "succeeded"}};
  EXPECT_EQ(page.Value("costate_job_duration_seconds_count", good), 2);
  EXPECT_EQ(page.Value("costate_job_duration_seconds_sum", good), 7);
  EXPECT_EQ(page.Value("costate_fit_starts_total", {{"outcome", "converged"}}), 2);
  EXPECT_EQ(page.Value("costate_fit_starts_total", {{"outcome", "diverged"}}), 1);
  EXPECT_EQ(page.Value("costate_fit_iterations_total"), 20);
  EXPECT_EQ(page.Value("costate_fit_evaluations_total"), 41);
}

TEST(MetricsTest, LosesNothingAmongThreads) {
  constexpr int kThreads = 4;
  constexpr int kTimes = 2000;
  Metrics metrics;
  CallRecord record;
  record.request_bytes = 1;
  record.work.forward.accepted_steps = 3;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&metrics, &record] {
      for (int k = 0; k < kTimes; ++k) {
        metrics.RecordCall(kSolve, absl::StatusCode::kOk, absl::Microseconds(k), record);
        metrics.RecordQueueDelay(TaskClass::kBatch, absl::Microseconds(k));
        if (k % 500 != 0) continue;
        EXPECT_TRUE(Exposition::Parse(metrics.Text({})).ok());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const Exposition page = Read(metrics);
  EXPECT_EQ(page.Value("costate_rpc_request_bytes_total", {{"method", kSolve}}), kThreads * kTimes);
  EXPECT_EQ(page.Sum("costate_solver_steps_total"), 3 * kThreads * kTimes);
  EXPECT_EQ(page.Value("costate_queue_delay_seconds_count", {{"class", "batch"}}),
            kThreads * kTimes);
}

// ---- the reader itself
// ---------------------------------------------------------------------------

TEST(ExpositionTest, RefusesWhatScrapersWould) {
  constexpr char kHead[] = "# HELP a_total b\n# TYPE a_total counter\n";
  EXPECT_TRUE(Exposition::Parse(std::string(kHead) + "a_total{x=\"a\\\"b\"} 1\n").ok());
  for (const char* wrong :
       {"a_total 1", "a_total{x=\"1\"} 1\na_total{x=\"1\"} 2\n", "a_total -1\n", "a_total one\n",
        "a_total{x=1} 1\n", "a_total{x=\"1} 1\n", "a_total{1x=\"1\"} 1\n", "b_total 1\n",
        "a_total\n", "a_total{x=\"\\q\"} 1\n", "a_total  1\n", "a_total 0x10\n", "\n",
        "# TYPE a_total counter\n", "# a comment\n"}) {
    EXPECT_FALSE(Exposition::Parse(std::string(kHead) + wrong).ok()) << wrong;
  }
  constexpr char kHistogram[] = "# HELP h b\n# TYPE h histogram\n";
  const auto histogram = [&](const std::string& rest) {
    return Exposition::Parse(kHistogram + rest).ok();
  };
  EXPECT_TRUE(histogram("h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n"));
  EXPECT_FALSE(histogram("h_bucket{le=\"1\"} 4\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n"));
  EXPECT_FALSE(histogram("h_bucket{le=\"1\"} 3\nh_sum 4\nh_count 3\n"));
  EXPECT_FALSE(histogram("h_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 2\n"));
  EXPECT_FALSE(histogram("h_bucket{le=\"+Inf\"} 3\nh_count 3\n"));
}

// ---- deploy/dashboards
// ---------------------------------------------------------------------------

std::string DashboardFile(const std::string& name) {
  std::ifstream file(std::string(COSTATE_SOURCE_DIR) + "/deploy/dashboards/" + name);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// Words of PromQL that look like a metric of ours.
std::set<std::string> MetricsIn(const std::string& expression) {
  static const std::regex word("\\b(costate|process)_[a-zA-Z0-9_]+");
  std::set<std::string> names;
  for (std::sregex_iterator at(expression.begin(), expression.end(), word), end; at != end; ++at) {
    names.insert(at->str());
  }
  return names;
}

// What can be asked for: histograms by their parts only.
std::set<std::string> SeriesNames() {
  std::set<std::string> names;
  for (const MetricInfo& info : AllMetrics()) {
    const std::string name = info.name;
    if (info.type != MetricType::kHistogram) {
      names.insert(name);
      continue;
    }
    for (const char* part : {"_bucket", "_sum", "_count"}) names.insert(name + part);
  }
  return names;
}

void CollectExpressions(const google::protobuf::Value& value, std::vector<std::string>* found) {
  if (value.has_list_value()) {
    for (const auto& item : value.list_value().values()) CollectExpressions(item, found);
  }
  if (!value.has_struct_value()) return;
  for (const auto& [key, item] : value.struct_value().fields()) {
    if (key == "expr") found->push_back(item.string_value());
    CollectExpressions(item, found);
  }
}

TEST(DashboardTest, IsJsonAndAsksForMetricsThatExist) {
  google::protobuf::Value dashboard;
  const auto parsed =
      google::protobuf::util::JsonStringToMessage(DashboardFile("costate.json"), &dashboard);
  ASSERT_TRUE(parsed.ok()) << parsed.ToString();
  std::vector<std::string> expressions;
  CollectExpressions(dashboard, &expressions);
  EXPECT_GE(expressions.size(), 20u);
  for (const std::string& expression : expressions) {
    EXPECT_FALSE(MetricsIn(expression).empty()) << expression;
    EXPECT_THAT(MetricsIn(expression), IsSubsetOf(SeriesNames())) << expression;
  }
}

TEST(DashboardTest, AlertsAskForMetricsThatExist) {
  const std::string text = DashboardFile("alerts.yml");
  const std::regex line("\n +expr: ([^\n]+)");
  std::set<std::string> asked;
  int count = 0;
  for (std::sregex_iterator at(text.begin(), text.end(), line), end; at != end; ++at, ++count) {
    const std::set<std::string> names = MetricsIn((*at)[1].str());
    EXPECT_FALSE(names.empty()) << at->str();
    EXPECT_THAT(names, IsSubsetOf(SeriesNames())) << at->str();
    asked.insert(names.begin(), names.end());
  }
  EXPECT_GE(count, 10);
  for (const char* name :
       {"costate_job_oldest_queued_seconds", "costate_job_oldest_checkpoint_seconds",
        "costate_job_stale_writes_total", "costate_jobs", "costate_directory_free_bytes"}) {
    EXPECT_THAT(asked, Contains(name));
  }
}

}  // namespace
}  // namespace costate
