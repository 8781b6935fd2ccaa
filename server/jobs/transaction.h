// What a change of the embedded store works with.
#ifndef COSTATE_SERVER_JOBS_TRANSACTION_H_
#define COSTATE_SERVER_JOBS_TRANSACTION_H_

#include <cstdint>
#include <string>
#include <vector>

#include "server/jobs/job_store.h"
#include "server/jobs/sqlite.h"

namespace costate::jobs {

// Kept in memory, so that limits and metrics need no counting. Follows the committed rows.
struct Counts {
  int64_t tasks_queued = 0;
  int64_t tasks_running = 0;
  int64_t jobs_by_state[6] = {};
  int64_t open_bytes = 0;  // of specs of jobs that have not ended
  int64_t reclaims = 0;    // leases taken back since the store was opened
};

struct Transaction {
  Connection& db;
  const StoreLimits& limits;
  int64_t now = 0;  // one instant for all of it; nanoseconds since 1970
  Counts counts;
  std::vector<std::string> changed_jobs;  // ids
  std::vector<EndedJob> ended_jobs = {};
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_TRANSACTION_H_
