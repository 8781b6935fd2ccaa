#include "server/options.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <limits>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"

namespace costate {
namespace {

// Sets one flag from its text.
using Setter = std::function<absl::Status(const std::string& text, CommandLine* line)>;

struct Flag {
  const char* name;
  const char* placeholder;  // empty for a boolean
  const char* help;
  Setter set;
};

Setter Text(std::string CommandLine::* member) {
  return [member](const std::string& text, CommandLine* line) {
    line->*member = text;
    return absl::OkStatus();
  };
}

Setter Boolean(bool CommandLine::* member) {
  return [member](const std::string& text, CommandLine* line) {
    line->*member = text == "true";
    return absl::OkStatus();
  };
}

absl::Status ParseInt(const char* flag, const std::string& text, int64_t low, int64_t high,
                      int64_t* value) {
  if (absl::SimpleAtoi(text, value) && *value >= low && *value <= high) return absl::OkStatus();
  return FieldError(absl::StrCat("--", flag), absl::StrCat("\"", text, "\""),
                    absl::StrCat("an integer from ", low, " to ", high));
}

absl::Status ParseDuration(const char* flag, const std::string& text, absl::Duration* value) {
  absl::Duration parsed;
  if (absl::ParseDuration(text, &parsed) && parsed >= absl::ZeroDuration() &&
      parsed != absl::InfiniteDuration()) {
    *value = parsed;
    return absl::OkStatus();
  }
  return FieldError(absl::StrCat("--", flag), absl::StrCat("\"", text, "\""),
                    "a duration such as 90s or 1h30m");
}

constexpr int kMaxThreads = 1024;

absl::Status SetThreads(const std::string& text, CommandLine* line) {
  int64_t value = 0;
  RETURN_IF_ERROR(ParseInt("threads", text, 2, kMaxThreads, &value));
  line->server.environment.pool.threads = static_cast<int>(value);
  return absl::OkStatus();
}

absl::Status SetInteractiveThreads(const std::string& text, CommandLine* line) {
  int64_t value = 0;
  RETURN_IF_ERROR(ParseInt("interactive-threads", text, 1, kMaxThreads - 1, &value));
  line->server.environment.pool.interactive_threads = static_cast<int>(value);
  return absl::OkStatus();
}

absl::Status SetMaxMessageBytes(const std::string& text, CommandLine* line) {
  constexpr int64_t kLeast = 1 << 20;
  return ParseInt("max-message-bytes", text, kLeast, std::numeric_limits<int32_t>::max(),
                  &line->server.environment.max_message_bytes);
}

absl::Status SetMemoryBudget(const std::string& text, CommandLine* line) {
  constexpr int64_t kLeast = 1 << 20;
  return ParseInt("memory-budget", text, kLeast, std::numeric_limits<int64_t>::max(),
                  &line->server.environment.memory_budget);
}

absl::Status SetMaxKeptBytes(const std::string& text, CommandLine* line) {
  return ParseInt("max-kept-bytes", text, 0, std::numeric_limits<int64_t>::max(),
                  &line->server.environment.max_kept_bytes);
}

absl::Status SetMaxKeepTime(const std::string& text, CommandLine* line) {
  absl::Duration time;
  RETURN_IF_ERROR(ParseDuration("max-keep-time", text, &time));
  // A day keeps it clear of the clock's end, too.
  if (time <= absl::ZeroDuration() || time > absl::Hours(24)) {
    return FieldError("--max-keep-time", absl::StrCat("\"", text, "\""),
                      "a duration above 0, at most 24h");
  }
  line->server.environment.max_keep_time = time;
  return absl::OkStatus();
}

absl::Status SetMaxDiskBytes(const std::string& text, CommandLine* line) {
  constexpr int64_t kLeast = 1 << 20;
  return ParseInt("max-disk-bytes", text, kLeast, std::numeric_limits<int64_t>::max(),
                  &line->server.environment.max_disk_bytes);
}

absl::Status SetDataDirectory(const std::string& text, CommandLine* line) {
  line->server.jobs.directory = text == "none" ? "" : text;
  line->server.jobs_directory_is_default = false;
  return absl::OkStatus();
}

absl::Status SetJobWorkers(const std::string& text, CommandLine* line) {
  int64_t value = 0;
  RETURN_IF_ERROR(ParseInt("job-workers", text, 0, kMaxThreads, &value));
  line->server.jobs.workers = static_cast<int>(value);
  return absl::OkStatus();
}

absl::Status SetMaxQueuedJobs(const std::string& text, CommandLine* line) {
  return ParseInt("max-queued-jobs", text, 1, std::numeric_limits<int64_t>::max(),
                  &line->server.jobs.max_queued_jobs);
}

// A duration within limits.
Setter Between(const char* flag, absl::Duration least, absl::Duration most,
               absl::Duration jobs::LocalJobsOptions::* member) {
  return [=](const std::string& text, CommandLine* line) {
    absl::Duration value;
    RETURN_IF_ERROR(ParseDuration(flag, text, &value));
    if (value < least || value > most) {
      return FieldError(absl::StrCat("--", flag), absl::StrCat("\"", text, "\""),
                        absl::StrCat("a duration from ", absl::FormatDuration(least), " to ",
                                     absl::FormatDuration(most)));
    }
    line->server.jobs.*member = value;
    return absl::OkStatus();
  };
}

absl::Status SetLogLevel(const std::string& text, CommandLine* line) {
  const std::optional<LogLevel> level = FindLogLevel(text);
  if (!level.has_value()) {
    return FieldError("--log-level", absl::StrCat("\"", text, "\""),
                      "debug, info, warning or error");
  }
  line->log_level = *level;
  return absl::OkStatus();
}

const std::vector<Flag>& Flags() {
  static const auto* const flags = new std::vector<Flag>{
      {"address", "HOST:PORT", "where to listen; port 0 takes a free one (localhost:4310)",
       [](const std::string& text, CommandLine* line) {
         line->server.address = text;
         return absl::OkStatus();
       }},
      {"port-file", "PATH", "write the bound port there once the server listens",
       Text(&CommandLine::port_file)},
      {"metrics-address", "HOST:PORT",
       "serve /metrics, /healthz and /readyz over HTTP there; port 0 takes a free one (off)",
       [](const std::string& text, CommandLine* line) {
         line->server.metrics.address = text;
         return absl::OkStatus();
       }},
      {"allow-remote-metrics", "", "let that address be one beyond loopback, without TLS",
       [](const std::string& text, CommandLine* line) {
         line->server.metrics.allow_remote = text == "true";
         return absl::OkStatus();
       }},
      {"threads", "N", "compute threads, at least 2 (the number of processors)", SetThreads},
      {"interactive-threads", "N", "of them, reserved for small calls (a quarter, at least 1)",
       SetInteractiveThreads},
      {"max-message-bytes", "N", "largest message, either way (67108864)", SetMaxMessageBytes},
      {"memory-budget", "BYTES", "of all calls at once, by estimate (half of the machine's memory)",
       SetMemoryBudget},
      {"max-deadline", "DURATION", "longest a call may take (1h)",
       [](const std::string& text, CommandLine* line) {
         return ParseDuration("max-deadline", text, &line->server.environment.max_deadline);
       }},
      {"max-keep-time", "DURATION", "longest that a solve is kept between calls (1h)",
       SetMaxKeepTime},
      {"max-kept-bytes", "BYTES",
       "of all kept solves, 0 keeps none (a quarter of the memory budget)", SetMaxKeptBytes},
      {"drain-grace", "DURATION", "how long calls may go on after SIGTERM (30s)",
       [](const std::string& text, CommandLine* line) {
         return ParseDuration("drain-grace", text, &line->drain_grace);
       }},
      {"cache-directory", "PATH", "of compiled kernels; empty keeps none (a user cache directory)",
       [](const std::string& text, CommandLine* line) {
         line->server.environment.cache_directory = text;
         return absl::OkStatus();
       }},
      {"scratch-directory", "PATH",
       "for checkpoints of gradients too large for memory; empty keeps none on disk (empty)",
       [](const std::string& text, CommandLine* line) {
         line->server.environment.scratch_directory = text;
         return absl::OkStatus();
       }},
      {"max-disk-bytes", "BYTES", "of checkpoints on disk, of all calls at once (17179869184)",
       SetMaxDiskBytes},
      {"data-directory", "PATH",
       "of queued jobs, on a local disk, for this server alone; none keeps no jobs (a user state "
       "directory, unless another server has it)",
       SetDataDirectory},
      {"job-workers", "N",
       "tasks of jobs at a time, 0 runs none (the threads not reserved for small calls)",
       SetJobWorkers},
      {"job-retention", "DURATION",
       "how long a job is kept after its end where it does not say (720h)",
       Between("job-retention", absl::Seconds(1), limits::kMaxJobRetention,
               &jobs::LocalJobsOptions::retention)},
      {"max-queued-jobs", "N", "jobs that wait to begin (1000000)", SetMaxQueuedJobs},
      {"job-lease", "DURATION",
       "after which a task whose worker says nothing is given to another (30s)",
       Between("job-lease", absl::Milliseconds(100), absl::Hours(1),
               &jobs::LocalJobsOptions::lease)},
      {"job-checkpoint", "DURATION", "how often a running fit is stored (5s)",
       Between("job-checkpoint", absl::ZeroDuration(), absl::Hours(1),
               &jobs::LocalJobsOptions::checkpoint_every)},
      {"tls-cert", "PATH", "PEM certificate chain; turns TLS on, with --tls-key",
       [](const std::string& text, CommandLine* line) {
         line->server.tls.cert = text;
         return absl::OkStatus();
       }},
      {"tls-key", "PATH", "PEM private key",
       [](const std::string& text, CommandLine* line) {
         line->server.tls.key = text;
         return absl::OkStatus();
       }},
      {"tls-client-ca", "PATH", "PEM roots; clients must then show a certificate",
       [](const std::string& text, CommandLine* line) {
         line->server.tls.client_ca = text;
         return absl::OkStatus();
       }},
      {"allow-insecure", "", "serve other machines without TLS",
       [](const std::string& text, CommandLine* line) {
         line->server.allow_insecure = text == "true";
         return absl::OkStatus();
       }},
      {"exit-with-stdin", "", "stop when standard input ends, for servers with one owner",
       Boolean(&CommandLine::exit_with_stdin)},
      {"log-level", "LEVEL", "debug, info, warning or error (info)", SetLogLevel},
      {"health-check", "HOST:PORT", "ask the server there whether it serves, and exit with 0 or 1",
       Text(&CommandLine::health_check)},
      {"tls-ca", "PATH", "PEM roots of the server asked by --health-check",
       Text(&CommandLine::tls_ca)},
      {"version", "", "print the version", Boolean(&CommandLine::version)},
      {"help", "", "print this", Boolean(&CommandLine::help)},
  };
  return *flags;
}

const Flag* FindFlag(const std::string& name) {
  for (const Flag& flag : Flags()) {
    if (name == flag.name) return &flag;
  }
  return nullptr;
}

void SetDefaults(CommandLine* line) {
  ComputePoolOptions& pool = line->server.environment.pool;
  pool.threads = std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 2, kMaxThreads);
  pool.interactive_threads = 0;  // follows threads
  line->server.environment.cache_directory = DefaultCacheDirectory();
  line->server.jobs.directory = DefaultDataDirectory();
  line->server.jobs_directory_is_default = true;
}

absl::Status Settle(CommandLine* line) {
  ComputePoolOptions& pool = line->server.environment.pool;
  if (pool.interactive_threads == 0) pool.interactive_threads = std::max(1, pool.threads / 4);
  if (pool.interactive_threads < pool.threads) return absl::OkStatus();
  return FieldError("--interactive-threads", absl::StrCat(pool.interactive_threads),
                    absl::StrCat("less than --threads, which is ", pool.threads));
}

}  // namespace

