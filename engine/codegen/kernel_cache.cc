#include "engine/codegen/kernel_cache.h"

#include <utility>

namespace costate::codegen {

absl::StatusOr<Kernel> KernelCache::GetOrBuild(
    const CacheKey& key, const std::function<absl::StatusOr<BuiltKernel>()>& build) {
  std::shared_ptr<Build> own;
  {
    std::unique_lock lock(mutex_);
    if (const auto it = index_.find(key); it != index_.end()) {
      held_.splice(held_.begin(), held_, it->second);
      ++hits_;
      return it->second->kernel;
    }
    if (const auto it = building_.find(key); it != building_.end()) {
      const std::shared_ptr<Build> other = it->second;
      build_done_.wait(lock, [&] { return other->done; });
      ++hits_;
      return other->result;
    }
    own = std::make_shared<Build>();
    building_[key] = own;
  }
  absl::StatusOr<BuiltKernel> built = build();
  std::list<Held> dropped;
  const std::lock_guard lock(mutex_);
  building_.erase(key);
  own->done = true;
  build_done_.notify_all();
  if (!built.ok()) {
    own->result = built.status();
    return built.status();
  }
  own->result = built->kernel;
  Insert(key, *built, dropped);
  return own->result;
}

void KernelCache::Insert(const CacheKey& key, const BuiltKernel& built, std::list<Held>& dropped) {
  held_.push_front({key, built.kernel, built.bytes + kOverheadBytes});
  index_[key] = held_.begin();
  bytes_ += held_.front().bytes;
  while (bytes_ > max_bytes_ && !held_.empty()) {
    bytes_ -= held_.back().bytes;
    index_.erase(held_.back().key);
    dropped.splice(dropped.end(), held_, std::prev(held_.end()));
  }
}

int64_t KernelCache::hits() const {
  const std::lock_guard lock(mutex_);
  return hits_;
}

int64_t KernelCache::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

}  // namespace costate::codegen
