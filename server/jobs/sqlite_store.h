// The embedded store: one SQLite file in a directory of its own.
#ifndef COSTATE_SERVER_JOBS_SQLITE_STORE_H_
#define COSTATE_SERVER_JOBS_SQLITE_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/jobs/job_store.h"

namespace costate::jobs {

struct SqliteOptions {
  std::string directory;  // local disk; made if it is not there. Empty: in memory, for tests
  StoreLimits limits;
  // A file to delete when the disk is full; >= 4 times what is usually written at once. The disk
  // counts as full until twice as much is free again. 0: none, and then nothing is refused before
  // its time.
  int64_t reserve_bytes = int64_t{16} << 20;
  std::function<absl::Time()> now = absl::Now;
  // Called for each job that ends, once that is durable, by one thread; quick. May be null.
  std::function<void(const EndedJob& job)> ended;
};

// Opens, migrates older schemas forward, and locks the directory against a second process. That
// proves that nobody holds a lease: all are taken back at once, each counted as lost, so that a
// task which ends its process every time dies in the end. FAILED_PRECONDITION when another process
// holds it or its schema is of the future; DATA_LOSS when it is damaged.
absl::StatusOr<std::unique_ptr<JobStore>> OpenSqliteStore(const SqliteOptions& options);

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_SQLITE_STORE_H_
