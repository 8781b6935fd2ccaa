#include "server/lifetime.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"

namespace costate {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

// Whether standard input has ended; what arrives is read and dropped.
bool StdinEnded() {
  char dropped[256];
  const ssize_t count = read(STDIN_FILENO, dropped, sizeof(dropped));
  return count == 0 || (count < 0 && errno != EINTR && errno != EAGAIN);
}

}  // namespace

void BlockStopSignals() {
  const sigset_t set = StopSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A client that goes away while it is written to is an error of that write only.
  signal(SIGPIPE, SIG_IGN);
}

std::string WaitForStop(bool watch_stdin) {
  const sigset_t set = StopSignals();
  const int signals = signalfd(-1, &set, SFD_CLOEXEC);
  pollfd watched[] = {{signals, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  const nfds_t count = watch_stdin ? 2 : 1;
  std::string cause;
  while (cause.empty()) {
    if (poll(watched, count, -1) < 0) continue;
    signalfd_siginfo info;
    if ((watched[0].revents & POLLIN) != 0 && read(signals, &info, sizeof(info)) == sizeof(info)) {
      cause = info.ssi_signo == SIGINT ? "SIGINT" : "SIGTERM";
    } else if (watch_stdin && watched[1].revents != 0 && StdinEnded()) {
      cause = "stdin";
    }
  }
  close(signals);
  return cause;
}

absl::Status WritePortFile(const std::string& path, int port) {
  const std::string draft = absl::StrCat(path, ".", getpid(), ".tmp");
  {
    std::ofstream file(draft, std::ios::trunc);
    file << port << "\n";
    file.close();
    if (!file.good()) return absl::UnavailableError(absl::StrCat("cannot write ", draft));
  }
  if (std::rename(draft.c_str(), path.c_str()) == 0) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat("cannot write ", path));
}

}  // namespace costate
