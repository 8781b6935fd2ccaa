// Checkpointed steps against a whole recording, to the last bit; repeats against the optimum;
// bytes against the budget.
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/mixed_problem.h"
#include "tests/engine/gradients/ring_field.h"
#include "tests/engine/gradients/store_testing.h"

namespace costate {
namespace {

using ::costate::testing::LeastRepeats;
using ::costate::testing::LeastRepetition;
using ::costate::testing::MixedOptions;
using ::costate::testing::MixedProblem;
using ::costate::testing::RingProblem;
using ::costate::testing::Steps;
using ::costate::testing::StoreRun;
using ::testing::HasSubstr;

// A few hundred steps of each kind.
SolveOptions ManySteps(const MixedProblem& mixed, Method method, Steps steps) {
  SolveOptions options = MixedOptions(mixed, method, steps);
  StepControl& control = options.control;
  if (steps == Steps::kFixed) control.fixed_step = 0.011;
  if (steps == Steps::kAdaptive) {
    control.rtol = 1e-7;
    control.atol = {1e-8};
    options.method = Method::kBosh3;
  }
  if (steps == Steps::kGrid) {
    control.grid.clear();
    for (int i = 0; i < 300; ++i) {
      control.grid.push_back(mixed.t0 + (mixed.t1 - mixed.t0) * std::pow(i / 300.0, 1.3));
    }
    control.grid.push_back(mixed.t1);
  }
  return options;
}

constexpr Steps kAllSteps[] = {Steps::kFixed, Steps::kAdaptive, Steps::kGrid};
constexpr int64_t kMaxCheckpoints = 64;

const LeastRepeats& Least() {
  static const LeastRepeats& least = *new LeastRepeats(600, kMaxCheckpoints);
  return least;
}

// The walk before, and two more.
TEST(CheckpointedStoreTest, StepsHaveTheirBitsForEveryNumberOfCheckpoints) {
  const MixedProblem mixed;
  for (const Steps steps : kAllSteps) {
    const SolveOptions options = ManySteps(mixed, Method::kTsit5, steps);
    for (int64_t c = 1; c <= kMaxCheckpoints; ++c) {
      StoreRun run(MakeCheckpointedStore, mixed.problem(), options, {.checkpoints = c});
      ASSERT_GT(run.num_steps(), 2 * kMaxCheckpoints);
      ASSERT_LT(run.num_steps(), 600);
      for (int walk = 0; walk < 3; ++walk) run.ExpectWalkMatches();
    }
  }
}

TEST(CheckpointedStoreTest, RepeatsNoMoreThanTheoryAllows) {
  const MixedProblem mixed;
  for (const Steps steps : kAllSteps) {
    const SolveOptions options = ManySteps(mixed, Method::kTsit5, steps);
    for (int64_t c = 1; c <= kMaxCheckpoints; ++c) {
      StoreRun run(MakeCheckpointedStore, mixed.problem(), options, {.checkpoints = c});
      const int64_t n = run.num_steps();
      run.ExpectWalkMatches();
      const int64_t first = run.stats().recomputed_steps;
      const int64_t least = Least()(n, c) - (n - 1);  // the solve is the first way forward
      const bool two_repetitions = n <= (c + 1) * (c + 2) / 2;
      if (steps != Steps::kAdaptive || two_repetitions) {
        EXPECT_EQ(first, least) << c;
      } else {
        EXPECT_GE(first, least) << c;
        EXPECT_LE(first, (LeastRepetition(n, c) - 1) * n) << c;
      }
      run.ExpectWalkMatches();
      EXPECT_LE(run.stats().recomputed_steps - first, Least()(n, c)) << c;
    }
  }
}

TEST(CheckpointedStoreTest, RoomForAllStatesRepeatsNothing) {
  const MixedProblem mixed;
  for (const Steps steps : kAllSteps) {
    const SolveOptions options = ManySteps(mixed, Method::kTsit5, steps);
    for (const int64_t c : {int64_t{0}, int64_t{600}, std::numeric_limits<int64_t>::max()}) {
      StoreRun run(MakeCheckpointedStore, mixed.problem(), options, {.checkpoints = c});
      for (int walk = 0; walk < 2; ++walk) run.ExpectWalkMatches();
      EXPECT_EQ(run.stats().recomputed_steps, 0);
    }
  }
}

// The states of c checkpoints and the two at the end, the step times, and the list of checkpoints.
TEST(CheckpointedStoreTest, HoldsNoMoreThanItsStates) {
  const RingProblem ring(100, 40);
  SolveOptions options;
  options.method = Method::kRk4;
  options.control.kind = StepControl::Kind::kFixed;
  options.control.fixed_step = 0.02;
  for (const int64_t c : {1, 2, 10, 64}) {
    StoreRun run(MakeCheckpointedStore, ring.problem(), options, {.checkpoints = c});
    run.ExpectWalkMatches();
    EXPECT_EQ(run.num_steps(), 2000);
    EXPECT_GE(run.stats().peak_stored_bytes, 8 * (2001 + (c + 2) * 100));
    EXPECT_LE(run.stats().peak_stored_bytes, 8 * (2001 + (c + 2) * 105));
  }
}

TEST(CheckpointedStoreTest, AVisitorsErrorEndsTheWalkAndTheNextIsWhole) {
  const MixedProblem mixed;
  const SolveOptions options = ManySteps(mixed, Method::kTsit5, Steps::kAdaptive);
  StoreRun run(MakeCheckpointedStore, mixed.problem(), options, {.checkpoints = 5});
  for (const int64_t stop : {int64_t{0}, run.num_steps() / 2, run.num_steps() - 1}) {
    const absl::Status status = run.Walk([&](int64_t i, const StepRecord&) {
      return i == stop ? absl::DataLossError("enough") : absl::OkStatus();
    });
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    run.ExpectWalkMatches();
  }
}

TEST(CheckpointedStoreTest, RecomputedStepsCanBeCancelled) {
  const MixedProblem mixed;
  const SolveOptions options = ManySteps(mixed, Method::kTsit5, Steps::kFixed);
  Cancellation cancellation;
  StoreRun run(MakeCheckpointedStore, mixed.problem(), options, {.checkpoints = 1}, &cancellation);
  int64_t visits = 0;
  const absl::Status status = run.Walk([&](int64_t, const StepRecord&) {
    if (++visits == 3) cancellation.Cancel(Cancellation::Reason::kClientCancelled);
    return absl::OkStatus();
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(visits, 3);
}

class Budget : public ::testing::TestWithParam<Steps> {};

// From the least budget on, at which the solve is refused with the least that works.
TEST_P(Budget, IsKeptAndUsed) {
  const MixedProblem mixed;
  const SolveOptions options = ManySteps(mixed, Method::kTsit5, GetParam());
  int64_t refused = 0, last_repeats = std::numeric_limits<int64_t>::max();
  for (int64_t budget = 100; budget < 100'000; budget += budget / 5) {
    StoreRun run(MakeCheckpointedStore, mixed.problem(), options, {.memory_budget = budget});
    if (!run.status().ok()) {
      ++refused;
      EXPECT_EQ(run.status().code(), absl::StatusCode::kResourceExhausted);
      EXPECT_THAT(std::string(run.status().message()), HasSubstr("three states of 24 bytes"));
      EXPECT_LT(budget, 3 * 8 * 600);
      continue;
    }
    for (int walk = 0; walk < 2; ++walk) run.ExpectWalkMatches();
    EXPECT_LE(run.stats().peak_stored_bytes, budget);
    if (GetParam() != Steps::kAdaptive) {
      EXPECT_LE(run.stats().recomputed_steps, last_repeats);
      last_repeats = run.stats().recomputed_steps;
    } else {
      last_repeats = std::min(last_repeats, run.stats().recomputed_steps);
    }
  }
  EXPECT_GT(refused, 0);
  EXPECT_EQ(last_repeats, 0);
}

TEST_P(Budget, ANumberThatDoesNotFitIsRefusedWithOneThatDoes) {
  const MixedProblem mixed;
  const SolveOptions options = ManySteps(mixed, Method::kTsit5, GetParam());
  StoreRun run(MakeCheckpointedStore, mixed.problem(), options,
               {.memory_budget = 10'000, .checkpoints = 1000});
  EXPECT_EQ(run.status().code(), absl::StatusCode::kResourceExhausted);
  const std::string message(run.status().message());
  const std::string before = "it holds about ";
  const size_t at = message.find(before);
  ASSERT_NE(at, std::string::npos) << message;
  const int64_t fits = std::stoll(message.substr(at + before.size()));
  StoreRun second(MakeCheckpointedStore, mixed.problem(), options,
                  {.memory_budget = 10'000, .checkpoints = fits});
  second.ExpectWalkMatches();
  EXPECT_GT(fits, 10);
}

std::string StepsName(const ::testing::TestParamInfo<Steps>& info) {
  const char* const names[] = {"fixed", "adaptive", "grid"};
  return names[static_cast<int>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(All, Budget, ::testing::ValuesIn(kAllSteps), StepsName);

class Disk : public ::testing::TestWithParam<Steps> {};

// Memory for three states and the one read back; the checkpoints are on disk.
TEST_P(Disk, TakesWhatMemoryDoesNotHold) {
  const RingProblem ring(10'000, 3);
  SolveOptions options;
  options.control.kind =
      GetParam() == Steps::kFixed ? StepControl::Kind::kFixed : StepControl::Kind::kAdaptive;
  options.control.fixed_step = 0.05;
  options.control.rtol = 1e-10;
  const int64_t budget = 4 * 80'000 + 2000;
  for (const int64_t c : {0, 1, 2, 5, 20}) {
    StoreRun run(MakeCheckpointedStore, ring.problem(), options,
                 {.memory_budget = budget,
                  .checkpoints = c,
                  .scratch_directory = ::testing::TempDir(),
                  .max_disk_bytes = 40 * 80'000});
    for (int walk = 0; walk < 2; ++walk) run.ExpectWalkMatches();
    EXPECT_LE(run.stats().peak_stored_bytes, budget);
    EXPECT_LE(run.stats().disk_bytes, 40 * 80'000);
    if (c == 20) {
      EXPECT_GE(run.stats().disk_bytes, 18 * 80'000);
      EXPECT_LE(run.stats().disk_bytes, 20 * 80'000);
    }
    if (c == 0) {
      EXPECT_GE(run.stats().disk_bytes, 20 * 80'000);
    }
  }
  StoreRun without(MakeCheckpointedStore, ring.problem(), options,
                   {.memory_budget = budget, .checkpoints = 5});
  EXPECT_EQ(without.status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(without.status().message()), HasSubstr("room on disk"));
}

INSTANTIATE_TEST_SUITE_P(All, Disk, ::testing::Values(Steps::kFixed, Steps::kAdaptive), StepsName);

// Step times that outgrow their share: checkpoints go to disk, or are given up.
TEST(CheckpointedStoreTest, CheckpointsGiveWayToStepTimes) {
  MixedProblem mixed;
  SolveOptions options = MixedOptions(mixed, Method::kTsit5, Steps::kAdaptive);
  options.control.max_step = 0.0005;
  for (const int64_t disk : {int64_t{0}, int64_t{30} * 24}) {
    for (const int64_t budget : {120'000, 130'000, 160'000, 200'000}) {
      StoreRun run(MakeCheckpointedStore, mixed.problem(), options,
                   {.memory_budget = budget,
                    .scratch_directory = ::testing::TempDir(),
                    .max_disk_bytes = disk});
      ASSERT_GT(run.num_steps(), 5000);
      for (int walk = 0; walk < 2; ++walk) run.ExpectWalkMatches();
      EXPECT_LE(run.stats().peak_stored_bytes, budget);
      EXPECT_LE(run.stats().disk_bytes, disk);
      EXPECT_LE(run.stats().recomputed_steps, 12 * run.num_steps())
          << budget;  // a few dozen are left
    }
  }
}

TEST(CheckpointedStoreTest, DiskThatFailsSaysWhy) {
  const RingProblem ring(1000, 3);
  SolveOptions options;
  options.control.kind = StepControl::Kind::kFixed;
  options.control.fixed_step = 0.05;
  AdjointOptions adjoint = {.memory_budget = 40'000, .checkpoints = 20};
  adjoint.scratch_directory = ::testing::TempDir() + "/not/there";
  adjoint.max_disk_bytes = 1 << 20;
  {
    StoreRun run(MakeCheckpointedStore, ring.problem(), options, adjoint);
    EXPECT_EQ(run.status().code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(run.status().message()), HasSubstr("No such file or directory"));
  }
  {  // full after ten states
    rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    rlimit limit = before;
    limit.rlim_cur = 84'000;
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &limit);
    adjoint.scratch_directory = ::testing::TempDir();
    StoreRun run(MakeCheckpointedStore, ring.problem(), options, adjoint);
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_EQ(run.status().code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(std::string(run.status().message()), HasSubstr("File too large"));
  }
  adjoint.max_disk_bytes = 10 * 8000;
  StoreRun run(MakeCheckpointedStore, ring.problem(), options, adjoint);
  EXPECT_EQ(run.status().code(), absl::StatusCode::kResourceExhausted);
}

// Sums the bits of each state on the way forward, to compare trajectories too large to hold.
class Fingerprints : public StepCompanion {
 public:
  explicit Fingerprints(int64_t n) : n_(n) {}
  double TrialError(const StepRecord&, const double*) override { return 0; }
  absl::Status Accept(const StepRecord& step, const double*, absl::Span<const double>) override {
    prints_.push_back(Of(step.y));
    return absl::OkStatus();
  }
  double Of(const double* y) const {
    double sum = 0;
    for (int64_t i = 0; i < n_; ++i) sum += static_cast<double>(i % 13 + 1) * y[i];
    return sum;
  }
  const std::vector<double>& prints() const { return prints_; }

 private:
  int64_t n_;
  std::vector<double> prints_;
};

// A tenth of what checkpointed_million_test.cc does.
TEST(CheckpointedStoreTest, ManyStepsOfManyStatesUnderASmallBudget) {
  const RingProblem ring(100, 100'000 * 0.01);
  const Problem problem = ring.problem();
  for (const bool adaptive : {false, true}) {
    SolveOptions options;
    options.method = adaptive ? Method::kHeun : Method::kEuler;
    options.control.kind = adaptive ? StepControl::Kind::kAdaptive : StepControl::Kind::kFixed;
    options.control.fixed_step = 0.01;
    options.control.max_step = 0.01;
    const AdjointOptions adjoint = {.memory_budget = 6'400'000};
    const AdjointInput input = {.problem = problem, .options = options, .adjoint = adjoint};
    const auto store = MakeCheckpointedStore(input).value();
    Fingerprints prints(100);
    ASSERT_TRUE(Integrate(problem, options, {.companions = {store.get(), &prints}}).ok());
    ASSERT_GE(store->num_steps(), 100'000);
    int64_t wrong = 0;
    StepWalker walker(options.scheme(), *problem.field, 1, &kNeverStops);
    const auto visit = [&](int64_t i, const StepRecord& step) {
      wrong += prints.Of(step.y) == prints.prints()[i] ? 0 : 1;
      return absl::OkStatus();
    };
    ASSERT_TRUE(WalkBack(walker, *store, problem.params.data(), visit).ok());
    EXPECT_EQ(wrong, 0);
    AdjointStats stats;
    store->AddStats(&stats);
    EXPECT_LE(stats.peak_stored_bytes, 6'400'000);
    EXPECT_LE(stats.recomputed_steps, store->num_steps());  // two repetitions in all
  }
}

}  // namespace
}  // namespace costate
