#include "server/call.h"

#include <new>
#include <stdexcept>
#include <utility>

#include "server/environment.h"

namespace costate {
namespace {

absl::Duration Since(ComputePool::TimePoint start) {
  return absl::FromChrono(std::chrono::steady_clock::now() - start);
}

// Reading and checking a request, in the unit of costs.
double PrepareCost(int64_t request_bytes) { return 1e4 + 4.0 * static_cast<double>(request_bytes); }

// Size checks come first; this is the fence behind them. One call that asks for too much memory
// must not end the process and all other calls with it.
template <typename Step>
auto WithinMemory(const Step& step) -> decltype(step()) {
  try {
    return step();
  } catch (const std::bad_alloc&) {
  } catch (const std::length_error&) {
  }
  return absl::ResourceExhaustedError("the request needs more memory than the server has");
}

}  // namespace

EngineWork& EngineWork::operator+=(const EngineWork& other) {
  const auto add = [](const Pass& from, Pass* to) {
    to->accepted_steps += from.accepted_steps;
    to->rejected_steps += from.rejected_steps;
    to->rhs_evaluations += from.rhs_evaluations;
  };
  add(other.forward, &forward);
  add(other.backward, &backward);
  for (size_t i = 0; i < gradients.size(); ++i) gradients[i] += other.gradients[i];
  return *this;
}

absl::Status CancellationStatus(Cancellation::Reason reason) {
  switch (reason) {
    case Cancellation::Reason::kNone:
      return absl::OkStatus();
    case Cancellation::Reason::kClientCancelled:
      return absl::CancelledError("cancelled by the client");
    case Cancellation::Reason::kDeadlineExceeded:
      return absl::DeadlineExceededError(
          "the deadline passed; allow more time, or set options.wall_budget to get what was "
          "reached by then");
    case Cancellation::Reason::kShuttingDown:
      return absl::UnavailableError("the server is shutting down; try again elsewhere or later");
  }
  return absl::InternalError("unknown reason of cancellation");
}

bool ActiveCalls::Add(std::shared_ptr<Call> call) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (draining_) return false;
  calls_.insert(std::move(call));
  return true;
}

void ActiveCalls::Remove(const std::shared_ptr<Call>& call) {
  const std::lock_guard<std::mutex> lock(mutex_);
  calls_.erase(call);
  if (calls_.empty()) idle_.notify_all();
}

void ActiveCalls::StartDraining() {
  const std::lock_guard<std::mutex> lock(mutex_);
  draining_ = true;
}

bool ActiveCalls::draining() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return draining_;
}

bool ActiveCalls::WaitUntilIdle(absl::Duration grace) {
  // The clock's range ends after 292 years: now + an infinite grace would wrap around.
  constexpr absl::Duration kForever = absl::Hours(24 * 365);
  std::unique_lock<std::mutex> lock(mutex_);
  const auto idle = [this] { return calls_.empty(); };
  if (grace < kForever) return idle_.wait_for(lock, absl::ToChronoNanoseconds(grace), idle);
  idle_.wait(lock, idle);
  return true;
}

void ActiveCalls::CancelAll(Cancellation::Reason reason) {
  std::unordered_set<std::shared_ptr<Call>> calls;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    calls = calls_;
  }
  for (const std::shared_ptr<Call>& call : calls) call->Cancel(reason);
}

int64_t ActiveCalls::size() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int64_t>(calls_.size());
}

Call::Call(Environment& environment, CallOptions options)
    : environment_(environment),
      options_(std::move(options)),
      arrival_(std::chrono::steady_clock::now()),
      context_{environment, cancellation_, record_, this},
      task_class_(options_.task_class) {
  record_.request_bytes = options_.request_bytes;
}

void Call::Start(Prepare prepare, Done done) {
  prepare_ = std::move(prepare);
  const std::shared_ptr<Call> self = shared_from_this();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    done_ = std::move(done);
  }
  if (!environment_.active_calls().Add(self)) {
    return Finish(CancellationStatus(Cancellation::Reason::kShuttingDown));
  }
  const DeadlineTimer::Id timer = environment_.timer().Schedule(
      options_.deadline, [self] { self->Cancel(Cancellation::Reason::kDeadlineExceeded); });
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    timer_ = timer;
    has_timer_ = true;
  }
  Submit(task_class_, PrepareCost(options_.request_bytes), nullptr, [this] { RunPrepare(); });
}

