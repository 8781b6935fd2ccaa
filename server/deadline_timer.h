// Calls functions at given times, from one thread of its own.
#ifndef COSTATE_SERVER_DEADLINE_TIMER_H_
#define COSTATE_SERVER_DEADLINE_TIMER_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

namespace costate {

// Thread-safety: all members may be called from any thread, from the callbacks too.
class DeadlineTimer {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Id = std::pair<TimePoint, uint64_t>;

  DeadlineTimer();
  ~DeadlineTimer();  // callbacks that have not started never run

  // Callbacks must be quick. They may still run, once, while or after Cancel is called.
  Id Schedule(TimePoint time, std::function<void()> callback);
  void Cancel(const Id& id);

 private:
  void Loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Id, std::function<void()>> pending_;
  uint64_t next_id_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace costate

#endif  // COSTATE_SERVER_DEADLINE_TIMER_H_
