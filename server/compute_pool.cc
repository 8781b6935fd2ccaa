#include "server/compute_pool.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "google/rpc/error_details.pb.h"

namespace costate {
namespace {

// Spare threads: one for each reserved thread whose task was demoted, one for each task that may be
// paused, and one for each batch thread whose task may have yielded it.
size_t MaxWorkers(const ComputePoolOptions& options) {
  return static_cast<size_t>(3 * options.threads + limits::kMaxStreams + limits::kMaxWatches);
}

absl::Duration SinceStart(ComputePool::TimePoint start) {
  return absl::FromChrono(std::chrono::steady_clock::now() - start);
}

}  // namespace

absl::Status ExhaustedStatus(const std::string& message, absl::Duration retry_after) {
  constexpr absl::Duration kSoonest = absl::Milliseconds(50);
  constexpr absl::Duration kLatest = absl::Minutes(1);
  const absl::Duration wait = std::clamp(retry_after, kSoonest, kLatest);
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(wait));
  info.mutable_retry_delay()->set_nanos(
      static_cast<int32_t>(absl::ToInt64Nanoseconds(wait % absl::Seconds(1))));
  absl::Status status = absl::ResourceExhaustedError(message);
  status.SetPayload("type.googleapis.com/google.rpc.RetryInfo",
                    absl::Cord(info.SerializeAsString()));
  return status;
}

ComputePool::ComputePool(const ComputePoolOptions& options)
    : options_(options), max_workers_(MaxWorkers(options)) {}

ComputePool::~ComputePool() {
  std::array<std::deque<Queued>, 2> dropped;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    dropped.swap(queues_);
  }
  changed_.notify_all();
  freed_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

absl::StatusOr<uint64_t> ComputePool::Submit(Task task, Slot* from) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const int64_t passed_on = from == nullptr ? 0 : from->bytes_;
  bytes_ -= passed_on;
  if (absl::Status status = Admit(task); !status.ok()) {
    bytes_ += passed_on;
    ++refused_[static_cast<size_t>(task.task_class)];
    return status;
  }
  if (from != nullptr) from->bytes_ = 0;
  const uint64_t ticket = next_ticket_++;
  const TaskClass task_class = task.task_class;
  ++admitted_[static_cast<size_t>(task_class)];
  bytes_ += task.bytes;
  queued_cost_[static_cast<size_t>(task_class)] += task.cost;
  queue(task_class).push_back({ticket, std::move(task)});
  Wake();
  return ticket;
}

bool ComputePool::Withdraw(uint64_t ticket) {
  Queued withdrawn;  // destroyed after the lock is released
  const std::lock_guard<std::mutex> lock(mutex_);
  for (std::deque<Queued>& queue : queues_) {
    const auto place = std::find_if(queue.begin(), queue.end(),
                                    [ticket](const Queued& q) { return q.ticket == ticket; });
    if (place == queue.end()) continue;
    withdrawn = std::move(*place);
    queue.erase(place);
    bytes_ -= withdrawn.task.bytes;
    queued_cost_[static_cast<size_t>(withdrawn.task.task_class)] -= withdrawn.task.cost;
    freed_.notify_all();  // nobody need yield to it any more
    return true;
  }
  return false;
}

ComputePool::Stats ComputePool::stats() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  Stats stats;
  for (size_t i = 0; i < queues_.size(); ++i) {
    stats.queued[i] = static_cast<int64_t>(queues_[i].size());
    stats.running[i] = running_[i];
    stats.admitted[i] = admitted_[i];
    stats.refused[i] = refused_[i];
  }
  stats.bytes = bytes_;
  return stats;
}

absl::Duration ComputePool::ExpectedWait(TaskClass task_class) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return WaitLocked(task_class);
}

