// Idle threads of the compute pool, lent to a task that can be cut into pieces.
#ifndef COSTATE_SERVER_JOBS_POOL_WORKERS_H_
#define COSTATE_SERVER_JOBS_POOL_WORKERS_H_

#include <cstdint>

#include "absl/functional/function_ref.h"
#include "engine/base/workers.h"
#include "server/compute_pool.h"

namespace costate::jobs {

// The calling thread takes pieces too, and all of them where no other comes: a call from within the
// pool cannot wait for itself. Others are threads of the batch class that have nothing else to do.
// What a piece throws is thrown again by Run, after all have ended.
class PoolWorkers final : public Workers {
 public:
  explicit PoolWorkers(ComputePool& pool) : pool_(pool) {}
  int64_t width() const override;
  void Run(int64_t count, absl::FunctionRef<void(int64_t)> piece) override;

 private:
  ComputePool& pool_;
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_POOL_WORKERS_H_
