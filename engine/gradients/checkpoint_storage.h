// Places for states: in memory, and beyond that in a file.
#ifndef COSTATE_ENGINE_GRADIENTS_CHECKPOINT_STORAGE_H_
#define COSTATE_ENGINE_GRADIENTS_CHECKPOINT_STORAGE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/gradients/scratch_file.h"

namespace costate {

// Places ("slots") for states of `num_states` values. Places in memory do not move, but for
// Compact. Thread-safety: one thread.
class CheckpointStorage {
 public:
  // Of the table of places, for a place at most; it doubles as it grows.
  static constexpr int64_t kTableBytes = 2 * sizeof(std::unique_ptr<double[]>);

  // Room on disk for `disk_states` states; 0: no disk, and `directory` is not looked at.
  CheckpointStorage(int64_t num_states, std::string directory, int64_t disk_states);

  int64_t num_states() const { return n_; }
  int64_t state_bytes() const { return n_ * static_cast<int64_t>(sizeof(double)); }
  int64_t per_chunk() const { return per_chunk_; }  // places allocated together
  static bool OnDisk(int64_t slot) { return slot >= kFirstOnDisk; }

  // A place in memory, with at most `room` more bytes, and no memory allocated for more than
  // `limit` places. Unset: there is none.
  std::optional<int64_t> AddInMemory(int64_t room, int64_t limit);

  bool disk_has_room() const { return !free_on_disk_.empty() || on_disk_ < disk_states_; }
  int64_t AddOnDisk();  // disk_has_room()
  void FreeOnDisk(int64_t slot) { free_on_disk_.push_back(slot); }

  // Of a place in memory.
  double* state(int64_t slot) { return Place(slot); }
  const double* state(int64_t slot) const { return Place(slot); }
  absl::Status Write(int64_t slot, const double* y);
  // The state at `slot`, in place, or read into a buffer that the next call reuses.
  absl::StatusOr<const double*> Read(int64_t slot);

  // Keeps only the `count` places in memory that `for_each` visits, moves them to the front, tells
  // it where they are now, and frees memory.
  using SlotVisitor = absl::FunctionRef<void(int64_t& slot)>;
  void Compact(int64_t count, absl::FunctionRef<void(SlotVisitor)> for_each);

  // What memory_bytes() comes to with `count` places in memory, all added with `limit` and plenty
  // of room.
  int64_t MemoryFor(int64_t count, int64_t limit) const;
  int64_t memory_bytes() const { return memory_bytes_; }
  int64_t disk_bytes() const { return disk_bytes_; }

 private:
  double* Place(int64_t slot) const {
    return chunks_[slot / per_chunk_].get() + (slot % per_chunk_) * n_;
  }

  static constexpr int64_t kFirstOnDisk = int64_t{1} << 62;
  static constexpr int64_t kChunkBytes = 4096;  // of short states
  const int64_t n_;
  const std::string directory_;
  const int64_t disk_states_;
  const int64_t per_chunk_;
  std::vector<std::unique_ptr<double[]>> chunks_;
  std::unique_ptr<double[]> buffer_;  // [n], the state last read; null: no disk
  std::unique_ptr<ScratchFile> file_;
  std::vector<int64_t> free_on_disk_;
  int64_t in_memory_ = 0;     // places handed out
  int64_t allocated_ = 0;     // places in memory; the last chunk may be shorter than others
  int64_t on_disk_ = 0;       // places handed out at some time
  int64_t memory_bytes_ = 0;  // with the buffer
  int64_t disk_bytes_ = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_CHECKPOINT_STORAGE_H_