absl::Status ComputePool::Admit(const Task& task) const {
  const absl::Duration wait = WaitLocked(task.task_class);
  const int64_t queued = static_cast<int64_t>(queues_[0].size() + queues_[1].size());
  if (stopping_) return absl::UnavailableError("the server is shutting down");
  if (queued >= options_.max_queued_tasks) {
    return ExhaustedStatus(absl::StrCat("the server is at capacity: ", queued, " calls wait"),
                           wait);
  }
  if (bytes_ + task.bytes > options_.max_bytes && bytes_ > 0) {
    return ExhaustedStatus(
        absl::StrCat("the server is at capacity: requests of ", bytes_, " bytes are in work"),
        wait);
  }
  const absl::Duration allowed = task.task_class == TaskClass::kInteractive
                                     ? options_.max_interactive_wait
                                     : options_.max_batch_wait;
  if (wait > allowed) {
    return ExhaustedStatus(
        absl::StrCat("the server is at capacity: the expected wait is ",
                     absl::FormatDuration(absl::Floor(wait, absl::Milliseconds(1)))),
        wait - allowed);
  }
  if (task.deadline == TimePoint::max()) return absl::OkStatus();
  const absl::Duration left = absl::FromChrono(task.deadline - std::chrono::steady_clock::now());
  if (wait <= absl::ZeroDuration() || wait <= left) return absl::OkStatus();
  return ExhaustedStatus(
      absl::StrCat("the expected wait of ",
                   absl::FormatDuration(absl::Floor(wait, absl::Milliseconds(1))),
                   " is longer than the call's deadline allows"),
      wait);
}

// Zero while a thread is free. Otherwise what waits ahead and what is left of the running tasks,
// shared by the threads of the class.
absl::Duration ComputePool::WaitLocked(TaskClass task_class) const {
  const int64_t total = running_[0] + running_[1];
  const int64_t batch_threads = options_.threads - options_.interactive_threads;
  const bool interactive = task_class == TaskClass::kInteractive;
  const bool free =
      interactive ? running(task_class) < options_.interactive_threads || total < options_.threads
                  : running(task_class) < batch_threads;
  if (free && queue(task_class).empty()) return absl::ZeroDuration();
  absl::Duration work = delay_models_[static_cast<size_t>(task_class)].TimeFor(
      queued_cost_[static_cast<size_t>(task_class)]);
  for (const Slot& slot : slots_) {
    if (slot.task_class_ != task_class || slot.paused_) continue;
    absl::Duration left =
        delay_models_[static_cast<size_t>(slot.submitted_as_)].TimeFor(slot.cost_) -
        SinceStart(slot.start_);
    if (interactive) left = std::min(left, options_.quantum);
    work += std::max(left, absl::ZeroDuration());
  }
  return work / static_cast<double>(interactive ? options_.interactive_threads : batch_threads);
}

std::optional<TaskClass> ComputePool::NextClass() const {
  const int64_t total = running_[0] + running_[1];
  if (!queue(TaskClass::kInteractive).empty() &&
      (total < options_.threads ||
       running(TaskClass::kInteractive) < options_.interactive_threads)) {
    return TaskClass::kInteractive;
  }
  if (!queue(TaskClass::kBatch).empty() &&
      running(TaskClass::kBatch) < options_.threads - options_.interactive_threads) {
    return TaskClass::kBatch;
  }
  return std::nullopt;
}

void ComputePool::DemoteOverdue(TimePoint now) {
  for (Slot& slot : slots_) {
    if (slot.task_class_ != TaskClass::kInteractive || slot.paused_) continue;
    if (absl::FromChrono(now - slot.start_) < options_.quantum) continue;
    --running(TaskClass::kInteractive);
    ++running(TaskClass::kBatch);
    slot.task_class_ = TaskClass::kBatch;
  }
}

// Demotion matters only while interactive work waits.
std::optional<ComputePool::TimePoint> ComputePool::NextOverdue() const {
  if (queue(TaskClass::kInteractive).empty()) return std::nullopt;
  std::optional<TimePoint> next;
  for (const Slot& slot : slots_) {
    if (slot.task_class_ != TaskClass::kInteractive || slot.paused_) continue;
    const TimePoint overdue = slot.start_ + absl::ToChronoNanoseconds(options_.quantum);
    if (!next.has_value() || overdue < *next) next = overdue;
  }
  return next;
}

