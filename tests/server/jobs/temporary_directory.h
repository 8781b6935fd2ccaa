// A directory that goes with its owner.
#ifndef COSTATE_TESTS_SERVER_JOBS_TEMPORARY_DIRECTORY_H_
#define COSTATE_TESTS_SERVER_JOBS_TEMPORARY_DIRECTORY_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <string>

namespace costate::jobs {

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(testing::TempDir() + "/costate-jobs-XXXXXX") {
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace costate::jobs

#endif  // COSTATE_TESTS_SERVER_JOBS_TEMPORARY_DIRECTORY_H_
