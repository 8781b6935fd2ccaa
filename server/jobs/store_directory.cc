#include "server/jobs/store_directory.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace costate::jobs {
namespace {

constexpr mode_t kDirectoryMode = 0700;
constexpr mode_t kFileMode = 0600;

absl::Status SystemError(const char* what, const std::string& path) {
  const int error = errno;
  std::string message = absl::StrCat("job store: cannot ", what, " ", path, ": ",
                                     std::generic_category().message(error));
  if (error == ENOSPC || error == EDQUOT) return absl::ResourceExhaustedError(std::move(message));
  return absl::UnavailableError(std::move(message));
}

// A name in a directory is durable once the directory is.
absl::Status SyncDirectory(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return SystemError("open", path);
  const int result = fsync(fd);
  close(fd);
  return result == 0 ? absl::OkStatus() : SystemError("sync", path);
}

std::string ParentOf(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::absolute(path).parent_path();
  return parent.string();
}

absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), kDirectoryMode) == 0) return SyncDirectory(ParentOf(path));
  if (errno == ENOENT) {
    RETURN_IF_ERROR(MakeDirectory(ParentOf(path)));
    if (mkdir(path.c_str(), kDirectoryMode) == 0) return SyncDirectory(ParentOf(path));
  }
  if (errno == EEXIST && std::filesystem::is_directory(path)) return absl::OkStatus();
  return SystemError("make the directory", path);
}

// No links: where others may write into the directory, they must not get at files elsewhere.
absl::StatusOr<int> OpenFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kFileMode);
  if (fd < 0) return SystemError("open", path);
  return fd;
}

absl::StatusOr<int> Lock(const std::string& path) {
  ASSIGN_OR_RETURN(const int fd, OpenFile(path));
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
  const bool held = errno == EWOULDBLOCK;
  absl::Status status = SystemError("lock", path);
  close(fd);
  if (!held) return status;
  return absl::FailedPreconditionError(absl::StrCat("job store: another process holds ", path));
}

int64_t SizeOf(const std::string& path) {
  struct stat found;
  return stat(path.c_str(), &found) == 0 ? found.st_size : 0;
}

std::string WithoutSlash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

}  // namespace

absl::StatusOr<std::unique_ptr<StoreDirectory>> StoreDirectory::Open(const std::string& directory,
                                                                     int64_t reserve_bytes) {
  const std::string path = WithoutSlash(directory);
  RETURN_IF_ERROR(MakeDirectory(path));
  ASSIGN_OR_RETURN(const int lock, Lock(path + "/lock"));
  std::unique_ptr<StoreDirectory> opened(new StoreDirectory(path, reserve_bytes, lock));
  ASSIGN_OR_RETURN(const int database, OpenFile(opened->database_));
  close(database);
  RETURN_IF_ERROR(SyncDirectory(path));
  opened->MakeReserve();
  return opened;
}

StoreDirectory::StoreDirectory(std::string path, int64_t reserve_bytes, int lock)
    : path_(std::move(path)),
      database_(path_ + "/jobs.db"),
      reserve_(path_ + "/reserve"),
      reserve_bytes_(reserve_bytes),
      lock_(lock) {
  struct stat found;
  has_reserve_ = lstat(reserve_.c_str(), &found) == 0 && S_ISREG(found.st_mode) &&
                 found.st_size >= reserve_bytes_ &&
                 found.st_blocks * int64_t{512} >= reserve_bytes_;
}

StoreDirectory::~StoreDirectory() { close(lock_); }

int64_t StoreDirectory::DatabaseBytes() const {
  return SizeOf(database_) + SizeOf(database_ + "-wal") + SizeOf(database_ + "-shm");
}

int64_t StoreDirectory::DatabaseFileBytes() const { return SizeOf(database_); }

int64_t StoreDirectory::FreeBytes() const {
  struct statvfs found;
  if (statvfs(path_.c_str(), &found) != 0) return 0;
  return static_cast<int64_t>(found.f_bavail) * static_cast<int64_t>(found.f_frsize);
}

bool StoreDirectory::MakeReserve() {
  if (has_reserve_) return true;
  if (FreeBytes() < 2 * reserve_bytes_) return false;
  unlink(reserve_.c_str());  // too small, or a link
  const absl::StatusOr<int> fd = OpenFile(reserve_);
  if (!fd.ok()) return false;
  has_reserve_ = posix_fallocate(*fd, 0, reserve_bytes_) == 0 || reserve_bytes_ == 0;
  close(*fd);
  if (!has_reserve_) unlink(reserve_.c_str());
  return has_reserve_;
}

void StoreDirectory::DropReserve() {
  unlink(reserve_.c_str());
  has_reserve_ = false;
}

}  // namespace costate::jobs
