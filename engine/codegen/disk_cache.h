// Compiled objects in a directory, one file per kernel. Free of LLVM.
//
// A file is a header, the objects and a checksum over both; it is written under another name
// and renamed. A file that is torn, foreign or of another version is a miss and is removed.
// The directory holds code that will run: it must belong to the user of the process and not be
// writable by others.
#ifndef COSTATE_ENGINE_CODEGEN_DISK_CACHE_H_
#define COSTATE_ENGINE_CODEGEN_DISK_CACHE_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/codegen/cache_key.h"

namespace costate::codegen {

struct CachedObjects {
  int64_t scratch_size = 0;  // doubles, as the kernel needs
  std::vector<std::string> objects;
};

// Thread-safety: all members may be called from any thread, and any number of processes may
// share a directory.
class DiskCache {
 public:
  // Creates the directory (mode 0700) if missing. FAILED_PRECONDITION if it cannot be used.
  static absl::StatusOr<std::unique_ptr<DiskCache>> Open(const std::string& directory,
                                                         int64_t max_bytes);

  // Empty on a miss, whatever its reason.
  std::optional<CachedObjects> Load(const CacheKey& key);

  // Best effort: failure to write leaves the cache as it was. Afterwards the oldest files are
  // removed until the directory holds at most max_bytes.
  void Store(const CacheKey& key, const CachedObjects& objects);

  void Remove(const CacheKey& key);

 private:
  DiskCache(std::string directory, int64_t max_bytes)
      : directory_(std::move(directory)), max_bytes_(max_bytes) {}

  std::string PathOf(const CacheKey& key) const;
  void MeasureAndEvict();  // needs mutex_

  const std::string directory_;
  const int64_t max_bytes_;
  std::mutex mutex_;   // guards what follows
  int64_t bytes_ = 0;  // as far as this process knows
};

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_DISK_CACHE_H_
