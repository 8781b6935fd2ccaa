// Placement against the optimum by dynamic programming, and against the published bounds.
#include "engine/gradients/checkpoint_schedule.h"

#include <algorithm>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/store_testing.h"

namespace costate {
namespace {

using ::costate::testing::LeastRepeats;
using ::costate::testing::LeastRepetition;

constexpr int64_t kMaxLength = 500;
constexpr int64_t kMaxCheckpoints = 12;

const LeastRepeats& Least() {
  static const LeastRepeats& least = *new LeastRepeats(kMaxLength, kMaxCheckpoints);
  return least;
}

TEST(BinomialSplitTest, EverySplitIsOptimal) {
  for (int64_t c = 2; c <= kMaxCheckpoints; ++c) {
    for (int64_t l = 2; l <= kMaxLength; ++l) {
      const int64_t m = BinomialSplit(l, c);
      ASSERT_GE(m, 1);
      ASSERT_LT(m, l);
      EXPECT_EQ(m + Least()(l - m, c - 1) + Least()(m, c), Least()(l, c)) << l << " " << c;
    }
  }
}

// The closed form of Griewank and Walther at the ends of its range.
TEST(BinomialSplitTest, TableAgreesWithTheClosedForm) {
  EXPECT_EQ(Least()(10, 2), 3 * 10 - 10);      // C(5, 2) = 10 = l, so r = 3, and C(5, 2)
  EXPECT_EQ(Least()(286, 10), 3 * 286 - 78);   // C(13, 10) = 286, C(13, 2) = 78
  EXPECT_EQ(Least()(287, 10), 4 * 287 - 364);  // C(14, 10) = 1001, C(14, 3) = 364
}

TEST(BinomialSplitTest, HugeLengthsDoNotOverflow) {
  for (const int64_t length : {int64_t{1'000'000'000}, int64_t{1} << 61}) {
    for (const int64_t checkpoints : {int64_t{40}, int64_t{1000}, int64_t{1} << 60}) {
      const int64_t m = BinomialSplit(length, checkpoints);
      EXPECT_GE(m, 1);
      EXPECT_LT(m, length);
    }
  }
}

// The checkpoints held when the solve ends after `num_steps` steps. Checks what holds at any time.
std::vector<int64_t> Held(CheckpointSchedule schedule, int64_t num_steps, int64_t limit) {
  std::vector<bool> in_use(limit, false);
  schedule.Begin(0);
  in_use[0] = true;
  for (int64_t step = 1; step + 1 < num_steps; ++step) {
    switch (schedule.Pass(step)) {
      case CheckpointSchedule::Fate::kDrop:
        break;
      case CheckpointSchedule::Fate::kAdd: {
        const int64_t slot = std::find(in_use.begin(), in_use.end(), false) - in_use.begin();
        EXPECT_LT(slot, limit);
        in_use[slot] = true;
        schedule.Keep(step, slot);
        break;
      }
      case CheckpointSchedule::Fate::kReplace:
        EXPECT_NE(schedule.replaced().step, 0);
        schedule.Keep(step, schedule.replaced().slot);
        break;
    }
  }
  schedule.Sort();
  std::vector<int64_t> steps, slots;
  for (const Checkpoint& c : schedule.checkpoints()) {
    steps.push_back(c.step);
    slots.push_back(c.slot);
  }
  EXPECT_TRUE(std::is_sorted(steps.begin(), steps.end()));
  std::sort(slots.begin(), slots.end());
  EXPECT_EQ(std::unique(slots.begin(), slots.end()), slots.end());
  return steps;
}

// Steps advanced in all, from checkpoints at `held` and the state before the last step in hand:
// the way forward, and every gap reversed with the places free by then.
int64_t Cost(const std::vector<int64_t>& held, int64_t num_steps, int64_t checkpoints) {
  int64_t cost = num_steps - 1;
  int64_t end = num_steps;
  for (size_t k = held.size(); k-- > 0;) {
    cost += Least()(end - held[k], checkpoints - static_cast<int64_t>(k));
    if (end == num_steps) cost -= end - held[k] - 1;
    end = held[k];
  }
  return cost;
}

TEST(CheckpointScheduleTest, KnownNumberOfStepsIsOptimal) {
  for (int64_t c = 1; c <= kMaxCheckpoints; ++c) {
    for (int64_t steps = 1; steps <= kMaxLength; ++steps) {
      const auto held = Held(CheckpointSchedule(c, steps), steps, c);
      ASSERT_EQ(Cost(held, steps, c), Least()(steps, c)) << steps << " " << c;
    }
  }
}

// As Algorithm I of Stumm and Walther.
TEST(CheckpointScheduleTest, UnknownNumberIsOptimalUpToTwoRepetitions) {
  for (int64_t c = 1; c <= kMaxCheckpoints; ++c) {
    for (int64_t steps = 1; steps <= (c + 1) * (c + 2) / 2; ++steps) {
      const auto held = Held(CheckpointSchedule(c, {}), steps, c);
      ASSERT_EQ(Cost(held, steps, c), Least()(steps, c)) << steps << " " << c;
    }
  }
}

// Wang, Moin and Iaccarino: the repetition number is the least possible for every number of steps.
TEST(CheckpointScheduleTest, UnknownNumberRepeatsNoStepMoreThanNeeded) {
  for (int64_t c = 1; c <= kMaxCheckpoints; ++c) {
    for (int64_t steps = 2; steps <= kMaxLength; ++steps) {
      const auto held = Held(CheckpointSchedule(c, {}), steps, c);
      const int64_t least = LeastRepetition(steps, c);
      int64_t end = steps;
      for (size_t k = held.size(); k-- > 0;) {
        const int64_t way_forward = end == steps ? 0 : 1;  // the first repeat of the last gap
        EXPECT_LE(way_forward + LeastRepetition(end - held[k], c - static_cast<int64_t>(k)), least)
            << steps << " " << c << " " << k;
        end = held[k];
      }
      EXPECT_LE(Cost(held, steps, c), least * steps);
    }
  }
}

TEST(CheckpointScheduleTest, PlacesOfTheFirstPhases) {
  using ::testing::ElementsAre;
  // c = 4: 0 1 2 3 | 5 replaces the latest, then 6, 7 | 9, 10 | 12.
  EXPECT_THAT(Held(CheckpointSchedule(4, {}), 5, 4), ElementsAre(0, 1, 2, 3));
  EXPECT_THAT(Held(CheckpointSchedule(4, {}), 7, 4), ElementsAre(0, 1, 2, 5));
  EXPECT_THAT(Held(CheckpointSchedule(4, {}), 9, 4), ElementsAre(0, 5, 6, 7));
  EXPECT_THAT(Held(CheckpointSchedule(4, {}), 15, 4), ElementsAre(0, 5, 9, 12));
}

// What may be given up goes first, the latest before others; then the lowest levels, evenly.
TEST(CheckpointScheduleTest, ThinGivesUpWhatMattersLeast) {
  const auto after = [](int64_t steps, int64_t count) {
    CheckpointSchedule schedule(8, {});
    schedule.Begin(0);
    for (int64_t step = 1; step + 1 < steps; ++step) {
      const auto fate = schedule.Pass(step);
      if (fate == CheckpointSchedule::Fate::kDrop) continue;
      schedule.Keep(step, fate == CheckpointSchedule::Fate::kAdd ? step : schedule.replaced().slot);
    }
    std::vector<int64_t> given_up, left;
    schedule.Thin(count, [&](const Checkpoint& c) { given_up.push_back(c.step); });
    EXPECT_EQ(static_cast<int64_t>(given_up.size()), count);
    schedule.Sort();
    for (const Checkpoint& c : schedule.checkpoints()) left.push_back(c.step);
    EXPECT_TRUE(std::is_sorted(left.begin(), left.end()));
    return left;
  };
  using ::testing::ElementsAre;
  EXPECT_THAT(after(9, 0), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
  EXPECT_THAT(after(9, 7), ElementsAre(0));
  EXPECT_THAT(after(9, 3), ElementsAre(0, 1, 2, 4, 6));
  EXPECT_THAT(after(13, 0), ElementsAre(0, 1, 2, 3, 4, 9, 10, 11));
  EXPECT_THAT(after(13, 3), ElementsAre(0, 1, 9, 10, 11));
  EXPECT_THAT(after(13, 5), ElementsAre(0, 9, 10));
  EXPECT_THAT(after(13, 6), ElementsAre(0, 9));
}

// A schedule that was thinned goes on as one with that many places.
TEST(CheckpointScheduleTest, GoesOnAfterThinning) {
  CheckpointSchedule schedule(20, {});
  schedule.Begin(0);
  int64_t limit = 20;
  for (int64_t step = 1; step < 400; ++step) {
    if (step % 37 == 0) {
      const int64_t count = std::min<int64_t>(2, schedule.size() - 1);
      schedule.Thin(count, [](const Checkpoint&) {});
      if (step > 20) limit -= count;
    }
    const auto fate = schedule.Pass(step);
    if (fate != CheckpointSchedule::Fate::kDrop) schedule.Keep(step, 0);
    EXPECT_LE(schedule.size(), limit);
  }
  schedule.Sort();
  int64_t last = -1;
  for (const Checkpoint& c : schedule.checkpoints()) {
    EXPECT_GT(c.step, last);
    last = c.step;
  }
  EXPECT_EQ(schedule.checkpoints()[0].step, 0);
}

TEST(CheckpointScheduleTest, StopGrowingHoldsForBothKinds) {
  for (const std::optional<int64_t> known :
       {std::optional<int64_t>(), std::optional<int64_t>(50)}) {
    CheckpointSchedule schedule(40, known);
    schedule.Begin(0);
    int64_t step = 1;
    while (schedule.Pass(step) != CheckpointSchedule::Fate::kAdd) ++step;
    schedule.StopGrowing();
    EXPECT_EQ(schedule.Pass(step), CheckpointSchedule::Fate::kDrop);
    EXPECT_EQ(schedule.size(), 1);
  }
}

}  // namespace
}  // namespace costate
