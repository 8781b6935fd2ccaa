#include "server/kept_solves.h"

#include <unistd.h>

#include <chrono>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/environment.h"

namespace costate {
namespace {

constexpr char kPrefix[] = "solves/";

// 128 bits of the system's randomness.
absl::StatusOr<std::string> NewName() {
  char bytes[16];
  if (getentropy(bytes, sizeof(bytes)) != 0) {
    return absl::UnavailableError("the system gives no random numbers for a name");
  }
  return absl::StrCat(kPrefix, absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes))));
}

absl::Status Gone(const std::string& name) {
  return absl::NotFoundError(absl::StrCat("no kept solve has the name ", name,
                                          "; its time may be over, or another server process may "
                                          "have it: solve again"));
}

}  // namespace

int64_t KeptEntry::bytes() const { return solve->stored_bytes() + model->bytes; }

KeptTurn::~KeptTurn() {
  if (entry_ == nullptr) return;
  const std::lock_guard<std::mutex> lock(entry_->mutex);
  entry_->busy = false;
  entry_->freed.notify_one();
}

KeptSolves::KeptSolves(int64_t max_bytes, MemoryBudget& memory, DeadlineTimer& timer)
    : quota_(max_bytes), memory_(memory), timer_(timer) {}

absl::StatusOr<std::string> KeptSolves::Keep(KeptEntryPtr entry, absl::Duration lifetime) {
  ASSIGN_OR_RETURN(const std::string name, NewName());
  const std::lock_guard<std::mutex> lock(mutex_);
  RETURN_IF_ERROR(Count(entry.get()));
  Kept& kept = kept_[name];
  kept.entry = std::move(entry);
  // What it holds goes with the entry, after the lock.
  kept.timer =
      timer_.Schedule(std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(lifetime),
                      [this, name] { static_cast<void>(Take(name)); });
  return name;
}

absl::StatusOr<KeptEntryPtr> KeptSolves::Get(const std::string& name) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = kept_.find(name);
  if (found == kept_.end()) return Gone(name);
  return found->second.entry;
}

absl::Status KeptSolves::Release(const std::string& name) {
  return Take(name) == nullptr ? Gone(name) : absl::OkStatus();
}

absl::StatusOr<KeptTurn> KeptSolves::TakeTurn(CallContext& call, const KeptEntryPtr& entry) {
  // Cancellations come without a signal.
  constexpr std::chrono::milliseconds kLook(5);
  std::unique_lock<std::mutex> lock(entry->mutex);
  if (entry->busy) {
    const ComputePool& pool = call.environment.pool();
    if (waiting_.fetch_add(1) >= pool.options().threads) {
      --waiting_;
      return ExhaustedStatus("too many calls wait for kept solves that other calls use",
                             pool.ExpectedWait(TaskClass::kBatch));
    }
    call.call->PauseSlot();
    while (entry->busy && !call.cancellation.cancelled()) entry->freed.wait_for(lock, kLook);
    call.call->ResumeSlot();
    --waiting_;
  }
  RETURN_IF_ERROR(CancellationStatus(call.cancellation.reason()));
  entry->busy = true;
  return KeptTurn(entry);
}

void KeptSolves::Recount(const std::string& name) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = kept_.find(name);
    if (found == kept_.end() || Count(found->second.entry.get()).ok()) return;
  }
  Take(name);
}

int64_t KeptSolves::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int64_t>(kept_.size());
}

absl::Status KeptSolves::Count(KeptEntry* entry) {
  const int64_t bytes = entry->bytes();
  const int64_t more = bytes - entry->counted_bytes;
  if (more <= 0) return absl::OkStatus();
  if (more > quota_.total() - quota_.held()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the solve would hold about ", bytes, " bytes, and other kept solves hold ", quota_.held(),
        " of the ", quota_.total(), " that all may hold together (--max-kept-bytes)"));
  }
  MemoryBudget::Hold memory = memory_.TakeUpTo(more);
  if (memory.bytes() < more) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the solve would hold about ", bytes,
                     " bytes, more than calls in work leave of the server's memory"));
  }
  entry->holds.push_back(quota_.TakeUpTo(more));
  entry->holds.push_back(std::move(memory));
  entry->counted_bytes = bytes;
  return absl::OkStatus();
}

KeptEntryPtr KeptSolves::Take(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = kept_.find(name);
  if (found == kept_.end()) return nullptr;
  timer_.Cancel(found->second.timer);
  KeptEntryPtr entry = std::move(found->second.entry);
  kept_.erase(found);
  return entry;
}

}  // namespace costate
