// A file without a name, for what does not fit in memory.
#ifndef COSTATE_ENGINE_GRADIENTS_SCRATCH_FILE_H_
#define COSTATE_ENGINE_GRADIENTS_SCRATCH_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace costate {

// Gone when closed, and with the process. Errors carry the system's text; RESOURCE_EXHAUSTED when
// the disk is full. Thread-safety: one thread.
class ScratchFile {
 public:
  static absl::StatusOr<std::unique_ptr<ScratchFile>> Create(const std::string& directory);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  absl::Status Write(const double* values, int64_t count, int64_t offset);
  absl::Status Read(double* values, int64_t count, int64_t offset) const;

 private:
  explicit ScratchFile(int descriptor) : descriptor_(descriptor) {}

  const int descriptor_;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_SCRATCH_FILE_H_
