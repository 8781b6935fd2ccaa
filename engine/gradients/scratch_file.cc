#include "engine/gradients/scratch_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"

namespace costate {
namespace {

absl::Status DiskError(int error, absl::string_view what) {
  const absl::Status status = absl::ErrnoToStatus(error, what);
  if (error != ENOSPC && error != EDQUOT && error != EFBIG) return status;
  return absl::ResourceExhaustedError(status.message());
}

// For file systems without O_TMPFILE.
int OpenAndUnlink(const std::string& directory) {
  std::string path = absl::StrCat(directory, "/checkpoints.XXXXXX");
  const int descriptor = mkostemp(path.data(), O_CLOEXEC);
  if (descriptor >= 0) unlink(path.c_str());
  return descriptor;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ScratchFile>> ScratchFile::Create(const std::string& directory) {
  int descriptor = open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) {
    descriptor = OpenAndUnlink(directory);
  }
  if (descriptor < 0) {
    return DiskError(errno, "cannot create a checkpoint file in the scratch directory");
  }
  return std::unique_ptr<ScratchFile>(new ScratchFile(descriptor));
}

ScratchFile::~ScratchFile() { close(descriptor_); }

absl::Status ScratchFile::Write(const double* values, int64_t count, int64_t offset) {
  const char* from = reinterpret_cast<const char*>(values);
  int64_t left = count * static_cast<int64_t>(sizeof(double));
  while (left > 0) {
    const ssize_t done = pwrite(descriptor_, from, static_cast<size_t>(left), offset);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return DiskError(errno, "cannot write a checkpoint to the scratch directory");
    if (done == 0) return absl::ResourceExhaustedError("the scratch directory takes no more bytes");
    from += done;
    offset += done;
    left -= done;
  }
  return absl::OkStatus();
}

absl::Status ScratchFile::Read(double* values, int64_t count, int64_t offset) const {
  char* to = reinterpret_cast<char*>(values);
  int64_t left = count * static_cast<int64_t>(sizeof(double));
  while (left > 0) {
    const ssize_t done = pread(descriptor_, to, static_cast<size_t>(left), offset);
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return DiskError(errno, "cannot read a checkpoint back");
    if (done == 0) return absl::DataLossError("a checkpoint file ends early");
    to += done;
    offset += done;
    left -= done;
  }
  return absl::OkStatus();
}

}  // namespace costate
