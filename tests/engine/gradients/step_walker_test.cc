// Steps taken again have the bits they had, in any lane and whatever the lanes beside it do.
#include "engine/gradients/step_walker.h"

#include <algorithm>
#include <string>
#include <vector>

#include "engine/solvers/integrate.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"

namespace costate {
namespace {

using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;

// A plan that tries all steps from `start` on, looks at each, and visits the last `visits`, each of
// them tried again for that.
class TryingStore : public StepStore {
 public:
  TryingStore(const Recording& whole, int64_t start, int64_t visits)
      : StepStore(whole.num_states), whole_(whole), start_(start), visits_(visits) {}

  absl::Status Accept(const StepRecord&, const double*, absl::Span<const double>) override {
    return absl::OkStatus();
  }
  absl::Span<const double> times() const override { return whole_.times; }
  absl::Span<const double> last_state() const override { return {}; }

  absl::Status BeginWalk() override {
    tried_ = start_;
    visited_ = 0;
    return absl::OkStatus();
  }
  absl::Status Next(const StepInHand& hand, StepTask* task) override {
    if (tried_ > start_ && compared_ < whole_.num_steps() - start_) Compare(hand, tried_ - 1);
    if (tried_ < whole_.num_steps()) {
      const double* from = tried_ == start_ ? whole_.step(start_).y : nullptr;
      *task = {.kind = StepTask::Kind::kTry, .step = tried_++, .y = from};
    } else if (visited_ == visits_) {
      task->kind = StepTask::Kind::kDone;
    } else {
      again_ = !again_;
      const int64_t step = whole_.num_steps() - 1 - visited_;
      if (again_) {
        *task = {.kind = StepTask::Kind::kTry, .step = step, .y = whole_.step(step).y};
      } else {
        *task = {.kind = StepTask::Kind::kVisit, .step = step};
        ++visited_;
      }
    }
    return absl::OkStatus();
  }
  int64_t compared() const { return compared_; }

 protected:
  void AddSizes(AdjointStats* /*stats*/) const override {}

 private:
  void Compare(const StepInHand& hand, int64_t i) {
    const StepRecord step = whole_.step(i);
    const int64_t n = whole_.num_states;
    for (int64_t e = 0; e < n; ++e) {
      EXPECT_EQ(hand.y()[e * hand.lanes()], step.y[e]);
      EXPECT_EQ(hand.y_new()[e * hand.lanes()], whole_.states[(i + 1) * n + e]);
    }
    for (int64_t k = 0; k < GetMethodInfo(whole_.scheme).stages * n; ++k) {
      EXPECT_EQ(hand.stages()[k * hand.lanes()], step.stages[k]) << "step " << i;
    }
    ++compared_;
  }

  const Recording& whole_;
  const int64_t start_, visits_;
  int64_t tried_ = 0, visited_ = 0, compared_ = 0;
  bool again_ = false;
};

class EveryMethod : public ::testing::TestWithParam<Method> {
 protected:
  EveryMethod() {
    Recorder recorder(GetParam(), 3, int64_t{1} << 30);
    // Interpolation for saved values, rejected steps.
    EXPECT_TRUE(Integrate(mixed_.problem(), options_, {.companions = {&recorder}}).ok());
    whole_ = std::move(recorder).Take();
  }

  const MixedProblem mixed_;
  const SolveOptions options_ = MixedOptions(mixed_, GetParam(), Steps::kAdaptive);
  Recording whole_;
};

TEST_P(EveryMethod, StepsHaveTheirBitsAgain) {
  StepWalker walker(GetParam(), mixed_.field, 1, &kNeverStops);
  for (int64_t start = 0; start < whole_.num_steps(); start += 2) {
    TryingStore store(whole_, start, 2);
    const int64_t steps = whole_.num_steps() - start;
    int64_t visits = 0;
    const auto visit = [&](int64_t i, const StepRecord& step) {
      const StepRecord expected = whole_.step(i);
      EXPECT_EQ(i, whole_.num_steps() - ++visits);
      EXPECT_TRUE(std::equal(step.y, step.y + 3, expected.y));
      EXPECT_EQ(step.h, expected.h);
      return absl::OkStatus();
    };
    ASSERT_TRUE(WalkBack(walker, store, mixed_.params.data(), visit).ok());
    EXPECT_EQ(visits, 2);
    EXPECT_EQ(store.compared(), steps);
    AdjointStats stats;
    store.AddStats(&stats);
    EXPECT_EQ(stats.recomputed_steps, steps);  // those for a visit are not taken again
    EXPECT_GE(stats.rhs_evaluations, steps);
  }
}

TEST_P(EveryMethod, InLanesToo) {
  constexpr int kLanes = 4;
  StepWalker walker(GetParam(), mixed_.field, kLanes, &kNeverStops);
  std::vector<TryingStore> stores;
  for (int l = 0; l < kLanes; ++l) stores.emplace_back(whole_, l, l);
  for (int l = 0; l < kLanes; ++l) {
    ASSERT_TRUE(walker.Begin(l, &stores[l], mixed_.params.data()).ok());
  }
  std::vector<int64_t> visits(kLanes);
  const auto walks = [&] {
    bool any = false;
    for (int l = 0; l < kLanes; ++l) any = any || walker.walks(l);
    return any;
  };
  while (walks()) {
    ASSERT_TRUE(walker.Work().ok());
    for (int l = 0; l < kLanes; ++l) {
      if (!walker.ready(l)) continue;
      const StepRecord expected = whole_.step(walker.step(l));
      EXPECT_EQ(walker.step(l), whole_.num_steps() - ++visits[l]);
      EXPECT_EQ(walker.steps().t_next[l], expected.t_next);
      for (int e = 0; e < 3; ++e) EXPECT_EQ(walker.steps().y[e * kLanes + l], expected.y[e]);
      for (int k = 0; k < 3 * GetMethodInfo(GetParam()).stages; ++k) {
        EXPECT_EQ(walker.steps().stages[k * kLanes + l], expected.stages[k]);
      }
    }
  }
  for (int l = 0; l < kLanes; ++l) {
    EXPECT_EQ(visits[l], l);
    EXPECT_EQ(stores[l].compared(), whole_.num_steps() - l);
    AdjointStats stats;
    stores[l].AddStats(&stats);
    EXPECT_EQ(stats.recomputed_steps, whole_.num_steps() - l);
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, EveryMethod, ::testing::ValuesIn(RungeKuttaMethods().begin(), RungeKuttaMethods().end()),
    [](const auto& info) { return std::string(GetMethodInfo(info.param).name); });

TEST(StepWalkerTest, StopsWhenCancelled) {
  const MixedProblem mixed;
  Recorder recorder(Method::kTsit5, 3, int64_t{1} << 30);
  const SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kGrid);
  ASSERT_TRUE(Integrate(mixed.problem(), options, {.companions = {&recorder}}).ok());
  Cancellation cancellation;
  const StopSource stop = {.cancellation = &cancellation};
  StepWalker walker(Method::kTsit5, mixed.field, 1, &stop);
  TryingStore store(recorder.recording(), 0, 3);
  int64_t visits = 0;
  const auto visit = [&](int64_t, const StepRecord&) {
    if (++visits == 2) cancellation.Cancel(Cancellation::Reason::kClientCancelled);
    return absl::OkStatus();
  };
  EXPECT_EQ(WalkBack(walker, store, mixed.params.data(), visit).code(),
            absl::StatusCode::kCancelled);
  EXPECT_EQ(visits, 2);
}

}  // namespace
}  // namespace costate
