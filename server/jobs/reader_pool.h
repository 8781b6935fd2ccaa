// Connections that read, beside the one that writes.
#ifndef COSTATE_SERVER_JOBS_READER_POOL_H_
#define COSTATE_SERVER_JOBS_READER_POOL_H_

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/jobs/sqlite.h"

namespace costate::jobs {

// Opens as many connections as there are readers at a time, and keeps some.
// Thread-safety: Run may be called from any thread.
class ReaderPool {
 public:
  explicit ReaderPool(std::string database) : database_(std::move(database)) {}

  // Calls `read` with a connection that sees one state of the database.
  absl::Status Run(absl::FunctionRef<absl::Status(Connection&)> read);

 private:
  absl::StatusOr<std::unique_ptr<Connection>> Take();

  const std::string database_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Connection>> idle_;
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_READER_POOL_H_
