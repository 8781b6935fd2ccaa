#include "server/jobs/sqlite_store.h"

#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/jobs/group_writer.h"
#include "server/jobs/job_changes.h"
#include "server/jobs/job_list.h"
#include "server/jobs/job_queries.h"
#include "server/jobs/job_record.h"
#include "server/jobs/reader_pool.h"
#include "server/jobs/schema.h"
#include "server/jobs/store_directory.h"
#include "server/jobs/task_changes.h"
#include "server/jobs/waiters.h"

namespace costate::jobs {
namespace {

// Of one transaction of Reap, so that others are not kept waiting.
constexpr int64_t kReapGroup = 200;
constexpr int64_t kForgetGroup = 20;

absl::StatusOr<std::string> NewId() {
  unsigned char bytes[16];
  if (getrandom(bytes, sizeof bytes, 0) != static_cast<ssize_t>(sizeof bytes)) {
    return absl::UnavailableError("job store: no random numbers");
  }
  return absl::BytesToHexString({reinterpret_cast<const char*>(bytes), sizeof bytes});
}

int64_t BytesOf(absl::Span<const NewEvent> events) {
  int64_t bytes = 0;
  for (const NewEvent& event : events) bytes += static_cast<int64_t>(event.payload.size());
  return bytes;
}

absl::Status TooLarge(std::string_view what, size_t bytes, int64_t limit) {
  return absl::OutOfRangeError(
      absl::StrCat(std::string(what), " has ", bytes, " bytes, at most ", limit, " are kept"));
}

class SqliteStore final : public JobStore {
 public:
  SqliteStore(const SqliteOptions& options, std::unique_ptr<StoreDirectory> directory,
              std::unique_ptr<Connection> db, const Counts& counts)
      : limits_(options.limits),
        now_(options.now),
        directory_(std::move(directory)),
        readers_(directory_ == nullptr ? "" : directory_->database()),
        writer_({limits_, [this] { return absl::ToUnixNanos(now_()); },
                 [this](const Counts& now, const std::vector<std::string>& jobs) {
                   waiters_.Changed(now.tasks_queued, jobs);
                 },
                 options.ended},
                std::move(db), directory_.get(), counts) {
    waiters_.Changed(counts.tasks_queued, {});
  }

  // Nobody has a lease of a store that is being opened.
  absl::Status TakeBackAllLeases() {
    const auto take_back = [](Transaction& transaction, int64_t limit) {
      return TakeBackLeases(transaction, kNever, limit);
    };
    return InGroups(take_back, kReapGroup).status();
  }

  absl::StatusOr<Created> Create(const NewJob& job) override {
    ASSIGN_OR_RETURN(const std::string id, NewId());
    return Change<Created>(
        Need::kMayWait, static_cast<int64_t>(job.spec.size()),
        [&](Transaction& transaction) { return CreateJob(transaction, job, id); });
  }

  absl::StatusOr<Created> FindCreated(std::string_view key, std::string_view hash) override {
    return Read<Created>([&](Connection& db) { return FindCreatedJob(db, key, hash); });
  }

  absl::StatusOr<Job> Get(std::string_view id) override {
    return Read<Job>([&](Connection& db) -> absl::StatusOr<Job> {
      ASSIGN_OR_RETURN(JobRecord record, LoadJob(db, id));
      return std::move(record.job);
    });
  }

  absl::StatusOr<std::string> GetSpec(std::string_view id) override {
    return Read<std::string>([&](Connection& db) { return ReadSpec(db, id); });
  }

  absl::StatusOr<std::vector<TaskResult>> GetResults(std::string_view id) override {
    return Read<std::vector<TaskResult>>([&](Connection& db) { return ReadResults(db, id); });
  }

  absl::StatusOr<JobPage> List(const ListFilter& filter, int64_t page_size,
                               std::string_view page_token) override {
    return Read<JobPage>(
        [&](Connection& db) { return ListJobs(db, filter, page_size, page_token); });
  }

  absl::StatusOr<std::vector<Event>> Events(std::string_view id, int64_t from_sequence,
                                            int64_t limit) override {
    return Read<std::vector<Event>>(
        [&](Connection& db) { return ReadEvents(db, id, from_sequence, limit); });
  }

  void WaitForEvent(std::string_view id, int64_t sequence, absl::Time until) override {
    waiters_.WaitForJob(id, until - now_(), [&] {
      const absl::StatusOr<Job> job = Get(id);
      return !job.ok() || job->last_event >= sequence;
    });
  }