void Call::Submit(TaskClass task_class, double cost, ComputePool::Slot* from,
                  std::function<void()> step) {
  task_class_ = task_class;
  queued_at_ = std::chrono::steady_clock::now();
  ComputePool::Task task;
  task.task_class = task_class;
  task.cost = cost;
  task.bytes = options_.request_bytes;
  task.deadline = options_.deadline;
  task.run = [self = shared_from_this(), step = std::move(step)](ComputePool::Slot& slot) {
    {
      const std::lock_guard<std::mutex> lock(self->mutex_);
      self->ticket_ = 0;
    }
    const absl::Duration waited = Since(self->queued_at_);
    self->record_.queue += waited;
    self->environment_.metrics().RecordQueueDelay(self->task_class_, waited);
    self->slot_ = &slot;
    step();
  };
  absl::Status refused;
  {
    // Held across Submit, so that the task cannot start before its ticket is noted.
    const std::lock_guard<std::mutex> lock(mutex_);
    absl::StatusOr<uint64_t> ticket = environment_.pool().Submit(std::move(task), from);
    if (ticket.ok()) ticket_ = *ticket;
    refused = ticket.status();
  }
  if (!refused.ok()) return Finish(refused);
  if (cancellation_.cancelled()) WithdrawIfQueued();
}

void Call::RunPrepare() {
  if (cancellation_.cancelled()) return Finish(CancellationStatus(cancellation_.reason()));
  absl::StatusOr<Work> work = WithinMemory([this] { return prepare_(context_); });
  prepare_ = nullptr;
  if (!work.ok() || work->run == nullptr) return Finish(work.status());
  work_ = *std::move(work);
  record_.cost = work_.cost;
  absl::StatusOr<MemoryBudget::Hold> memory =
      environment_.memory().Take(work_.bytes, environment_.pool().ExpectedWait(TaskClass::kBatch));
  if (!memory.ok()) return Finish(memory.status());
  memory_ = *std::move(memory);
  if (work_.cost <= environment_.options().interactive_cost || task_class_ == TaskClass::kBatch) {
    slot_->AddCost(work_.cost);
    return RunWork();
  }
  Submit(TaskClass::kBatch, work_.cost, std::exchange(slot_, nullptr), [this] { RunWork(); });
}

void Call::RunWork() {
  if (cancellation_.cancelled()) return Finish(CancellationStatus(cancellation_.reason()));
  absl::Status status = WithinMemory([this] { return work_.run(); });
  slot_ = nullptr;
  // The engine says where it was when it stopped; the client wants to know what to do about it.
  const absl::Status cancelled = CancellationStatus(cancellation_.reason());
  if (!status.ok() && status.code() == cancelled.code()) status = cancelled;
  Finish(status);
}

void Call::Cancel(Cancellation::Reason reason) {
  cancellation_.Cancel(reason);
  WithdrawIfQueued();
}

void Call::WithdrawIfQueued() {
  uint64_t ticket = 0;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ticket = std::exchange(ticket_, 0);
  }
  if (ticket == 0 || !environment_.pool().Withdraw(ticket)) return;
  Finish(CancellationStatus(cancellation_.reason()));
}

void Call::PauseSlot() {
  if (slot_ != nullptr) slot_->Pause();
}

void Call::ResumeSlot() {
  if (slot_ != nullptr) slot_->Resume();
}

void Call::Finish(const absl::Status& status) {
  Done done;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    done = std::exchange(done_, nullptr);
    if (has_timer_) environment_.timer().Cancel(timer_);
    has_timer_ = false;
  }
  if (done == nullptr) return;
  // Work may hold large buffers; they are gone before the client hears of the end.
  work_ = Work{};
  prepare_ = nullptr;
  if (!status.ok()) memory_.Release();
  done(status, record_, std::move(memory_));
  environment_.active_calls().Remove(shared_from_this());
}

}  // namespace costate
