#include "engine/gradients/scratch_file.h"

#include <signal.h>
#include <sys/resource.h>

#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

// The largest file of this process, as a disk that is nearly full.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    handler_ = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = before_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_;
  void (*handler_)(int);
};

std::string MakeDirectory(const std::string& name) {
  const std::string path = ::testing::TempDir() + "/scratch_file_test_" + name;
  std::filesystem::create_directory(path);
  return path;
}

TEST(ScratchFileTest, GivesBackWhatWasWritten) {
  auto file = ScratchFile::Create(::testing::TempDir());
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<double> a = {1, 2, 3}, b = {4, 5, 6};
  ASSERT_TRUE((*file)->Write(b.data(), 3, 24).ok());
  ASSERT_TRUE((*file)->Write(a.data(), 3, 0).ok());
  std::vector<double> back(6);
  ASSERT_TRUE((*file)->Read(back.data(), 6, 0).ok());
  EXPECT_THAT(back, ::testing::ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ((*file)->Read(back.data(), 6, 8).code(), absl::StatusCode::kDataLoss);
}

TEST(ScratchFileTest, LeavesNoNameBehind) {
  const std::string directory = MakeDirectory("names");
  const auto file = ScratchFile::Create(directory);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(std::filesystem::is_empty(directory));
}

TEST(ScratchFileTest, SaysWhyADirectoryCannotBeUsed) {
  const auto missing = ScratchFile::Create(MakeDirectory("gone") + "/nowhere");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(missing.status().message()), HasSubstr("No such file or directory"));
  // Nothing can be created there, whoever asks.
  const auto refused = ScratchFile::Create("/proc/self");
  EXPECT_FALSE(refused.ok());
  EXPECT_THAT(std::string(refused.status().message()), HasSubstr("scratch directory"));
}

// The last write is cut short before it fails.
TEST(ScratchFileTest, FullDiskIsResourceExhausted) {
  const FileSizeLimit limit(100);
  const auto file = ScratchFile::Create(::testing::TempDir());
  ASSERT_TRUE(file.ok()) << file.status();
  const std::vector<double> state(8, 1.5);
  EXPECT_TRUE((*file)->Write(state.data(), 8, 0).ok());
  const absl::Status status = (*file)->Write(state.data(), 8, 64);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("File too large"));
}

}  // namespace
}  // namespace costate