  absl::StatusOr<Job> Cancel(std::string_view id) override {
    return Change<Job>(Need::kMustGoOn, 0,
                       [&](Transaction& transaction) { return CancelJob(transaction, id); });
  }

  absl::Status Delete(std::string_view id) override {
    return writer_.Run(Need::kMustGoOn, 0,
                       [&](Transaction& transaction) { return DeleteJob(transaction, id); });
  }

  absl::StatusOr<Job> Requeue(std::string_view id) override {
    return Change<Job>(Need::kMayWait, 0,
                       [&](Transaction& transaction) { return RequeueJob(transaction, id); });
  }

  absl::StatusOr<std::vector<Claim>> ClaimTasks(std::string_view worker, int64_t count,
                                                absl::Duration lease) override {
    return Change<std::vector<Claim>>(Need::kMustGoOn, 0, [&](Transaction& transaction) {
      return jobs::ClaimTasks(transaction, worker, count, lease);
    });
  }

  void WaitForWork(absl::Time until) override { waiters_.WaitForWork(until - now_()); }
  void WakeAll() override { waiters_.WakeAll(); }

  absl::StatusOr<std::vector<Renewal>> Renew(absl::Span<const Lease> leases,
                                             absl::Duration lease) override {
    return Change<std::vector<Renewal>>(Need::kMustGoOn, 0, [&](Transaction& transaction) {
      return RenewLeases(transaction, leases, lease);
    });
  }

  absl::Status SaveCheckpoint(const Lease& lease, std::string_view payload,
                              absl::Span<const NewEvent> events) override {
    if (static_cast<int64_t>(payload.size()) > limits_.max_checkpoint_bytes) {
      return TooLarge("the checkpoint", payload.size(), limits_.max_checkpoint_bytes);
    }
    const int64_t bytes = static_cast<int64_t>(payload.size()) + BytesOf(events);
    return Fenced(Need::kMayWait, bytes, [&](Transaction& transaction) {
      return jobs::SaveCheckpoint(transaction, lease, payload, events);
    });
  }

  absl::Status AddEvents(const Lease& lease, absl::Span<const NewEvent> events) override {
    return Fenced(Need::kMayWait, BytesOf(events), [&](Transaction& transaction) {
      return jobs::AddEvents(transaction, lease, events);
    });
  }

  absl::Status Complete(const Lease& lease, const TaskEnd& end) override {
    if (static_cast<int64_t>(end.result.size()) > limits_.max_result_bytes) {
      return TooLarge("the result", end.result.size(), limits_.max_result_bytes);
    }
    const int64_t bytes = static_cast<int64_t>(end.result.size()) + BytesOf(end.events);
    return Fenced(Need::kMustGoOn, bytes,
                  [&](Transaction& transaction) { return CompleteTask(transaction, lease, end); });
  }

  absl::Status Release(const Lease& lease) override {
    return Fenced(Need::kMustGoOn, 0,
                  [&](Transaction& transaction) { return ReleaseTask(transaction, lease); });
  }

  absl::StatusOr<int64_t> Reap() override {
    const auto take_back = [](Transaction& transaction, int64_t limit) {
      return TakeBackLeases(transaction, transaction.now, limit);
    };
    ASSIGN_OR_RETURN(const int64_t taken, InGroups(take_back, kReapGroup));
    RETURN_IF_ERROR(InGroups(EndJobsPastDeadline, kReapGroup).status());
    RETURN_IF_ERROR(InGroups(ForgetJobs, kForgetGroup).status());
    return taken;
  }

  absl::StatusOr<std::vector<Attempt>> Attempts(std::string_view id) override {
    return Read<std::vector<Attempt>>([&](Connection& db) { return ReadAttempts(db, id); });
  }

  absl::StatusOr<StoreStats> Stats() override {
    const Counts counts = writer_.counts();
    StoreStats stats;
    stats.tasks_queued = counts.tasks_queued;
    stats.tasks_running = counts.tasks_running;
    std::copy(std::begin(counts.jobs_by_state), std::end(counts.jobs_by_state),
              std::begin(stats.jobs_by_state));
    stats.stale_writes = stale_writes_;
    stats.reclaims = counts.reclaims;
    if (directory_ != nullptr) stats.bytes = directory_->DatabaseBytes();
    return Read<StoreStats>([&](Connection& db) -> absl::StatusOr<StoreStats> {
      RETURN_IF_ERROR(ReadAges(db, absl::ToUnixNanos(now_()), stats));
      return stats;
    });
  }

