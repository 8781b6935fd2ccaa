#include "server/process_stats.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace costate {
namespace {

std::string ReadText(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// The line "btime <seconds>" of /proc/stat.
double BootTime() {
  for (absl::string_view line : absl::StrSplit(ReadText("/proc/stat"), '\n')) {
    double seconds = 0;
    if (absl::ConsumePrefix(&line, "btime ") && absl::SimpleAtod(line, &seconds)) return seconds;
  }
  return 0;
}

int64_t CountOpenFiles() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  int64_t count = -1;  // of the directory itself
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') ++count;
  }
  closedir(directory);
  return count;
}

}  // namespace

// Fields by proc(5), counted from 1: 14 utime, 15 stime, 20 num_threads, 22 starttime, 23 vsize,
// 24 rss. The second is a name in parentheses that may hold anything.
ProcessStats ParseProcessStat(std::string_view text) {
  constexpr size_t kFirstField = 3;  // after the name
  constexpr size_t kLastField = 24;
  ProcessStats stats;
  const size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos) return stats;
  const std::string rest(text.substr(name_end + 1));
  const std::vector<std::string> fields = absl::StrSplit(rest, ' ', absl::SkipWhitespace());
  if (fields.size() <= kLastField - kFirstField) return stats;
  const auto number = [&fields](size_t field) {
    double value = 0;
    return absl::SimpleAtod(fields[field - kFirstField], &value) ? value : 0.0;
  };
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  stats.cpu_seconds = (number(14) + number(15)) / ticks;
  stats.threads = static_cast<int64_t>(number(20));
  stats.start_time_seconds = number(22) / ticks;
  stats.virtual_bytes = static_cast<int64_t>(number(23));
  stats.resident_bytes = static_cast<int64_t>(number(24)) * sysconf(_SC_PAGE_SIZE);
  return stats;
}

ProcessStats ReadProcessStats() {
  ProcessStats stats = ParseProcessStat(ReadText("/proc/self/stat"));
  stats.start_time_seconds += BootTime();
  stats.open_fds = CountOpenFiles();
  rlimit files = {};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) stats.max_fds = static_cast<int64_t>(files.rlim_cur);
  return stats;
}

}  // namespace costate
