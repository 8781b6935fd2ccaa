#include "engine/gradients/checkpoint_storage.h"

#include <algorithm>
#include <utility>

#include "engine/base/status_macros.h"

namespace costate {

CheckpointStorage::CheckpointStorage(int64_t num_states, std::string directory, int64_t disk_states)
    : n_(num_states),
      directory_(std::move(directory)),
      disk_states_(disk_states),
      per_chunk_(std::max<int64_t>(1, kChunkBytes / state_bytes())) {
  if (disk_states == 0) return;
  buffer_ = std::make_unique_for_overwrite<double[]>(n_);
  memory_bytes_ = state_bytes();
}

std::optional<int64_t> CheckpointStorage::AddInMemory(int64_t room, int64_t limit) {
  if (in_memory_ == allocated_) {
    if (allocated_ % per_chunk_ != 0) return std::nullopt;  // a short chunk is the last
    const int64_t size =
        std::min({per_chunk_, limit - allocated_, (room - kTableBytes) / state_bytes()});
    if (size <= 0) return std::nullopt;
    chunks_.push_back(std::make_unique_for_overwrite<double[]>(size * n_));
    allocated_ += size;
    memory_bytes_ += size * state_bytes() + kTableBytes;
  }
  return in_memory_++;
}

int64_t CheckpointStorage::MemoryFor(int64_t count, int64_t limit) const {
  const int64_t chunks = (count + per_chunk_ - 1) / per_chunk_;
  const int64_t buffer = buffer_ == nullptr ? 0 : state_bytes();
  return buffer + chunks * kTableBytes + std::min(chunks * per_chunk_, limit) * state_bytes();
}

int64_t CheckpointStorage::AddOnDisk() {
  if (free_on_disk_.empty()) return kFirstOnDisk + on_disk_++;
  const int64_t slot = free_on_disk_.back();
  free_on_disk_.pop_back();
  return slot;
}

absl::Status CheckpointStorage::Write(int64_t slot, const double* y) {
  if (!OnDisk(slot)) {
    std::copy_n(y, n_, state(slot));
    return absl::OkStatus();
  }
  if (file_ == nullptr) {
    ASSIGN_OR_RETURN(file_, ScratchFile::Create(directory_));
  }
  const int64_t offset = (slot - kFirstOnDisk) * state_bytes();
  RETURN_IF_ERROR(file_->Write(y, n_, offset));
  disk_bytes_ = std::max(disk_bytes_, offset + state_bytes());
  return absl::OkStatus();
}

absl::StatusOr<const double*> CheckpointStorage::Read(int64_t slot) {
  if (!OnDisk(slot)) return state(slot);
  RETURN_IF_ERROR(file_->Read(buffer_.get(), n_, (slot - kFirstOnDisk) * state_bytes()));
  return buffer_.get();
}

void CheckpointStorage::Compact(int64_t count, absl::FunctionRef<void(SlotVisitor)> for_each) {
  std::vector<bool> taken(count);  // of the first `count` places
  for_each([&](int64_t& slot) {
    if (slot < count) taken[slot] = true;
  });
  int64_t free = 0;
  for_each([&](int64_t& slot) {
    if (slot < count || OnDisk(slot)) return;
    while (taken[free]) ++free;
    std::copy_n(state(slot), n_, state(free));
    taken[free] = true;
    slot = free;
  });
  in_memory_ = count;
  const int64_t chunks = (count + per_chunk_ - 1) / per_chunk_;
  while (static_cast<int64_t>(chunks_.size()) > chunks) {
    const int64_t size = allocated_ - (static_cast<int64_t>(chunks_.size()) - 1) * per_chunk_;
    chunks_.pop_back();
    allocated_ -= size;
    memory_bytes_ -= size * state_bytes() + kTableBytes;
  }
}

}  // namespace costate