 private:
  // `change` gives the value anew each time it is called.
  template <typename Value, typename F>
  absl::StatusOr<Value> Change(Need need, int64_t bytes, F&& change) {
    absl::StatusOr<Value> value = absl::UnknownError("");
    const absl::Status status = writer_.Run(need, bytes, [&](Transaction& transaction) {
      value = change(transaction);
      return value.status();
    });
    if (!status.ok()) return status;
    return value;
  }

  template <typename F>
  absl::Status Fenced(Need need, int64_t bytes, F&& change) {
    absl::Status status = writer_.Run(need, bytes, change);
    if (absl::IsAborted(status)) ++stale_writes_;
    return status;
  }

  // A database in memory has one connection, that of the writer.
  template <typename Value, typename F>
  absl::StatusOr<Value> Read(F&& read) {
    absl::StatusOr<Value> value = absl::UnknownError("");
    const auto keep = [&](Connection& db) {
      value = read(db);
      return value.status();
    };
    const absl::Status status =
        directory_ != nullptr ? readers_.Run(keep)
                              : writer_.Run(Need::kMustGoOn, 0, [&](Transaction& transaction) {
                                  return keep(transaction.db);
                                });
    if (!status.ok()) return status;
    return value;
  }

  template <typename F>
  absl::StatusOr<int64_t> InGroups(F&& change, int64_t group) {
    int64_t all = 0;
    for (;;) {
      ASSIGN_OR_RETURN(const int64_t some,
                       Change<int64_t>(Need::kMustGoOn, 0, [&](Transaction& transaction) {
                         return change(transaction, group);
                       }));
      all += some;
      if (some == 0) return all;
    }
  }

  const StoreLimits limits_;
  const std::function<absl::Time()> now_;
  const std::unique_ptr<StoreDirectory> directory_;  // null: in memory
  Waiters waiters_;
  ReaderPool readers_;
  std::atomic<int64_t> stale_writes_ = 0;
  GroupWriter writer_;  // ends first
};

// The log is moved into the database often enough that the reserve has room for what is in it: the
// database may have to grow by as much before the log gives its own room back.
absl::Status LimitLog(Connection& db, int64_t reserve_bytes) {
  constexpr int64_t kMaxPages = 1000;
  constexpr int64_t kMinPages = 16;
  ASSIGN_OR_RETURN(const int64_t page_bytes, db.QueryInt("PRAGMA page_size"));
  const int64_t pages = reserve_bytes == 0
                            ? kMaxPages
                            : std::clamp(reserve_bytes / 4 / page_bytes, kMinPages, kMaxPages);
  return db.Script(absl::StrCat("PRAGMA wal_autocheckpoint = ", pages));
}

absl::Status CheckIntegrity(Connection& db) {
  Rows rows = db.Query("PRAGMA quick_check(1)");
  const bool good = rows.Next() && rows.Text(0) == "ok";
  RETURN_IF_ERROR(rows.status());
  return good ? absl::OkStatus() : absl::DataLossError("job store: its database is damaged");
}

}  // namespace

absl::StatusOr<std::unique_ptr<JobStore>> OpenSqliteStore(const SqliteOptions& options) {
  std::unique_ptr<StoreDirectory> directory;
  if (!options.directory.empty()) {
    ASSIGN_OR_RETURN(directory, StoreDirectory::Open(options.directory, options.reserve_bytes));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> db,
                   Connection::Open(directory == nullptr ? "" : directory->database(),
                                    Connection::Mode::kWriter));
  RETURN_IF_ERROR(CheckIntegrity(*db));
  RETURN_IF_ERROR(LimitLog(*db, options.reserve_bytes));
  RETURN_IF_ERROR(MigrateSchema(*db, SchemaMigrations()));
  ASSIGN_OR_RETURN(const Counts counts, CountAll(*db));
  auto store = std::make_unique<SqliteStore>(options, std::move(directory), std::move(db), counts);
  const absl::Status taken_back = store->TakeBackAllLeases();
  // Where there is no room for that, leases end when their time has come.
  if (!taken_back.ok() && !absl::IsResourceExhausted(taken_back)) return taken_back;
  return store;
}

}  // namespace costate::jobs