void ComputePool::Wake() {
  if (idle_workers_ > 0) {
    changed_.notify_one();
  } else if (workers_.size() < max_workers_ && !stopping_) {
    workers_.emplace_back([this] { Loop(); });
  }
}

void ComputePool::Loop() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    DemoteOverdue(std::chrono::steady_clock::now());
    if (const std::optional<TaskClass> next = NextClass(); next.has_value()) {
      RunNext(&lock, *next);
      continue;
    }
    ++idle_workers_;
    // An idle worker is the clock of the quantum.
    if (const std::optional<TimePoint> overdue = NextOverdue(); overdue.has_value()) {
      changed_.wait_until(lock, *overdue);
    } else {
      changed_.wait(lock);
    }
    --idle_workers_;
  }
}

void ComputePool::RunNext(std::unique_lock<std::mutex>* lock, TaskClass task_class) {
  Task task = std::move(queue(task_class).front().task);
  queue(task_class).pop_front();
  queued_cost_[static_cast<size_t>(task_class)] -= task.cost;
  if (queue(task_class).empty()) queued_cost_[static_cast<size_t>(task_class)] = 0;
  ++running(task_class);
  Slot& slot = slots_.emplace_back();
  slot.pool_ = this;
  slot.submitted_as_ = task_class;
  slot.task_class_ = task_class;
  slot.start_ = std::chrono::steady_clock::now();
  slot.cost_ = task.cost;
  slot.bytes_ = task.bytes;
  const auto place = std::prev(slots_.end());
  // Another may be able to start too, and someone must watch the quantum.
  if (!queue(TaskClass::kInteractive).empty() || NextClass().has_value()) Wake();
  lock->unlock();
  task.run(slot);
  task.run = nullptr;
  lock->lock();
  if (slot.paused_) ResumeLocked(&slot);  // a pause is no part of its time
  if (slot.cost_ > 0) {
    delay_models_[static_cast<size_t>(slot.submitted_as_)].Record(slot.cost_,
                                                                  SinceStart(slot.start_));
  }
  --running(slot.task_class_);
  freed_.notify_all();
  bytes_ -= slot.bytes_;
  slots_.erase(place);
}

void ComputePool::PauseLocked(Slot* slot) {
  slot->paused_ = true;
  slot->paused_at_ = std::chrono::steady_clock::now();
  --running(slot->task_class_);
  freed_.notify_all();
  if (NextClass().has_value()) Wake();
}

void ComputePool::ResumeLocked(Slot* slot) {
  slot->paused_ = false;
  slot->start_ += std::chrono::steady_clock::now() - slot->paused_at_;
  ++running(slot->task_class_);
}

void ComputePool::Pause(Slot* slot) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!slot->paused_) PauseLocked(slot);
}

void ComputePool::Resume(Slot* slot) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (slot->paused_) ResumeLocked(slot);
}

void ComputePool::Yield(Slot* slot, absl::Duration patience) {
  constexpr absl::Duration kLongest = absl::Hours(24);  // the clock of a wait wraps around
  std::unique_lock<std::mutex> lock(mutex_);
  if (slot->paused_ || queue(TaskClass::kBatch).empty()) return;
  PauseLocked(slot);
  freed_.wait_for(lock, absl::ToChronoNanoseconds(std::min(patience, kLongest)), [this] {
    return stopping_ ||
           (queue(TaskClass::kBatch).empty() &&
            running(TaskClass::kBatch) < options_.threads - options_.interactive_threads);
  });
  ResumeLocked(slot);
}

void ComputePool::AddCost(Slot* slot, double cost) {
  const std::lock_guard<std::mutex> lock(mutex_);
  slot->cost_ += cost;
}

}  // namespace costate
