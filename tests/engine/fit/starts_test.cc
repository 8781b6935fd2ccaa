#include "engine/fit/starts.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/fit/fit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/fit/fake_objective.h"

namespace costate::fit {
namespace {

using testing::Element;
using testing::FakeObjective;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::kInfinity;
using testing::ValleyModel;

NoWorkers no_workers;

std::shared_ptr<const FakeObjective> Valley(double wall = kInfinity, int64_t parts = 1) {
  return std::make_shared<FakeObjective>(
      std::vector<FreeElement>{Element("x", -1.2, -3, 3), Element("y", 1, -3, 8)},
      ValleyModel(wall), parts);
}

struct Way {
  const char* name;
  optimise::Algorithm algorithm;
  const char* nlopt = "";
  int64_t max_iterations = 40;
  int64_t batch_size = 0;
};

// Every kind of state: trust region, quasi-Newton memory, moments with minibatches and a schedule,
// derivative-free, global with random numbers.
const Way kWays[] = {
    {"levenberg_marquardt", optimise::Algorithm::kLevenbergMarquardt},
    {"lbfgsb", optimise::Algorithm::kLbfgsb},
    {"adam", optimise::Algorithm::kAdam, "", 30, 1},
    {"adamw", optimise::Algorithm::kAdamW, "", 30, 1},
    {"sbplx", optimise::Algorithm::kNlopt, "LN_SBPLX", 60},
    {"crs", optimise::Algorithm::kNlopt, "GN_CRS2_LM", 60},
};

FitOptions OptionsOf(const Way& way, const Objective& objective, int64_t starts) {
  FitOptions options;
  options.method_auto = options.max_iterations_auto = false;
  options.optimiser.algorithm = way.algorithm;
  options.optimiser.nlopt_algorithm = way.nlopt;
  options.optimiser.max_iterations = way.max_iterations;
  options.optimiser.batch_size = way.batch_size;
  if (way.algorithm == optimise::Algorithm::kAdam || way.algorithm == optimise::Algorithm::kAdamW) {
    options.optimiser.schedule.kind = optimise::Schedule::Kind::kCosine;
  }
  options.starts = starts;
  options.seed = 7;
  return ResolveFitOptions(objective, options).value();
}

std::unique_ptr<Starts> Make(std::shared_ptr<const Objective> objective, const FitOptions& options,
                             int64_t first, int64_t count) {
  return Starts::Create(std::move(objective), options, first, count).value();
}

std::vector<StartResult> RunToEnd(Starts& starts) {
  while (!starts.done()) EXPECT_TRUE(starts.Advance(kNeverStops, no_workers).ok());
  return starts.results();
}

class StartsWayTest : public ::testing::TestWithParam<Way> {};

TEST_P(StartsWayTest, ResultsDoNotDependOnTheSplit) {
  const auto objective = Valley(kInfinity, 2);
  const FitOptions options = OptionsOf(GetParam(), *objective, 64);
  const std::vector<StartResult> whole = RunToEnd(*Make(objective, options, 0, 64));
  std::vector<StartResult> pieces;
  for (int64_t first = 0; first < 64; first += 8) {
    const std::vector<StartResult> some = RunToEnd(*Make(objective, options, first, 8));
    pieces.insert(pieces.end(), some.begin(), some.end());
  }
  EXPECT_EQ(SaveResults(whole), SaveResults(pieces));
  for (int64_t i = 0; i < 64; ++i) EXPECT_EQ(whole[i].index, i);
}

TEST_P(StartsWayTest, GoesOnFromEveryRoundWithTheSameBits) {
  const auto objective = Valley(kInfinity, 2);
  const FitOptions options = OptionsOf(GetParam(), *objective, 5);
  const std::string unbroken = SaveResults(RunToEnd(*Make(objective, options, 2, 3)));
  std::unique_ptr<Starts> running = Make(objective, options, 2, 3);
  int rounds = 0;
  for (; !running->done(); ++rounds) {
    const std::string state = running->Save();
    std::unique_ptr<Starts> resumed = Starts::Restore(objective, options, 2, 3, state).value();
    EXPECT_EQ(resumed->Save(), state);
    EXPECT_EQ(SaveResults(RunToEnd(*resumed)), unbroken) << "round " << rounds;
    ASSERT_TRUE(running->Advance(kNeverStops, no_workers).ok());
  }
  EXPECT_GE(rounds, 10);
  // What has ended is restored too.
  std::unique_ptr<Starts> ended =
      Starts::Restore(objective, options, 2, 3, running->Save()).value();
  EXPECT_TRUE(ended->done());
  EXPECT_EQ(SaveResults(ended->results()), unbroken);
}

INSTANTIATE_TEST_SUITE_P(Ways, StartsWayTest, ::testing::ValuesIn(kWays),
                         [](const auto& info) { return info.param.name; });

TEST(StartsTest, DrawsOnePointInEverySliceOfTheBox) {
  const auto objective = Valley();
  FitOptions options;
  options.starts = 33;
  options.seed = 5;
  const std::vector<double> points = DrawStarts(*objective, options);
  ASSERT_EQ(points.size(), 66u);
  EXPECT_EQ(points[0], -1.2);
  EXPECT_EQ(points[1], 1);
  for (int j = 0; j < 2; ++j) {
    const double lower = objective->box().lower[j], upper = objective->box().upper[j];
    std::set<int> slices;
    for (int i = 1; i < 33; ++i) {
      slices.insert(static_cast<int>((points[2 * i + j] - lower) / (upper - lower) * 32));
    }
    EXPECT_EQ(slices.size(), 32u);
    EXPECT_EQ(*slices.begin(), 0);
    EXPECT_EQ(*slices.rbegin(), 31);
  }
  EXPECT_EQ(DrawStarts(*objective, options), points);
  options.seed = 6;
  EXPECT_NE(DrawStarts(*objective, options), points);
}

TEST(StartsTest, DrawsAroundTheStartWhereBoundsAreInfinite) {
  const FakeObjective objective(
      {Element("open", 5), Element("small", 0.1), Element("half", 5, 4.5, kInfinity),
       Element("log", 100, 1e-9, kInfinity, Scale::kLog10),
       Element("logit", 3, 2, 4, Scale::kLogit), Element("held", 2, 2, 2)},
      testing::LinearModel({}, {}));
  FitOptions options;
  options.starts = 1001;
  const std::vector<double> points = DrawStarts(objective, options);
  std::vector<double> lower(6, kInfinity), upper(6, -kInfinity);
  for (int i = 1; i < 1001; ++i) {
    const std::vector<double> natural =
        objective.ToNatural(absl::MakeConstSpan(points).subspan(6 * i, 6));
    for (int j = 0; j < 6; ++j) {
      lower[j] = std::min(lower[j], natural[j]);
      upper[j] = std::max(upper[j], natural[j]);
    }
  }
  EXPECT_NEAR(lower[0], 0, 0.02);
  EXPECT_NEAR(upper[0], 10, 0.02);
  EXPECT_NEAR(lower[1], -0.9, 0.01);
  EXPECT_NEAR(upper[1], 1.1, 0.01);
  EXPECT_NEAR(lower[2], 4.5, 0.02);
  EXPECT_NEAR(upper[2], 10, 0.02);
  EXPECT_GE(lower[3], 1e-9);
  EXPECT_NEAR(upper[3], 1000, 20);
  EXPECT_NEAR(lower[4], 2.002, 0.003);
  EXPECT_NEAR(upper[4], 3.998, 0.003);
  EXPECT_EQ(lower[5], 2);
  EXPECT_EQ(upper[5], 2);
}

TEST(StartsTest, NuisanceElementsAreNotDrawn) {
  FreeElement sigma = Element("sigma", 0.5, 1e-6, 1e6, Scale::kLog10);
  sigma.nuisance = true;
  const FakeObjective objective({Element("x", 1, 0, 2), sigma}, testing::LinearModel({}, {}));
  FitOptions options;
  options.starts = 5;
  const std::vector<double> points = DrawStarts(objective, options);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(points[2 * i + 1], std::log10(0.5));
  EXPECT_NE(points[2], points[4]);
}

TEST(StartsTest, SeedsDifferBetweenStarts) {
  std::set<uint64_t> seeds;
  for (uint64_t seed = 0; seed < 100; ++seed) {
    for (int64_t index = 0; index < 100; ++index) seeds.insert(StartSeed(seed, index));
  }
  EXPECT_EQ(seeds.size(), 10'000u);
}

// Half of the box lies behind the wall: what starts there ends with a reason, the others arrive.
TEST(StartsTest, AStartThatDivergesIsTypedAndTheOthersGoOn) {
  const auto objective = Valley(2.5);
  const FitOptions options = OptionsOf(kWays[0], *objective, 40);
  const std::vector<StartResult> results = RunToEnd(*Make(objective, options, 0, 40));
  int64_t diverged = 0, arrived = 0;
  for (const StartResult& result : results) {
    const bool behind = result.start_values[1] > 2.5;
    EXPECT_EQ(result.outcome == optimise::Outcome::kDiverged, behind) << result.index;
    if (behind) {
      ++diverged;
      EXPECT_EQ(result.objective, kInfinity);
      EXPECT_THAT(result.detail, HasSubstr("The model ran into the wall"));
      EXPECT_EQ(result.values, result.start_values);
    } else if (result.outcome == optimise::Outcome::kConverged) {
      ++arrived;
      EXPECT_NEAR(result.values[0], 1, 1e-6);
      EXPECT_NEAR(result.values[1], 1, 1e-6);
    }
  }
  EXPECT_NEAR(diverged, 20, 5);
  // Some may be held up at the wall.
  EXPECT_GE(arrived, 40 - diverged - 3);
}

TEST(StartsTest, ResultsSayHowTheWayWas) {
  const auto objective = Valley();
  const FitOptions options = OptionsOf(kWays[0], *objective, 1);
  std::unique_ptr<Starts> starts = Make(objective, options, 0, 1);
  EXPECT_EQ(starts->progress()[0].outcome, optimise::Outcome::kRunning);
  const StartResult result = RunToEnd(*starts)[0];
  EXPECT_EQ(result.start_values, (std::vector<double>{-1.2, 1}));
  EXPECT_EQ(result.evaluations, objective->evaluations());
  ASSERT_EQ(static_cast<int64_t>(result.trace.size()), result.iterations + 1);
  EXPECT_NEAR(result.trace.front(), 0.5 * 24.2, 1e-12);
  EXPECT_EQ(result.trace.back(), result.objective);
  EXPECT_TRUE(std::is_sorted(result.trace.rbegin(), result.trace.rend()));
  const StartProgress progress = starts->progress()[0];
  EXPECT_EQ(progress.iteration, result.iterations);
  EXPECT_EQ(progress.objective, result.objective);
  EXPECT_EQ(progress.outcome, result.outcome);
}

// An answer of 20,000 residuals by 40 elements is 6.5 MB: rounds of many starts are cut.
TEST(StartsTest, RoundsAreCutWhereAnswersAreLarge) {
  std::vector<FreeElement> elements;
  for (int j = 0; j < 40; ++j) elements.push_back(Element("e" + std::to_string(j), 1, 0, 2));
  const auto objective =
      std::make_shared<FakeObjective>(elements, [](const std::vector<double>& v) {
        testing::Residuals r;
        r.s.assign(20'000, 1.0);
        r.jacobian.assign(20'000 * v.size(), 0.0);
        return r;
      });
  const FitOptions options = OptionsOf(kWays[0], *objective, 80);
  std::unique_ptr<Starts> starts = Make(objective, options, 0, 80);
  ASSERT_TRUE(starts->Advance(kNeverStops, no_workers).ok());
  EXPECT_EQ(objective->evaluations(), 80);
  EXPECT_EQ(objective->largest_group(), 64);
}

TEST(StartsTest, AsksFewerAtOnceWhereThereIsNoMemoryForAll) {
  const auto objective = std::make_shared<FakeObjective>(
      std::vector<FreeElement>{Element("x", -1.2, -3, 3), Element("y", 1, -3, 8)}, ValleyModel());
  const FitOptions options = OptionsOf(kWays[0], *objective, 10);
  const std::string unbounded = SaveResults(RunToEnd(*Make(objective, options, 0, 10)));
  objective->set_memory_for(3);
  EXPECT_EQ(SaveResults(RunToEnd(*Make(objective, options, 0, 10))), unbounded);
  objective->set_memory_for(0);
  EXPECT_EQ(Make(objective, options, 0, 10)->Advance(kNeverStops, no_workers).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(StartsTest, GoesOnAfterItWasStopped) {
  const auto objective = Valley();
  const FitOptions options = OptionsOf(kWays[0], *objective, 4);
  const std::string unbroken = SaveResults(RunToEnd(*Make(objective, options, 0, 4)));
  std::unique_ptr<Starts> starts = Make(objective, options, 0, 4);
  ASSERT_TRUE(starts->Advance(kNeverStops, no_workers).ok());
  const std::string state = starts->Save();
  Cancellation cancellation;
  cancellation.Cancel(Cancellation::Reason::kShuttingDown);
  StopSource stop;
  stop.cancellation = &cancellation;
  EXPECT_EQ(starts->Advance(stop, no_workers).code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(starts->Save(), state);
  EXPECT_EQ(SaveResults(RunToEnd(*starts)), unbroken);
}

TEST(StartsTest, RefusesTheStateOfOthers) {
  const auto objective = Valley();
  const FitOptions options = OptionsOf(kWays[0], *objective, 8);
  const std::string state = Make(objective, options, 0, 4)->Save();
  const auto code = [&](std::shared_ptr<const Objective> of, const FitOptions& with, int64_t first,
                        int64_t count, const std::string& bytes) {
    return Starts::Restore(std::move(of), with, first, count, bytes).status().code();
  };
  EXPECT_EQ(code(objective, options, 0, 4, state), absl::StatusCode::kOk);
  EXPECT_EQ(code(objective, options, 4, 4, state), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code(objective, options, 0, 8, state), absl::StatusCode::kDataLoss);
  FitOptions other = options;
  other.seed = 8;
  EXPECT_EQ(code(objective, other, 0, 4, state), absl::StatusCode::kDataLoss);
  other = OptionsOf(kWays[1], *objective, 8);
  EXPECT_EQ(code(objective, other, 0, 4, state), absl::StatusCode::kDataLoss);
  const auto narrower = std::make_shared<FakeObjective>(
      std::vector<FreeElement>{Element("x", -1.2, -3, 2), Element("y", 1, -3, 8)}, ValleyModel());
  EXPECT_EQ(code(narrower, options, 0, 4, state), absl::StatusCode::kDataLoss);
  EXPECT_EQ(code(objective, options, 0, 4, state + "x"), absl::StatusCode::kDataLoss);
  for (size_t size = 0; size < state.size(); size += 7) {
    EXPECT_EQ(code(objective, options, 0, 4, state.substr(0, size)), absl::StatusCode::kDataLoss);
  }
}

}  // namespace
}  // namespace costate::fit
