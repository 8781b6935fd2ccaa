#include "server/jobs/reader_pool.h"

#include <utility>

#include "engine/base/status_macros.h"

namespace costate::jobs {
namespace {

constexpr size_t kMaxIdle = 8;

}  // namespace

absl::Status ReaderPool::Run(absl::FunctionRef<absl::Status(Connection&)> read) {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> db, Take());
  db->ClearFailure();
  RETURN_IF_ERROR(db->Execute("BEGIN"));
  absl::Status status = read(*db);
  const absl::Status end = db->Execute("COMMIT");
  if (!db->failure().ok() || !end.ok()) return status.ok() ? end : status;  // not used again
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(db));
  return status;
}

absl::StatusOr<std::unique_ptr<Connection>> ReaderPool::Take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::unique_ptr<Connection> db = std::move(idle_.back());
      idle_.pop_back();
      return db;
    }
  }
  return Connection::Open(database_, Connection::Mode::kReader);
}

}  // namespace costate::jobs
