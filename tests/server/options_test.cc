#include "server/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace costate {
namespace {

using ::testing::HasSubstr;

TEST(ParseCommandLine, HasSafeDefaults) {
  const CommandLine line = ParseCommandLine({}).value();
  EXPECT_EQ(line.server.address, "localhost:4310");
  EXPECT_FALSE(line.server.allow_insecure);
  EXPECT_GE(line.server.environment.pool.threads, 2);
  EXPECT_GE(line.server.environment.pool.interactive_threads, 1);
  EXPECT_LT(line.server.environment.pool.interactive_threads, line.server.environment.pool.threads);
  EXPECT_EQ(line.server.environment.max_message_bytes, 64 << 20);
  EXPECT_EQ(line.log_level, LogLevel::kInfo);
  EXPECT_EQ(line.server.environment.scratch_directory, "") << "no disk without being asked";
  EXPECT_EQ(line.server.metrics.address, "") << "no port without being asked";
  EXPECT_FALSE(line.server.metrics.allow_remote);
}

TEST(ParseCommandLine, TakesBothForms) {
  const CommandLine line = ParseCommandLine({"--address=[::1]:0",
                                             "--threads",
                                             "8",
                                             "--drain-grace=1m30s",
                                             "--allow-insecure",
                                             "--exit-with-stdin=false",
                                             "--cache-directory=",
                                             "--log-level",
                                             "error",
                                             "--memory-budget=8000000",
                                             "--max-deadline=2h",
                                             "--port-file",
                                             "/p",
                                             "--scratch-directory=/s",
                                             "--max-disk-bytes",
                                             "9000000",
                                             "--max-keep-time=10m",
                                             "--max-kept-bytes=0",
                                             "--metrics-address=127.0.0.1:0",
                                             "--allow-remote-metrics",
                                             "--data-directory=/d",
                                             "--job-workers=0",
                                             "--job-retention=48h",
                                             "--max-queued-jobs=5",
                                             "--job-lease=2s",
                                             "--job-checkpoint=0s"})
                               .value();
  EXPECT_EQ(line.server.address, "[::1]:0");
  EXPECT_EQ(line.server.environment.pool.threads, 8);
  EXPECT_EQ(line.server.environment.pool.interactive_threads, 2);
  EXPECT_EQ(line.drain_grace, absl::Seconds(90));
  EXPECT_TRUE(line.server.allow_insecure);
  EXPECT_EQ(line.server.metrics.address, "127.0.0.1:0");
  EXPECT_TRUE(line.server.metrics.allow_remote);
  EXPECT_FALSE(line.exit_with_stdin);
  EXPECT_EQ(line.server.environment.cache_directory, "");
  EXPECT_EQ(line.log_level, LogLevel::kError);
  EXPECT_EQ(line.server.environment.max_deadline, absl::Hours(2));
  EXPECT_EQ(line.port_file, "/p");
  EXPECT_EQ(line.server.environment.memory_budget, 8000000);
  EXPECT_EQ(line.server.environment.scratch_directory, "/s");
  EXPECT_EQ(line.server.environment.max_disk_bytes, 9000000);
  EXPECT_EQ(line.server.environment.max_keep_time, absl::Minutes(10));
  EXPECT_EQ(line.server.environment.max_kept_bytes, 0);
  EXPECT_EQ(line.server.jobs.directory, "/d");
  EXPECT_FALSE(line.server.jobs_directory_is_default);
  EXPECT_EQ(line.server.jobs.workers, 0);
  EXPECT_EQ(line.server.jobs.retention, absl::Hours(48));
  EXPECT_EQ(line.server.jobs.max_queued_jobs, 5);
  EXPECT_EQ(line.server.jobs.lease, absl::Seconds(2));
  EXPECT_EQ(line.server.jobs.checkpoint_every, absl::ZeroDuration());
}

TEST(ParseCommandLine, NamesTheFlagAtFault) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"--adress=x"}, "--adress: unknown flag"},
      {{"serve"}, "serve: unknown flag"},
      {{"--threads"}, "--threads: got nothing"},
      {{"--threads=1"}, "--threads: got \"1\", expected an integer from 2"},
      {{"--threads=many"}, "--threads: got \"many\""},
      {{"--threads=2", "--interactive-threads=2"}, "--interactive-threads: got 2"},
      {{"--max-deadline=-1s"}, "--max-deadline"},
      {{"--max-deadline=inf"}, "--max-deadline"},
      {{"--max-keep-time=0s"}, "--max-keep-time"},
      {{"--job-workers=-1"}, "--job-workers"},
      {{"--job-lease=50ms"}, "--job-lease: got \"50ms\", expected a duration from 100ms to 1h"},
      {{"--job-retention=0s"}, "--job-retention"},
      {{"--max-queued-jobs=0"}, "--max-queued-jobs"},
      {{"--max-keep-time=25h"}, "at most 24h"},
      {{"--max-kept-bytes=-1"}, "--max-kept-bytes"},
      {{"--drain-grace=soon"}, "a duration such as"},
      {{"--log-level=loud"}, "--log-level"},
      {{"--help=maybe"}, "true or false"},
      {{"--max-message-bytes=10"}, "--max-message-bytes"},
      {{"--memory-budget=half"}, "--memory-budget"},
      {{"--max-disk-bytes=12"}, "--max-disk-bytes"}};
  for (const auto& [arguments, message] : cases) {
    const absl::Status status = ParseCommandLine(arguments).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(message));
  }
}

TEST(HelpText, NamesEveryFlag) {
  for (const char* flag :
       {"--address", "--tls-client-ca", "--health-check", "--memory-budget", "--exit-with-stdin"}) {
    EXPECT_THAT(HelpText(), HasSubstr(flag));
  }
}

TEST(DataDirectory, IsTheUsersUnlessSaidOtherwise) {
  setenv("XDG_STATE_HOME", "/state", 1);
  EXPECT_EQ(DefaultDataDirectory(), "/state/costate/jobs");
  const CommandLine plain = ParseCommandLine({}).value();
  EXPECT_EQ(plain.server.jobs.directory, "/state/costate/jobs");
  EXPECT_TRUE(plain.server.jobs_directory_is_default);
  unsetenv("XDG_STATE_HOME");
  setenv("HOME", "/home/someone", 1);
  EXPECT_EQ(DefaultDataDirectory(), "/home/someone/.local/state/costate/jobs");
  for (const char* none : {"--data-directory=none", "--data-directory="}) {
    const CommandLine line = ParseCommandLine({none}).value();
    EXPECT_EQ(line.server.jobs.directory, "");
    EXPECT_FALSE(line.server.jobs_directory_is_default);
  }
}

TEST(DefaultCacheDirectory, FollowsTheEnvironment) {
  setenv("XDG_CACHE_HOME", "/cache", 1);
  EXPECT_EQ(DefaultCacheDirectory(), "/cache/costate/kernels");
  setenv("XDG_CACHE_HOME", "relative", 1);
  setenv("HOME", "/home/someone", 1);
  EXPECT_EQ(DefaultCacheDirectory(), "/home/someone/.cache/costate/kernels");
  unsetenv("HOME");
  EXPECT_EQ(DefaultCacheDirectory(), "");
}

}  // namespace
}  // namespace costate
