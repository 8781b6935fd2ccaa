// Reads of the embedded store. Each function sees one state of the database; the contract is in
// job_store.h.
#ifndef COSTATE_SERVER_JOBS_JOB_QUERIES_H_
#define COSTATE_SERVER_JOBS_JOB_QUERIES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/jobs/job_store.h"
#include "server/jobs/sqlite.h"

namespace costate::jobs {

absl::StatusOr<std::string> ReadSpec(Connection& db, std::string_view id);
absl::StatusOr<std::vector<TaskResult>> ReadResults(Connection& db, std::string_view id);
absl::StatusOr<std::vector<Event>> ReadEvents(Connection& db, std::string_view id,
                                              int64_t from_sequence, int64_t limit);
absl::StatusOr<std::vector<Attempt>> ReadAttempts(Connection& db, std::string_view id);

// Sets the two ages.
absl::Status ReadAges(Connection& db, int64_t now, StoreStats& stats);

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_JOB_QUERIES_H_
