// Kernels in memory, the least recently used out first. Free of LLVM.
#ifndef COSTATE_ENGINE_CODEGEN_KERNEL_CACHE_H_
#define COSTATE_ENGINE_CODEGEN_KERNEL_CACHE_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "engine/base/kernel.h"
#include "engine/codegen/cache_key.h"

namespace costate::codegen {

struct BuiltKernel {
  Kernel kernel;
  int64_t bytes = 0;  // of code
};

// Thread-safety: all members may be called from any thread.
class KernelCache {
 public:
  explicit KernelCache(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // The kernel of `key`, from `build` if it is not held. Requests for a key that is being built
  // wait for it; if the build fails, all of them get its error and nothing is kept.
  absl::StatusOr<Kernel> GetOrBuild(const CacheKey& key,
                                    const std::function<absl::StatusOr<BuiltKernel>()>& build);

  int64_t hits() const;   // requests that did not build, waiting ones included
  int64_t bytes() const;  // held

 private:
  struct Held {
    CacheKey key;
    Kernel kernel;
    int64_t bytes;
  };
  struct Build {
    bool done = false;
    absl::StatusOr<Kernel> result = absl::UnknownError("building");
  };

  // Bookkeeping of an entry beside its code, roughly.
  static constexpr int64_t kOverheadBytes = 4096;

  // Needs mutex_. Entries moved to `dropped` are destroyed by the caller, outside the lock.
  void Insert(const CacheKey& key, const BuiltKernel& built, std::list<Held>& dropped);

  const int64_t max_bytes_;
  // The members below are guarded by mutex_.
  mutable std::mutex mutex_;
  std::condition_variable build_done_;
  std::list<Held> held_;  // most recently used first
  absl::flat_hash_map<CacheKey, std::list<Held>::iterator> index_;
  absl::flat_hash_map<CacheKey, std::shared_ptr<Build>> building_;
  int64_t bytes_ = 0;
  int64_t hits_ = 0;
};

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_KERNEL_CACHE_H_
