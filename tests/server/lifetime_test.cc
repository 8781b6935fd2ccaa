#include "server/lifetime.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>

namespace costate {
namespace {

// Signals that came before the wait are not lost.
TEST(WaitForStop, SeesEitherSignal) {
  BlockStopSignals();
  for (const auto& [signal, name] : {std::pair(SIGTERM, "SIGTERM"), std::pair(SIGINT, "SIGINT")}) {
    kill(getpid(), signal);
    EXPECT_EQ(WaitForStop(false), name);
  }
}

TEST(WaitForStop, SeesTheEndOfStandardInput) {
  BlockStopSignals();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const int saved = dup(STDIN_FILENO);
  dup2(ends[0], STDIN_FILENO);
  ASSERT_EQ(write(ends[1], "ignored", 7), 7);
  close(ends[1]);
  EXPECT_EQ(WaitForStop(true), "stdin");
  dup2(saved, STDIN_FILENO);
  close(saved);
  close(ends[0]);
}

TEST(WritePortFile, LeavesAWholeFile) {
  char directory[] = "/tmp/costate_port_XXXXXX";
  ASSERT_NE(mkdtemp(directory), nullptr);
  const std::string path = std::string(directory) + "/port";
  ASSERT_TRUE(WritePortFile(path, 4310).ok());
  ASSERT_TRUE(WritePortFile(path, 4311).ok());
  int port = 0;
  std::ifstream(path) >> port;
  EXPECT_EQ(port, 4311);
  EXPECT_FALSE(WritePortFile(std::string(directory) + "/none/port", 1).ok());
  unlink(path.c_str());
  rmdir(directory);
}

}  // namespace
}  // namespace costate
