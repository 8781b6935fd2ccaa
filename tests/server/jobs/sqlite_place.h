// Stores of SQLite for tests.
#ifndef COSTATE_TESTS_SERVER_JOBS_SQLITE_PLACE_H_
#define COSTATE_TESTS_SERVER_JOBS_SQLITE_PLACE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "server/jobs/sqlite_store.h"
#include "tests/server/jobs/store_conformance.h"
#include "tests/server/jobs/temporary_directory.h"

namespace costate::jobs {

class SqlitePlace final : public StorePlace {
 public:
  explicit SqlitePlace(bool in_file) : in_file_(in_file) {}

  std::unique_ptr<JobStore> Open(const StoreLimits& limits,
                                 std::function<absl::Time()> now) override {
    SqliteOptions options;
    if (in_file_) options.directory = directory_.path() + "/jobs";
    options.limits = limits;
    options.reserve_bytes = 1 << 20;
    options.now = std::move(now);
    absl::StatusOr<std::unique_ptr<JobStore>> store = OpenSqliteStore(options);
    EXPECT_TRUE(store.ok()) << store.status();
    return store.ok() ? *std::move(store) : nullptr;
  }
  bool keeps_jobs() const override { return in_file_; }

 private:
  const bool in_file_;
  TemporaryDirectory directory_;
};

inline StoreKind SqliteInFile() {
  return {"File", [] { return std::make_unique<SqlitePlace>(true); }};
}
inline StoreKind SqliteInMemory() {
  return {"Memory", [] { return std::make_unique<SqlitePlace>(false); }};
}

}  // namespace costate::jobs

#endif  // COSTATE_TESTS_SERVER_JOBS_SQLITE_PLACE_H_
