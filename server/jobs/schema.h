// The tables of the embedded store and how older ones become newer ones.
//
// Times are nanoseconds since 1970. States are numbers: those of JobState, and of TaskState below.
#ifndef COSTATE_SERVER_JOBS_SCHEMA_H_
#define COSTATE_SERVER_JOBS_SCHEMA_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/jobs/sqlite.h"

namespace costate::jobs {

// As stored; never renumber. The partial indexes of the schema name 0 and 1.
enum class TaskState {
  kQueued = 0,  // may be claimed
  kRunning = 1,
  kWaiting = 2,  // for the other tasks of its job
  kDone = 3,
  kFailed = 4,
  kCancelled = 5,
  kDead = 6,
};

// One step: element i brings a database from version i to i + 1. A step that was released is never
// changed; a new version is a new step at the end.
absl::Span<const char* const> SchemaMigrations();

// Brings an empty or older database to the newest version, one transaction a step.
// FAILED_PRECONDITION when its version is newer than the last step.
absl::Status MigrateSchema(Connection& db, absl::Span<const char* const> migrations);

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_SCHEMA_H_
