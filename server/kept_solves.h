// Solves kept between calls: by names that cannot be guessed, each for a stated time, all within a
// quota.
#ifndef COSTATE_SERVER_KEPT_SOLVES_H_
#define COSTATE_SERVER_KEPT_SOLVES_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "costate/v1/gradient.pb.h"
#include "engine/kept_solve.h"
#include "server/call.h"
#include "server/deadline_timer.h"
#include "server/memory_budget.h"
#include "server/model_registry.h"

namespace costate {

// A kept solve with the model it is of. Calls that use it hold on to it past its time.
struct KeptEntry {
  std::vector<MemoryBudget::Hold> holds;  // of KeptSolves; given back after the solve is gone
  int64_t counted_bytes = 0;              // by KeptSolves, under its lock
  ModelEntryPtr model;
  v1::GradientOptions asked;  // as the request had them
  double cost = 0;            // of a gradient with its solve, in element operations
  std::unique_ptr<KeptSolve> solve;

  int64_t bytes() const;  // held now, about: solve and model

  // Of KeptTurn.
  std::mutex mutex;
  std::condition_variable freed;
  bool busy = false;
};
using KeptEntryPtr = std::shared_ptr<KeptEntry>;

// The right to compute with a kept solve, which one call has at a time.
class KeptTurn {
 public:
  explicit KeptTurn(KeptEntryPtr entry) : entry_(std::move(entry)) {}  // which is busy for it
  KeptTurn(KeptTurn&& other) noexcept = default;
  KeptTurn& operator=(KeptTurn&& other) = delete;
  ~KeptTurn();

 private:
  KeptEntryPtr entry_;
};

// Thread-safety: all members may be called from any thread.
class KeptSolves {
 public:
  // Kept solves hold at most `max_bytes` together, and count against `memory` too. Both arguments
  // by reference are used between calls; no callback of `timer` may run after this is gone.
  KeptSolves(int64_t max_bytes, MemoryBudget& memory, DeadlineTimer& timer);
  KeptSolves(const KeptSolves&) = delete;
  KeptSolves& operator=(const KeptSolves&) = delete;

  // Keeps `entry` for `lifetime` and returns its name, "solves/<32 hex digits>".
  // RESOURCE_EXHAUSTED, in a sentence for the user, when quota or memory do not suffice.
  absl::StatusOr<std::string> Keep(KeptEntryPtr entry, absl::Duration lifetime);

  absl::StatusOr<KeptEntryPtr> Get(const std::string& name) const;  // NOT_FOUND
  absl::Status Release(const std::string& name);                    // NOT_FOUND

  // Waits for calls that use it, without the slot of `call` meanwhile. The status of its
  // cancellation, or RESOURCE_EXHAUSTED with a google.rpc.RetryInfo detail when as many calls as
  // the pool has threads wait already.
  absl::StatusOr<KeptTurn> TakeTurn(CallContext& call, const KeptEntryPtr& entry);

  // After a call that used it: counts what it holds by now. When that does not fit any more it is
  // released.
  void Recount(const std::string& name);

  int64_t size() const;
  int64_t max_bytes() const { return quota_.total(); }
  int64_t held_bytes() const { return quota_.held(); }

 private:
  struct Kept {
    KeptEntryPtr entry;
    DeadlineTimer::Id timer;
  };

  absl::Status Count(KeptEntry* entry);        // mutex_ is held
  KeptEntryPtr Take(const std::string& name);  // null if it is gone

  MemoryBudget quota_;
  MemoryBudget& memory_;
  DeadlineTimer& timer_;
  std::atomic<int64_t> waiting_{0};
  mutable std::mutex mutex_;
  absl::flat_hash_map<std::string, Kept> kept_;
};

}  // namespace costate

#endif  // COSTATE_SERVER_KEPT_SOLVES_H_
