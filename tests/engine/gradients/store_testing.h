// What the tests of step stores share: a solve that is recorded whole beside the store, and the
// least number of repeated steps by dynamic programming.
#ifndef COSTATE_TESTS_ENGINE_GRADIENTS_STORE_TESTING_H_
#define COSTATE_TESTS_ENGINE_GRADIENTS_STORE_TESTING_H_

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "engine/gradients/adjoint.h"
#include "engine/gradients/step_store.h"
#include "engine/gradients/step_walker.h"
#include "engine/solvers/integrate.h"
#include "gtest/gtest.h"

namespace costate::testing {

// t(l, c): the least number of steps to advance, the way to the last step included, so that l
// steps can be reversed from c checkpoints, the first state among them. By its definition: advance
// m, keep, reverse the rest with one place less, then the first m.
class LeastRepeats {
 public:
  LeastRepeats(int64_t max_length, int64_t max_checkpoints)
      : rows_(max_length + 1), table_((max_checkpoints + 1) * rows_) {
    for (int64_t l = 0; l <= max_length; ++l) At(1, l) = l * (l - 1) / 2;
    for (int64_t c = 2; c <= max_checkpoints; ++c) {
      for (int64_t l = 2; l <= max_length; ++l) {
        int64_t best = std::numeric_limits<int64_t>::max();
        for (int64_t m = 1; m < l; ++m) best = std::min(best, m + At(c - 1, l - m) + At(c, m));
        At(c, l) = best;
      }
    }
  }
  int64_t operator()(int64_t length, int64_t checkpoints) const {
    return table_[checkpoints * rows_ + length];
  }

 private:
  int64_t& At(int64_t c, int64_t l) { return table_[c * rows_ + l]; }

  int64_t rows_;
  std::vector<int64_t> table_;
};

// The least r with length <= C(checkpoints + r, checkpoints): how often some step of so many has to
// be advanced over at least, by the same definition.
inline int64_t LeastRepetition(int64_t length, int64_t checkpoints) {
  double reach = 1;
  int64_t r = 0;
  while (reach < static_cast<double>(length)) {
    ++r;
    reach = reach * static_cast<double>(checkpoints + r) / static_cast<double>(r);
  }
  return r;
}

// A solve with a store and a recorder beside it.
class StoreRun {
 public:
  using Maker = absl::StatusOr<std::unique_ptr<StepStore>> (*)(const AdjointInput& input);

  StoreRun(Maker maker, const Problem& problem, const SolveOptions& options,
           const AdjointOptions& adjoint, const Cancellation* cancellation = nullptr,
           bool record = true)
      : problem_(problem),
        options_(options),
        adjoint_(adjoint),
        stop_{.cancellation = cancellation},
        recorder_(options.method, problem.field->num_states(), int64_t{1} << 40) {
    AdjointInput input = {.problem = problem_, .options = options_, .adjoint = adjoint_};
    input.stop = &stop_;
    store_ = maker(input).value();
    IntegrateHooks hooks;
    hooks.companions = {store_.get()};
    if (record) hooks.companions.push_back(&recorder_);
    status_ = Integrate(problem_, options_, hooks).status();
  }

  const absl::Status& status() const { return status_; }
  StepStore& store() { return *store_; }
  const Recording& recording() const { return recorder_.recording(); }
  int64_t num_steps() const { return recording().num_steps(); }

  // Walks back and compares every step with the recorded one, to the last bit.
  void ExpectWalkMatches() {
    ASSERT_TRUE(status_.ok()) << status_;
    const Recording& whole = recording();
    ASSERT_EQ(std::vector<double>(store_->times().begin(), store_->times().end()), whole.times);
    const int64_t n = whole.num_states;
    int64_t next = whole.num_steps();
    bool same = true;
    const absl::Status walked = Walk([&](int64_t i, const StepRecord& step) {
      EXPECT_EQ(i, --next);
      const StepRecord expected = whole.step(i);
      same = same && step.t == expected.t && step.h == expected.h &&
             step.t_next == expected.t_next && std::equal(step.y, step.y + n, expected.y);
      if (step.stages != nullptr) {
        const int64_t stages = GetMethodInfo(whole.scheme).stages;
        same = same && std::equal(step.stages, step.stages + stages * n, expected.stages);
      }
      return absl::OkStatus();
    });
    EXPECT_TRUE(walked.ok()) << walked;
    EXPECT_EQ(next, 0);
    EXPECT_TRUE(same);
    EXPECT_TRUE(std::equal(store_->last_state().begin(), store_->last_state().end(),
                           whole.states.end() - n));
  }

  absl::Status Walk(absl::FunctionRef<absl::Status(int64_t i, const StepRecord& step)> visit) {
    StepWalker walker(options_.scheme(), *problem_.field, 1, &stop_);
    return WalkBack(walker, *store_, problem_.params.data(), visit);
  }

  AdjointStats stats() const {
    AdjointStats stats;
    store_->AddStats(&stats);
    return stats;
  }

 private:
  const Problem problem_;
  const SolveOptions options_;
  const AdjointOptions adjoint_;
  const StopSource stop_;
  Recorder recorder_;
  std::unique_ptr<StepStore> store_;
  absl::Status status_;
};

}  // namespace costate::testing

#endif  // COSTATE_TESTS_ENGINE_GRADIENTS_STORE_TESTING_H_
