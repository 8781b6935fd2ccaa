// What every job store must do: the sentences of server/jobs/job_store.h as tests.
//
//   INSTANTIATE_TEST_SUITE_P(Sqlite, StoreConformance, testing::Values(SqliteInFile()),
//                            NameOfStore);
#ifndef COSTATE_TESTS_SERVER_JOBS_STORE_CONFORMANCE_H_
#define COSTATE_TESTS_SERVER_JOBS_STORE_CONFORMANCE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "server/jobs/job_store.h"
#include "tests/server/jobs/job_values.h"

namespace costate::jobs {

// Stands still until it is told to go on. Thread-safety: may be used from any thread.
class SettableClock {
 public:
  absl::Time Now() const {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  void Advance(absl::Duration by) {
    const std::lock_guard lock(mutex_);
    now_ += by;
  }

 private:
  mutable std::mutex mutex_;
  absl::Time now_ = absl::FromUnixSeconds(1'700'000'000);
};

// Where the stores of one test keep their jobs.
class StorePlace {
 public:
  virtual ~StorePlace() = default;
  // A store of what is there; null if that failed. The one opened before is closed.
  virtual std::unique_ptr<JobStore> Open(const StoreLimits& limits,
                                         std::function<absl::Time()> now) = 0;
  virtual bool keeps_jobs() const { return true; }  // from one store to the next
};

struct StoreKind {
  std::string name;
  std::function<std::unique_ptr<StorePlace>()> make;  // an empty place
};

inline std::string NameOfStore(const testing::TestParamInfo<StoreKind>& info) {
  return info.param.name;
}

class StoreConformance : public testing::TestWithParam<StoreKind> {
 protected:
  static constexpr absl::Duration kLease = absl::Seconds(30);

  StoreConformance() : place_(GetParam().make()) { Reopen(); }

  void Reopen(const StoreLimits& limits = {}) {
    store_ = nullptr;
    store_ = place_->Open(limits, [this] { return clock_.Now(); });
  }

  void SetUp() override { ASSERT_NE(store_, nullptr); }

  JobStore& store() { return *store_; }
  void Advance(absl::Duration by) { clock_.Advance(by); }
  absl::Time now() const { return clock_.Now(); }

  // Each fails the test when the call does.
  Job Create(const NewJob& job = OneTask());
  Job Get(std::string_view id);
  std::vector<Event> Events(std::string_view id);
  std::vector<Claim> ClaimUpTo(int64_t count);
  Claim ClaimOne();  // and when there is none
  void Complete(const Lease& lease, const TaskEnd& end = Done("result"));
  void Reap(int64_t expected_leases);
  StoreStats Stats();

  // Claims a task and lets its lease run out, so often.
  void LoseLeases(int times);

  // The job's events are numbered from 1 without gaps up to last_event, their best objectives never
  // rise, and they end with the state that the job has.
  void ExpectGoodEvents(std::string_view id);

  SettableClock clock_;
  std::unique_ptr<StorePlace> place_;
  std::unique_ptr<JobStore> store_;
};

}  // namespace costate::jobs

#endif  // COSTATE_TESTS_SERVER_JOBS_STORE_CONFORMANCE_H_
