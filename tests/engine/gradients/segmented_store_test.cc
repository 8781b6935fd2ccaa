// Segments solved again against a whole recording, to the last bit; bytes against the budget.
#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"
#include "tests/engine/gradients/store_testing.h"

namespace costate {
namespace {

using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::Steps;
using ::costate::testing::StoreRun;

constexpr Steps kAllSteps[] = {Steps::kFixed, Steps::kAdaptive, Steps::kGrid};

SolveOptions FineOptions(const MixedProblem& mixed, Steps steps) {
  SolveOptions options = MixedOptions(mixed, Method::kTsit5, steps);
  options.control.fixed_step = 0.011;
  options.control.rtol = 1e-9;
  options.control.atol = {1e-11};
  return options;
}

TEST(SegmentedStoreTest, StepsHaveTheirBitsForEveryNumberOfSegments) {
  for (const bool reversed : {false, true}) {
    MixedProblem mixed;
    if (reversed) std::swap(mixed.t0, mixed.t1);
    for (const Steps steps : kAllSteps) {
      const SolveOptions options = FineOptions(mixed, steps);
      for (const int64_t k : {int64_t{0}, int64_t{1}, int64_t{2}, int64_t{5}, int64_t{10},
                              int64_t{50}, int64_t{1000}, std::numeric_limits<int64_t>::max()}) {
        StoreRun run(MakeSegmentedStore, mixed.problem(), options, {.segments = k});
        run.ExpectWalkMatches();
        EXPECT_EQ(run.stats().recomputed_steps, run.num_steps());
        run.ExpectWalkMatches();
        EXPECT_EQ(run.stats().recomputed_steps, 2 * run.num_steps());
      }
    }
  }
}

// 250 equal steps in K segments: K + 1 states, step times, and one segment with its stages.
TEST(SegmentedStoreTest, HoldsOneSegmentAtATime) {
  const MixedProblem mixed;
  SolveOptions options = FineOptions(mixed, Steps::kFixed);
  options.control.fixed_step = 0.011;
  constexpr int64_t kStep = (1 + 7) * 3 * 8;
  for (const int64_t k : {1, 5, 10, 50}) {
    StoreRun run(MakeSegmentedStore, mixed.problem(), options, {.segments = k});
    run.ExpectWalkMatches();
    ASSERT_EQ(run.num_steps(), 250);
    const int64_t least = 251 * 8 + (k + 1) * 24 + 250 / k * kStep;
    EXPECT_GE(run.stats().peak_stored_bytes, least);
    // One step more where a cut falls between steps by rounding; the room of growing containers.
    EXPECT_LE(run.stats().peak_stored_bytes, least + kStep + 251 * 8 + 4096 + k * 64);
  }
}

TEST(SegmentedStoreTest, ABudgetThatDoesNotHoldASegmentNamesANumberThatFits) {
  const MixedProblem mixed;
  const SolveOptions options = FineOptions(mixed, Steps::kFixed);
  constexpr int64_t kBudget = 12'000;
  StoreRun run(MakeSegmentedStore, mixed.problem(), options,
               {.memory_budget = kBudget, .segments = 2});
  ASSERT_EQ(run.status().code(), absl::StatusCode::kResourceExhausted);
  const std::string message(run.status().message());
  const size_t at = message.find("ask for ");
  ASSERT_NE(at, std::string::npos) << message;
  const int64_t segments = std::stoll(message.substr(at + 8));
  StoreRun second(MakeSegmentedStore, mixed.problem(), options,
                  {.memory_budget = kBudget, .segments = segments});
  second.ExpectWalkMatches();
  EXPECT_LE(second.stats().peak_stored_bytes, kBudget);
  EXPECT_GT(segments, 2);
}

TEST(SegmentedStoreTest, ABudgetTooSmallForTheTimesIsRefused) {
  const MixedProblem mixed;
  for (const Steps steps : kAllSteps) {
    for (const int64_t budget : {10, 100, 300}) {
      StoreRun run(MakeSegmentedStore, mixed.problem(), FineOptions(mixed, steps),
                   {.memory_budget = budget, .segments = 5});
      EXPECT_EQ(run.status().code(), absl::StatusCode::kResourceExhausted) << run.status();
    }
  }
}

TEST(SegmentedStoreTest, RecomputedStepsCanBeCancelled) {
  const MixedProblem mixed;
  Cancellation cancellation;
  StoreRun run(MakeSegmentedStore, mixed.problem(), FineOptions(mixed, Steps::kFixed),
               {.segments = 10}, &cancellation);
  int64_t visits = 0;
  const absl::Status status = run.Walk([&](int64_t, const StepRecord&) {
    ++visits;
    cancellation.Cancel(Cancellation::Reason::kShuttingDown);
    return absl::OkStatus();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_LE(visits, 26);  // the segment in hand
}

}  // namespace
}  // namespace costate
