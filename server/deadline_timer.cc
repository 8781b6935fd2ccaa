#include "server/deadline_timer.h"

namespace costate {

DeadlineTimer::DeadlineTimer() : thread_([this] { Loop(); }) {}

DeadlineTimer::~DeadlineTimer() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

DeadlineTimer::Id DeadlineTimer::Schedule(TimePoint time, std::function<void()> callback) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Id id(time, next_id_++);
  const auto place = pending_.emplace(id, std::move(callback)).first;
  if (place == pending_.begin()) changed_.notify_all();
  return id;
}

void DeadlineTimer::Cancel(const Id& id) {
  std::function<void()> doomed;  // destroyed after the lock is released
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto place = pending_.find(id);
  if (place == pending_.end()) return;
  doomed = std::move(place->second);
  pending_.erase(place);
}

void DeadlineTimer::Loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    if (pending_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto first = pending_.begin();
    if (const TimePoint due = first->first.first; std::chrono::steady_clock::now() < due) {
      changed_.wait_until(lock, due);
      continue;
    }
    std::function<void()> callback = std::move(first->second);
    pending_.erase(first);
    lock.unlock();
    callback();
    callback = nullptr;
    lock.lock();
  }
}

}  // namespace costate
