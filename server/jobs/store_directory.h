// The directory of the embedded store: lock, database file and a reserve of disk space.
#ifndef COSTATE_SERVER_JOBS_STORE_DIRECTORY_H_
#define COSTATE_SERVER_JOBS_STORE_DIRECTORY_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace costate::jobs {

// Holds the lock as long as it lives. Thread-safety: const members may be called from any
// thread, the rest from one at a time.
class StoreDirectory {
 public:
  // Makes the directory (0700) and an empty database file (0600) if they are not there.
  // FAILED_PRECONDITION when another store holds the directory.
  static absl::StatusOr<std::unique_ptr<StoreDirectory>> Open(const std::string& path,
                                                              int64_t reserve_bytes);
  ~StoreDirectory();
  StoreDirectory(const StoreDirectory&) = delete;
  StoreDirectory& operator=(const StoreDirectory&) = delete;

  const std::string& database() const { return database_; }
  int64_t DatabaseBytes() const;      // with its log
  int64_t DatabaseFileBytes() const;  // without
  int64_t FreeBytes() const;          // on its disk

  // The reserve is a file that takes up disk space until it is needed.
  int64_t reserve_bytes() const { return reserve_bytes_; }
  bool has_reserve() const { return has_reserve_; }
  // Makes it if it is not there and twice its size is free. False if not.
  bool MakeReserve();
  void DropReserve();

 private:
  StoreDirectory(std::string path, int64_t reserve_bytes, int lock);

  const std::string path_, database_, reserve_;
  const int64_t reserve_bytes_;
  const int lock_;  // file descriptor
  bool has_reserve_ = false;
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_STORE_DIRECTORY_H_
