#include "server/memory_budget.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/compute_pool.h"

namespace costate {
namespace {

constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// Version 2 of control groups, as a container sees its own.
int64_t ControlGroupLimit() {
  std::ifstream file("/sys/fs/cgroup/memory.max");
  return ParseMemoryLimit({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
}

int64_t MachineMemory() {
  const int64_t pages = sysconf(_SC_PHYS_PAGES);
  const int64_t page = sysconf(_SC_PAGE_SIZE);
  return pages > 0 && page > 0 ? pages * page : kNoLimit;
}

}  // namespace

void MemoryBudget::Hold::Release() {
  if (budget_ == nullptr) return;
  const std::lock_guard<std::mutex> lock(budget_->mutex_);
  budget_->held_ -= bytes_;
  budget_ = nullptr;
  bytes_ = 0;
}

void MemoryBudget::Hold::ShrinkTo(int64_t bytes) {
  if (budget_ == nullptr || bytes >= bytes_) return;
  const std::lock_guard<std::mutex> lock(budget_->mutex_);
  budget_->held_ -= bytes_ - bytes;
  bytes_ = bytes;
}

absl::StatusOr<MemoryBudget::Hold> MemoryBudget::Take(int64_t bytes, absl::Duration retry_after) {
  if (bytes > total_) {
    return absl::ResourceExhaustedError(absl::StrCat("the call may need about ", bytes,
                                                     " bytes, all calls together may use ", total_,
                                                     " (--memory-budget); ask for less at once"));
  }
  Hold hold;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (bytes > total_ - held_) {
    return ExhaustedStatus(
        absl::StrCat("the server is at capacity: the call may need about ", bytes,
                     " bytes, and calls in work hold ", held_, " of ", total_),
        retry_after);
  }
  held_ += bytes;
  hold.budget_ = this;
  hold.bytes_ = bytes;
  return hold;
}

MemoryBudget::Hold MemoryBudget::TakeUpTo(int64_t bytes) {
  Hold hold;
  const std::lock_guard<std::mutex> lock(mutex_);
  hold.bytes_ = std::min(bytes, total_ - held_);
  hold.budget_ = this;
  held_ += hold.bytes_;
  return hold;
}

int64_t MemoryBudget::held() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return held_;
}

int64_t DefaultMemoryBudget() {
  constexpr int64_t kUnknown = int64_t{4} << 30;
  const int64_t memory = std::min(MachineMemory(), ControlGroupLimit());
  return (memory == kNoLimit ? kUnknown : memory) / 2;
}

int64_t ParseMemoryLimit(const std::string& text) {
  int64_t limit = 0;
  return absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &limit) && limit > 0 ? limit : kNoLimit;
}

}  // namespace costate
