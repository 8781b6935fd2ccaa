// The memory, or room on disk, that calls may use together. Each is counted by an estimate before
// it runs and until it ends, so that a few large calls cannot exhaust the machine for all.
#ifndef COSTATE_SERVER_MEMORY_BUDGET_H_
#define COSTATE_SERVER_MEMORY_BUDGET_H_

#include <cstdint>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace costate {

// Thread-safety: all members may be called from any thread.
class MemoryBudget {
 public:
  // A share of the budget, given back when this goes. The budget must outlive it.
  class Hold {
   public:
    Hold() = default;
    Hold(Hold&& other) noexcept { *this = std::move(other); }
    Hold& operator=(Hold&& other) noexcept {
      std::swap(budget_, other.budget_);
      std::swap(bytes_, other.bytes_);
      return *this;
    }
    ~Hold() { Release(); }

    void Release();
    void ShrinkTo(int64_t bytes);  // gives back what is above; no effect on less
    int64_t bytes() const { return bytes_; }

   private:
    friend class MemoryBudget;
    MemoryBudget* budget_ = nullptr;
    int64_t bytes_ = 0;
  };

  explicit MemoryBudget(int64_t total) : total_(total) {}

  // RESOURCE_EXHAUSTED if that many are not free: with a google.rpc.RetryInfo detail of about
  // `retry_after` when others hold them, without one when there will never be as many.
  absl::StatusOr<Hold> Take(int64_t bytes, absl::Duration retry_after);

  // As many of the bytes as are free, 0 included.
  Hold TakeUpTo(int64_t bytes);

  int64_t total() const { return total_; }
  int64_t held() const;

 private:
  const int64_t total_;
  mutable std::mutex mutex_;
  int64_t held_ = 0;
};

// Half of the machine's memory, or of the limit of the control group the process is in, if that is
// less. 2 GiB where neither is known.
int64_t DefaultMemoryBudget();

// The limit in the text of a control group's memory.max; INT64_MAX for "max" and what is no number.
int64_t ParseMemoryLimit(const std::string& text);

}  // namespace costate

#endif  // COSTATE_SERVER_MEMORY_BUDGET_H_
