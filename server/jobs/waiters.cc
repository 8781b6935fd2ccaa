#include "server/jobs/waiters.h"

#include <algorithm>
#include <chrono>

namespace costate::jobs {
namespace {

// A day is as good as for ever, and does not overflow.
std::chrono::nanoseconds ToWait(absl::Duration timeout) {
  return absl::ToChronoNanoseconds(std::clamp(timeout, absl::ZeroDuration(), absl::Hours(24)));
}

}  // namespace

void Waiters::WaitForJob(std::string_view id, absl::Duration timeout,
                         absl::FunctionRef<bool()> is_there) {
  std::unique_lock lock(mutex_);
  const auto place = watched_.try_emplace(std::string(id)).first;
  Watched& job = place->second;
  ++job.watchers;
  const int64_t version = job.version;
  const int64_t wakes = wakes_;
  lock.unlock();
  const bool done = is_there();
  lock.lock();
  if (!done) {
    job.changed.wait_for(lock, ToWait(timeout),
                         [&] { return job.version != version || wakes_ != wakes; });
  }
  if (--job.watchers == 0) watched_.erase(place);
}

void Waiters::WaitForWork(absl::Duration timeout) {
  std::unique_lock lock(mutex_);
  const int64_t wakes = wakes_;
  work_.wait_for(lock, ToWait(timeout), [&] { return tasks_queued_ > 0 || wakes_ != wakes; });
}

void Waiters::WakeAll() {
  const std::lock_guard lock(mutex_);
  ++wakes_;
  work_.notify_all();
  for (auto& [id, job] : watched_) job.changed.notify_all();
}

void Waiters::Changed(int64_t tasks_queued, const std::vector<std::string>& jobs) {
  const std::lock_guard lock(mutex_);
  tasks_queued_ = tasks_queued;
  if (tasks_queued_ > 0) work_.notify_all();
  if (watched_.empty()) return;
  for (const std::string& id : jobs) {
    const auto found = watched_.find(id);
    if (found == watched_.end()) continue;
    ++found->second.version;
    found->second.changed.notify_all();
  }
}

}  // namespace costate::jobs
