// What the operating system says of this process.
#ifndef COSTATE_SERVER_PROCESS_STATS_H_
#define COSTATE_SERVER_PROCESS_STATS_H_

#include <cstdint>
#include <string_view>

namespace costate {

// Figures that cannot be had are 0.
struct ProcessStats {
  double cpu_seconds = 0;         // user and system
  double start_time_seconds = 0;  // since the epoch
  int64_t resident_bytes = 0;
  int64_t virtual_bytes = 0;
  int64_t threads = 0;
  int64_t open_fds = 0;
  int64_t max_fds = 0;
};

// Of the text of /proc/<pid>/stat: cpu_seconds, sizes and threads, and the start in seconds after
// the machine's as start_time_seconds. Zeros for other texts.
ProcessStats ParseProcessStat(std::string_view text);

// Reads /proc.
ProcessStats ReadProcessStats();

}  // namespace costate

#endif  // COSTATE_SERVER_PROCESS_STATS_H_
