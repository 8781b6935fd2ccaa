#include "server/metrics_endpoint.h"

#include <sys/statvfs.h>

#include <chrono>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "server/version.h"

namespace costate {
namespace {

constexpr char kField[] = "--metrics-address";

// Nothing for a directory that is not there.
void AddDirectory(const std::string& name, const std::string& path,
                  std::vector<DirectorySpace>* spaces) {
  struct statvfs found = {};
  if (path.empty() || statvfs(path.c_str(), &found) != 0) return;
  const auto bytes = [&found](fsblkcnt_t blocks) {
    return static_cast<int64_t>(blocks) * static_cast<int64_t>(found.f_frsize);
  };
  spaces->push_back({name, bytes(found.f_bavail), bytes(found.f_blocks)});
}

}  // namespace

absl::Status ValidateMetricsEndpoint(const MetricsEndpointOptions& options) {
  if (options.address.empty()) return absl::OkStatus();
  const absl::StatusOr<HttpAddress> address = ParseHttpAddress(options.address);
  if (!address.ok()) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, kField,
                       std::string(address.status().message()));
  }
  if (address->loopback || options.allow_remote) return absl::OkStatus();
  return FieldStatus(absl::StatusCode::kInvalidArgument, kField,
                     absl::StrCat(options.address,
                                  " can be reached from other machines, without TLS and without "
                                  "a log-in; give --allow-remote-metrics where that is meant"));
}

MetricsSnapshot TakeMetricsSnapshot(Environment& environment) {
  MetricsSnapshot now;
  now.version = kVersion;
  const Evaluator& evaluator = environment.engine().evaluator();
  now.evaluator = std::string(evaluator.name());
  now.simd_lanes = evaluator.simd_lanes();
  now.kernels = StatsOf(evaluator);
  const EnvironmentOptions& options = environment.options();
  now.has_disk_cache = !options.cache_directory.empty();
  now.threads = environment.pool().options().threads;
  now.interactive_threads = environment.pool().options().interactive_threads;
  now.pool = environment.pool().stats();
  now.memory_held = environment.memory().held();
  now.memory_total = environment.memory().total();
  now.disk_held = environment.disk().held();
  now.disk_total = environment.disk().total();
  now.kept_solves = environment.kept_solves().size();
  now.kept_bytes = environment.kept_solves().held_bytes();
  now.kept_max_bytes = environment.kept_solves().max_bytes();
  now.open_streams = environment.open_streams();
  now.active_calls = environment.active_calls().size();
  now.draining = environment.active_calls().draining();
  AddDirectory("cache", options.cache_directory, &now.directories);
  AddDirectory("scratch", options.scratch_directory, &now.directories);
  now.process = ReadProcessStats();
  now.jobs = environment.job_gauges();
  if (now.jobs.has_value()) AddDirectory("jobs", now.jobs->directory, &now.directories);
  return now;
}

HttpAnswer AnswerMetricsRequest(Environment& environment, std::string_view path) {
  HttpAnswer answer;
  if (path == "/metrics") {
    answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
    answer.body = environment.metrics().Text(TakeMetricsSnapshot(environment));
  } else if (path == "/healthz") {
    answer.body = "ok\n";
  } else if (path == "/readyz") {
    const bool draining = environment.active_calls().draining();
    answer.code = draining ? 503 : 200;
    answer.body = draining ? "draining\n" : "ok\n";
  } else {
    answer.code = 404;
    answer.body = "there are /metrics, /healthz and /readyz\n";
  }
  return answer;
}

absl::StatusOr<std::unique_ptr<HttpListener>> StartMetricsEndpoint(
    const MetricsEndpointOptions& options, Environment& environment) {
  RETURN_IF_ERROR(ValidateMetricsEndpoint(options));
  // One scrape at a time: a store or a disk that does not answer holds up one thread of the
  // listener, and not those that say how the server is.
  const auto scraping = std::make_shared<std::timed_mutex>();
  return HttpListener::Start(options.address, [&environment, scraping](std::string_view path) {
    if (path != "/metrics") return AnswerMetricsRequest(environment, path);
    constexpr std::chrono::milliseconds kPatience(500);
    const std::unique_lock<std::timed_mutex> lock(*scraping, kPatience);
    if (lock.owns_lock()) return AnswerMetricsRequest(environment, path);
    return HttpAnswer{503, "text/plain", "another scrape has not been answered yet\n"};
  });
}

}  // namespace costate
