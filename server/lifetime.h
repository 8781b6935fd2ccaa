// What ends a server process: signals, or the end of its owner.
#ifndef COSTATE_SERVER_LIFETIME_H_
#define COSTATE_SERVER_LIFETIME_H_

#include <string>

#include "absl/status/status.h"

namespace costate {

// Blocks SIGTERM and SIGINT in this thread and all it starts from now on; to be called first.
void BlockStopSignals();

// Waits for one of them, or, with `watch_stdin`, for the end of standard input. Returns what it
// was: "SIGTERM", "SIGINT" or "stdin".
std::string WaitForStop(bool watch_stdin);

// Writes by rename, so that a reader never sees half a file.
absl::Status WritePortFile(const std::string& path, int port);

}  // namespace costate

#endif  // COSTATE_SERVER_LIFETIME_H_