std::string DefaultCacheDirectory() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache == '/') {
    return absl::StrCat(cache, "/costate/kernels");
  }
  const char* home = std::getenv("HOME");
  return home != nullptr && *home == '/' ? absl::StrCat(home, "/.cache/costate/kernels") : "";
}

std::string DefaultDataDirectory() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/') {
    return absl::StrCat(state, "/costate/jobs");
  }
  const char* home = std::getenv("HOME");
  return home != nullptr && *home == '/' ? absl::StrCat(home, "/.local/state/costate/jobs") : "";
}

std::string HelpText() {
  std::string text =
      "costated: a gradient server for differential equations\n\nusage: costated [flags]\n\n";
  for (const Flag& flag : Flags()) {
    const std::string left =
        absl::StrCat("--", flag.name, *flag.placeholder == '\0' ? "" : "=", flag.placeholder);
    absl::StrAppendFormat(&text, "  %-30s %s\n", left, flag.help);
  }
  return text;
}

absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments) {
  CommandLine line;
  SetDefaults(&line);
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const Flag* flag = absl::StartsWith(name, "--") ? FindFlag(name.substr(2)) : nullptr;
    if (flag == nullptr) {
      return FieldStatus(absl::StatusCode::kInvalidArgument, argument.substr(0, equals),
                         "unknown flag; --help lists them");
    }
    const bool boolean = *flag->placeholder == '\0';
    std::string value;
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
      if (boolean && value != "true" && value != "false") {
        return FieldError(name, absl::StrCat("\"", value, "\""), "true or false");
      }
    } else if (boolean) {
      value = "true";
    } else if (i + 1 < arguments.size()) {
      value = arguments[++i];
    } else {
      return FieldError(name, "nothing", flag->placeholder);
    }
    RETURN_IF_ERROR(flag->set(value, &line));
  }
  RETURN_IF_ERROR(Settle(&line));
  return line;
}

}  // namespace costate
