// One call on its way through the server: from arrival over the queue and the compute pool to its
// status. Knows nothing of gRPC; server/rpc.h connects the two.
#ifndef COSTATE_SERVER_CALL_H_
#define COSTATE_SERVER_CALL_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/base/cancellation.h"
#include "engine/engine.h"
#include "server/compute_pool.h"
#include "server/deadline_timer.h"
#include "server/memory_budget.h"

namespace costate {

class Environment;

inline constexpr size_t kNumGradientMethods = static_cast<size_t>(GradientMethod::kComplexStep) + 1;

// What the engine did, all trajectories of a call together.
struct EngineWork {
  // One direction of time: the solves, or the passes back of adjoint methods.
  struct Pass {
    int64_t accepted_steps = 0;
    int64_t rejected_steps = 0;
    int64_t rhs_evaluations = 0;
  };
  Pass forward;
  Pass backward;
  // Gradients of one functional along one trajectory, by method.
  std::array<int64_t, kNumGradientMethods> gradients = {};

  EngineWork& operator+=(const EngineWork& other);
};

// Where the time of a call went, and what the access log says of it. Written by the thread that
// works on the call.
struct CallRecord {
  absl::Duration queue;
  absl::Duration compile;
  absl::Duration engine;
  EngineWork work;
  double cost = 0;
  std::string model;  // resource name
  int64_t request_bytes = 0;
  int64_t response_bytes = 0;
  int64_t messages = 0;  // sent on a stream
};

// What a handler sees of its call. Lives until the call is finished.
struct CallContext {
  Environment& environment;
  const Cancellation& cancellation;
  CallRecord& record;
  class Call* call = nullptr;  // whose slot is given back while a handler waits for another call
};

// What is left to do after a handler has checked and converted its request. Without `run` the
// response is complete.
struct Work {
  double cost = 0;  // element operations, decides about the class it runs in
  std::function<absl::Status()> run;
  int64_t bytes = 0;  // held at once, estimated; counted against the memory budget until the end
};

// OK, CANCELLED, DEADLINE_EXCEEDED or UNAVAILABLE.
absl::Status CancellationStatus(Cancellation::Reason reason);

// The calls being worked on, so that a drain can wait for them and cut them short.
// Thread-safety: all members may be called from any thread.
class ActiveCalls {
 public:
  // False once draining: the call must be refused.
  bool Add(std::shared_ptr<class Call> call);
  void Remove(const std::shared_ptr<class Call>& call);

  void StartDraining();
  bool draining() const;
  // Waits until there are none; false when `grace` was not enough.
  bool WaitUntilIdle(absl::Duration grace);
  void CancelAll(Cancellation::Reason reason);
  int64_t size() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable idle_;
  std::unordered_set<std::shared_ptr<class Call>> calls_;
  bool draining_ = false;
};

struct CallOptions {
  std::string method;  // "costate.v1.SolveService/Solve"
  std::string peer;
  ComputePool::TimePoint deadline = ComputePool::TimePoint::max();
  TaskClass task_class = TaskClass::kInteractive;
  int64_t request_bytes = 0;
};

// Lifetime: held by the pool's tasks, the timer and the registry of active calls until `done` has
// returned. Thread-safety: Cancel may be called from any thread at any time.
class Call : public std::enable_shared_from_this<Call> {
 public:
  // Runs on the pool: parses, validates, prepares.
  using Prepare = std::function<absl::StatusOr<Work>(CallContext&)>;
  // Called exactly once, from any thread. OK means the response is complete; `memory` is then what
  // the work was admitted with, to be held as long as its answer is.
  using Done =
      std::function<void(const absl::Status&, const CallRecord&, MemoryBudget::Hold memory)>;

  Call(Environment& environment, CallOptions options);

  // Admits and queues the call, or refuses it through `done` at once.
  void Start(Prepare prepare, Done done);

  // Fires the cancellation. A call still waiting in the queue is finished here; a running one
  // ends as soon as its loops see it.
  void Cancel(Cancellation::Reason reason);

  // Gives the compute slot back while the call waits for its peer; from the working thread only.
  void PauseSlot();
  void ResumeSlot();

  const Cancellation& cancellation() const { return cancellation_; }
  const CallOptions& options() const { return options_; }

 private:
  // `from`: the running task that goes on as this one, if any.
  void Submit(TaskClass task_class, double cost, ComputePool::Slot* from,
              std::function<void()> step);
  void RunPrepare();
  void RunWork();
  void WithdrawIfQueued();
  void Finish(const absl::Status& status);

  Environment& environment_;
  const CallOptions options_;
  const ComputePool::TimePoint arrival_;
  Cancellation cancellation_;
  CallRecord record_;
  CallContext context_;
  Prepare prepare_;
  Work work_;
  MemoryBudget::Hold memory_;  // for work_
  TaskClass task_class_;
  ComputePool::Slot* slot_ = nullptr;  // while running
  ComputePool::TimePoint queued_at_;

  std::mutex mutex_;     // guards the members below
  Done done_;            // null once called
  uint64_t ticket_ = 0;  // of the task in the queue; 0: none
  bool has_timer_ = false;
  DeadlineTimer::Id timer_;
};

}  // namespace costate

#endif  // COSTATE_SERVER_CALL_H_
