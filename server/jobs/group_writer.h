// The one thread that writes. Changes that wait together are committed together: each in a
// savepoint of its own, so that one that fails leaves no trace, and one commit for all.
#ifndef COSTATE_SERVER_JOBS_GROUP_WRITER_H_
#define COSTATE_SERVER_JOBS_GROUP_WRITER_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "server/jobs/sqlite.h"
#include "server/jobs/store_directory.h"
#include "server/jobs/transaction.h"

namespace costate::jobs {

// While the disk is full, changes that only add are refused, so that what is left serves those
// that bring running work to its end.
enum class Need { kMayWait, kMustGoOn };

// Thread-safety: Run and counts may be called from any thread.
class GroupWriter {
 public:
  struct Options {
    StoreLimits limits;
    std::function<int64_t()> now;  // nanoseconds since 1970
    // After each commit that changed something, before its callers return.
    std::function<void(const Counts& counts, const std::vector<std::string>& jobs)> committed;
    std::function<void(const EndedJob& job)> ended;  // likewise, of each job; may be null
  };

  // `directory` is null for a database in memory; it outlives the writer.
  GroupWriter(Options options, std::unique_ptr<Connection> db, StoreDirectory* directory,
              const Counts& counts);
  ~GroupWriter();  // what was asked for before is still done

  // Blocks until `change` is durable. May call it more than once, each time after undoing the
  // time before. `bytes`: roughly how much it writes.
  absl::Status Run(Need need, int64_t bytes, absl::FunctionRef<absl::Status(Transaction&)> change);

  Counts counts() const;  // as last committed

 private:
  struct Pending;

  void Loop();
  std::vector<Pending*> TakeGroup();  // with mutex_ held
  void RunGroup(const std::vector<Pending*>& group);
  absl::Status TryGroup(const std::vector<Pending*>& group);
  absl::Status RunChanges(const std::vector<Pending*>& group, Transaction& transaction);
  absl::Status RunOne(Pending& pending, Transaction& transaction);
  void Publish(const Transaction& transaction);
  void DiskIsFull();
  void EmptyLog();
  void SeeWhetherThereIsRoom();

  const Options options_;
  const std::unique_ptr<Connection> db_;
  StoreDirectory* const directory_;
  bool disk_full_ = false;  // of the thread

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Pending*> queue_;
  bool stopping_ = false;
  Counts counts_;
  std::thread thread_;
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_GROUP_WRITER_H_
