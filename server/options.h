// The command line of costated.
#ifndef COSTATE_SERVER_OPTIONS_H_
#define COSTATE_SERVER_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/limits.h"
#include "server/log.h"
#include "server/server.h"

namespace costate {

struct CommandLine {
  ServerOptions server;
  absl::Duration drain_grace = limits::kDefaultDrainGrace;
  LogLevel log_level = LogLevel::kInfo;
  std::string port_file;         // receives the bound port; empty: none
  bool exit_with_stdin = false;  // stop when standard input ends
  std::string health_check;      // ask the server there and exit; empty: serve
  std::string tls_ca;            // of the server asked
  bool help = false;
  bool version = false;
};

// Arguments without the program's name: --flag=value, --flag value, and --flag for booleans.
// INVALID_ARGUMENT names the flag.
absl::StatusOr<CommandLine> ParseCommandLine(const std::vector<std::string>& arguments);

std::string HelpText();

// "$XDG_CACHE_HOME/costate/kernels" or "~/.cache/costate/kernels"; empty without a home.
std::string DefaultCacheDirectory();

// "$XDG_STATE_HOME/costate/jobs" or "~/.local/state/costate/jobs"; empty without a home.
std::string DefaultDataDirectory();

}  // namespace costate

#endif  // COSTATE_SERVER_OPTIONS_H_
