#include "server/jobs/schema.h"

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace costate::jobs {
namespace {

// job.seq is the order of creation. Specs stand apart, so that lists do not read them.
// task.claim_key is queued_since - priority * 1 min: ascending, it is the order of
// priority + minutes waited at any time.
constexpr char kVersion1[] = R"sql(
CREATE TABLE job (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  idempotency_key TEXT,
  request_hash TEXT NOT NULL,
  kind TEXT NOT NULL,
  display_name TEXT NOT NULL,
  state INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  cancel_requested INTEGER NOT NULL,
  create_time INTEGER NOT NULL,
  deadline INTEGER,
  retention INTEGER,
  start_time INTEGER,
  end_time INTEGER,
  forget_time INTEGER,
  num_tasks INTEGER NOT NULL,
  last_task_waits INTEGER NOT NULL,
  tasks_done INTEGER NOT NULL,
  tasks_running INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  last_event INTEGER NOT NULL,
  best_objective REAL,
  summary BLOB NOT NULL,
  error_code INTEGER NOT NULL,
  error_message TEXT NOT NULL,
  error_details BLOB NOT NULL,
  spec_bytes INTEGER NOT NULL
);
CREATE UNIQUE INDEX job_by_key ON job (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX job_by_state ON job (state, seq);
CREATE INDEX job_by_kind ON job (kind, state, seq);
CREATE INDEX job_by_deadline ON job (deadline) WHERE deadline IS NOT NULL AND end_time IS NULL;
CREATE INDEX job_by_forget_time ON job (forget_time) WHERE forget_time IS NOT NULL;

CREATE TABLE spec (
  job INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
);

CREATE TABLE task (
  job INTEGER NOT NULL,
  task INTEGER NOT NULL,
  state INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  completed_epoch INTEGER NOT NULL,
  losses INTEGER NOT NULL,
  queued_since INTEGER NOT NULL,
  claim_key INTEGER NOT NULL,
  lease_until INTEGER,
  checkpoint_time INTEGER,
  PRIMARY KEY (job, task)
) WITHOUT ROWID;
CREATE INDEX task_by_claim_key ON task (claim_key) WHERE state = 0;
CREATE INDEX task_by_queued_since ON task (queued_since) WHERE state = 0;
CREATE INDEX task_by_lease ON task (lease_until) WHERE state = 1;

CREATE TABLE checkpoint (
  job INTEGER NOT NULL,
  task INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  payload BLOB NOT NULL,
  PRIMARY KEY (job, task, sequence)
);

CREATE TABLE result (
  job INTEGER NOT NULL,
  task INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  bytes BLOB NOT NULL,
  PRIMARY KEY (job, task)
);

CREATE TABLE event (
  job INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  time INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  state INTEGER NOT NULL,
  payload BLOB NOT NULL,
  best_objective REAL,
  PRIMARY KEY (job, sequence)
) WITHOUT ROWID;

CREATE TABLE attempt (
  job INTEGER NOT NULL,
  task INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  worker TEXT NOT NULL,
  start_time INTEGER NOT NULL,
  end_time INTEGER,
  reason TEXT NOT NULL,
  PRIMARY KEY (job, task, epoch)
) WITHOUT ROWID;
)sql";

constexpr const char* kMigrations[] = {kVersion1};

absl::Status RunStep(Connection& db, const char* step, int64_t to_version) {
  absl::Status status = db.Script(
      absl::StrCat("BEGIN IMMEDIATE;", step, "PRAGMA user_version = ", to_version, ";COMMIT;"));
  if (db.in_transaction()) db.Script("ROLLBACK").IgnoreError();
  return status;
}

}  // namespace

absl::Span<const char* const> SchemaMigrations() { return kMigrations; }

absl::Status MigrateSchema(Connection& db, absl::Span<const char* const> migrations) {
  ASSIGN_OR_RETURN(const int64_t version, db.QueryInt("PRAGMA user_version"));
  const auto newest = static_cast<int64_t>(migrations.size());
  if (version < 0 || version > newest) {
    return absl::FailedPreconditionError(absl::StrCat("job store: its schema has version ", version,
                                                      ", this program knows ", newest,
                                                      "; a newer release wrote it"));
  }
  for (int64_t from = version; from < newest; ++from) {
    RETURN_IF_ERROR(RunStep(db, migrations[from], from + 1));
  }
  return absl::OkStatus();
}

}  // namespace costate::jobs
