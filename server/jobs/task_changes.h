// What happens to tasks. Each function is a part of one transaction; the contract is in
// job_store.h.
#ifndef COSTATE_SERVER_JOBS_TASK_CHANGES_H_
#define COSTATE_SERVER_JOBS_TASK_CHANGES_H_

#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/jobs/job_store.h"
#include "server/jobs/transaction.h"

namespace costate::jobs {

absl::StatusOr<std::vector<Claim>> ClaimTasks(Transaction& transaction, std::string_view worker,
                                              int64_t count, absl::Duration lease);
absl::StatusOr<std::vector<JobStore::Renewal>> RenewLeases(Transaction& transaction,
                                                           absl::Span<const Lease> leases,
                                                           absl::Duration lease);
absl::Status SaveCheckpoint(Transaction& transaction, const Lease& lease, std::string_view payload,
                            absl::Span<const NewEvent> events);
absl::Status AddEvents(Transaction& transaction, const Lease& lease,
                       absl::Span<const NewEvent> events);
absl::Status CompleteTask(Transaction& transaction, const Lease& lease, const TaskEnd& end);
absl::Status ReleaseTask(Transaction& transaction, const Lease& lease);

// At most `limit` leases that end at `until` or before; returns how many.
absl::StatusOr<int64_t> TakeBackLeases(Transaction& transaction, int64_t until, int64_t limit);

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_TASK_CHANGES_H_
