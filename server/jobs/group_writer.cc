#include "server/jobs/group_writer.h"

#include <future>
#include <utility>

#include "engine/base/status_macros.h"

namespace costate::jobs {
namespace {

constexpr size_t kMaxGroup = 1024;
constexpr int64_t kMaxGroupBytes = int64_t{16} << 20;

absl::Status FullError() { return absl::ResourceExhaustedError("job store: its disk is full"); }

}  // namespace

struct GroupWriter::Pending {
  Need need;
  int64_t bytes;
  absl::FunctionRef<absl::Status(Transaction&)> change;
  absl::Status status;
  std::shared_ptr<std::promise<void>> done;
};

GroupWriter::GroupWriter(Options options, std::unique_ptr<Connection> db, StoreDirectory* directory,
                         const Counts& counts)
    : options_(std::move(options)),
      db_(std::move(db)),
      directory_(directory),
      disk_full_(directory != nullptr && !directory->has_reserve()),
      counts_(counts),
      thread_([this] { Loop(); }) {}

GroupWriter::~GroupWriter() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

absl::Status GroupWriter::Run(Need need, int64_t bytes,
                              absl::FunctionRef<absl::Status(Transaction&)> change) {
  Pending pending{need, bytes, change, absl::OkStatus(), std::make_shared<std::promise<void>>()};
  const std::future<void> done = pending.done->get_future();
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return absl::UnavailableError("job store: closing");
    queue_.push_back(&pending);
  }
  wake_.notify_one();
  done.wait();
  return std::move(pending.status);
}

Counts GroupWriter::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void GroupWriter::Loop() {
  for (;;) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const std::vector<Pending*> group = TakeGroup();
    lock.unlock();
    RunGroup(group);
    for (Pending* pending : group) {
      // The caller may return, and `pending` go with it, before set_value has.
      const std::shared_ptr<std::promise<void>> done = pending->done;
      done->set_value();
    }
  }
}

std::vector<GroupWriter::Pending*> GroupWriter::TakeGroup() {
  std::vector<Pending*> group;
  int64_t bytes = 0;
  while (!queue_.empty() && group.size() < kMaxGroup && bytes <= kMaxGroupBytes) {
    bytes += queue_.front()->bytes;
    group.push_back(queue_.front());
    queue_.pop_front();
  }
  return group;
}

void GroupWriter::RunGroup(const std::vector<Pending*>& group) {
  if (disk_full_) SeeWhetherThereIsRoom();
  absl::Status status = TryGroup(group);
  if (status.ok()) return;
  if (absl::IsUnavailable(status)) {
    // The disk or another process stands in the way of all.
    for (Pending* pending : group) pending->status = status;
    return;
  }
  // The transaction was lost as a whole. One by one, nobody fails for another's sake; and where
  // the disk was full, the reserve now serves those who must go on.
  if (absl::IsResourceExhausted(status)) DiskIsFull();
  for (Pending* pending : group) {
    status = TryGroup({pending});
    if (absl::IsResourceExhausted(status) && !disk_full_) {
      DiskIsFull();
      status = TryGroup({pending});
    }
    if (!status.ok()) pending->status = status;
  }
}

// OK when the changes that succeeded are durable; the others have their status.
absl::Status GroupWriter::TryGroup(const std::vector<Pending*>& group) {
  db_->ClearFailure();
  Transaction transaction{*db_, options_.limits, options_.now(), counts(), {}};
  absl::Status status = db_->Execute("BEGIN IMMEDIATE");
  if (status.ok()) status = RunChanges(group, transaction);
  if (status.ok()) status = db_->Execute("COMMIT");
  if (status.ok()) {
    Publish(transaction);
    return status;
  }
  if (db_->in_transaction()) db_->Execute("ROLLBACK").IgnoreError();
  return status;
}

absl::Status GroupWriter::RunChanges(const std::vector<Pending*>& group, Transaction& transaction) {
  for (Pending* pending : group) {
    if (disk_full_ && pending->need == Need::kMayWait) {
      pending->status = FullError();
      continue;
    }
    RETURN_IF_ERROR(RunOne(*pending, transaction));
  }
  return absl::OkStatus();
}

absl::Status GroupWriter::RunOne(Pending& pending, Transaction& transaction) {
  RETURN_IF_ERROR(db_->Execute("SAVEPOINT change"));
  const Counts before = transaction.counts;
  const size_t changed_before = transaction.changed_jobs.size();
  const size_t ended_before = transaction.ended_jobs.size();
  pending.status = pending.change(transaction);
  RETURN_IF_ERROR(db_->failure());
  if (!pending.status.ok()) {
    transaction.counts = before;
    transaction.changed_jobs.resize(changed_before);
    transaction.ended_jobs.resize(ended_before);
    RETURN_IF_ERROR(db_->Execute("ROLLBACK TO change"));
  }
  return db_->Execute("RELEASE change");
}

void GroupWriter::Publish(const Transaction& transaction) {
  {
    const std::lock_guard lock(mutex_);
    counts_ = transaction.counts;
  }
  if (!transaction.changed_jobs.empty()) {
    options_.committed(transaction.counts, transaction.changed_jobs);
  }
  if (options_.ended == nullptr) return;
  for (const EndedJob& job : transaction.ended_jobs) options_.ended(job);
}

void GroupWriter::DiskIsFull() {
  if (directory_ == nullptr) return;
  disk_full_ = true;
  directory_->DropReserve();
  EmptyLog();
}

// Moves the log into the database, which gives back the room of the log. Not where the database
// has no room to grow by what is in the log: that would use up the reserve and free nothing.
void GroupWriter::EmptyLog() {
  const absl::StatusOr<int64_t> pages = db_->QueryInt("PRAGMA page_count");
  const absl::StatusOr<int64_t> page_bytes = db_->QueryInt("PRAGMA page_size");
  if (!pages.ok() || !page_bytes.ok()) return;
  const int64_t growth = *pages * *page_bytes - directory_->DatabaseFileBytes();
  if (growth > directory_->FreeBytes()) return;
  db_->Execute("PRAGMA wal_checkpoint(TRUNCATE)").IgnoreError();
}

void GroupWriter::SeeWhetherThereIsRoom() {
  const absl::StatusOr<int64_t> free_pages = db_->QueryInt("PRAGMA freelist_count");
  const absl::StatusOr<int64_t> page_bytes = db_->QueryInt("PRAGMA page_size");
  if (free_pages.ok() && page_bytes.ok() && *free_pages * *page_bytes > 0 &&
      *free_pages * *page_bytes >= directory_->reserve_bytes()) {
    db_->Execute("PRAGMA incremental_vacuum").IgnoreError();
    EmptyLog();
  }
  disk_full_ = !directory_->MakeReserve();
}

}  // namespace costate::jobs
