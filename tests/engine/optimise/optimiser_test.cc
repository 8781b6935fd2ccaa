// The contract of every method: what is asked lies in the box, is the same in every run and after
// every restoration, and every search ends with a reason.
#include "engine/optimise/optimiser.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "engine/base/field_error.h"
#include "engine/optimise/random.h"
#include "engine/optimise/state_bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/optimise/test_problems.h"

namespace costate::optimise {
namespace {

using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Case {
  std::string name;
  OptimiserOptions options;
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

std::vector<Case> Cases() {
  std::vector<Case> cases;
  OptimiserOptions options;
  options.max_iterations = 120;
  options.num_parts = 3;
  options.seed = 7;
  options.algorithm = Algorithm::kLevenbergMarquardt;
  cases.push_back({"LevenbergMarquardt", options});
  options.algorithm = Algorithm::kLbfgsb;
  cases.push_back({"Lbfgsb", options});
  options.algorithm = Algorithm::kAdam;
  options.learning_rate = 0.05;
  cases.push_back({"Adam", options});
  options.algorithm = Algorithm::kAdamW;
  options.batch_size = 2;
  options.clip_norm = 1.0;
  options.schedule = {Schedule::Kind::kCosine, 0.1, 5};
  cases.push_back({"AdamWInBatches", options});
  options.algorithm = Algorithm::kNlopt;
  for (const char* name : {"LN_BOBYQA", "LN_COBYLA", "LN_NELDERMEAD", "LN_PRAXIS", "LN_SBPLX",

                           "GN_CRS2_LM", "GN_DIRECT", "GN_DIRECT_L", "GN_DIRECT_L_NOSCAL",
                           "GN_DIRECT_L_RAND", "GN_DIRECT_L_RAND_NOSCAL", "GN_DIRECT_NOSCAL",
                           "GN_ESCH", "GN_ISRES", "GN_MLSL", "GN_MLSL_LDS"}) {
    options.nlopt_algorithm = name;
    cases.push_back({name, options});
  }
  return cases;
}

// Six elements of which one is fixed, in a box that holds the minimum on a bound.
const Box kBox = {{-2, -2, -1.5, 0.75, -3, -3}, {2, 2, 0.5, 0.75, 3, 0.25}};
const std::vector<double> kStart = {-1.2, 1, -1.2, 1, 1.5, -1};

bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](double x, double y) {
    return std::bit_cast<uint64_t>(x) == std::bit_cast<uint64_t>(y);
  });
}

void ExpectSameRun(const Course& a, const Course& b) {
  ASSERT_EQ(a.questions.size(), b.questions.size());
  for (size_t i = 0; i < a.questions.size(); ++i) {
    ASSERT_TRUE(SameBits(a.questions[i].point, b.questions[i].point)) << "question " << i;
    EXPECT_EQ(a.questions[i].wanted, b.questions[i].wanted);
    EXPECT_EQ(a.questions[i].parts, b.questions[i].parts);
    EXPECT_EQ(a.states[i], b.states[i]) << "before question " << i;
  }
  EXPECT_EQ(a.states.back(), b.states.back());
  EXPECT_EQ(a.progress.outcome, b.progress.outcome);
  EXPECT_EQ(a.progress.detail, b.progress.detail);
  EXPECT_TRUE(SameBits(a.progress.best, b.progress.best));
  EXPECT_TRUE(SameBits(a.progress.trace, b.progress.trace));
}

void ExpectSoundEnd(const Course& run, const OptimiserOptions& options) {
  const Progress& p = run.progress;
  EXPECT_NE(p.outcome, Outcome::kRunning);
  EXPECT_THAT(p.detail, testing::EndsWith("."));
  EXPECT_EQ(p.evaluations, static_cast<int64_t>(run.questions.size()));
  EXPECT_EQ(p.trace.size(), static_cast<size_t>(p.iteration) + 1);
  EXPECT_TRUE(std::is_sorted(p.trace.rbegin(), p.trace.rend()));
  EXPECT_EQ(p.trace.back(), p.value);
  EXPECT_LE(p.iteration, options.max_iterations);
}

class OptimiserTest : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Methods, OptimiserTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

TEST_P(OptimiserTest, FindsLowerValuesAndEndsWithReason) {
  const OptimiserOptions& options = GetParam().options;
  const LeastSquares objective = Rosenbrock(6);
  const Course run = RunToEnd(options, kBox, kStart, objective);
  ExpectSoundEnd(run, options);
  const double first = objective({kStart, Wanted::kValue}).value;
  EXPECT_LT(run.progress.value, first / 4);
  EXPECT_EQ(run.progress.value, objective({run.progress.best, Wanted::kValue}).value);
}

TEST_P(OptimiserTest, SameQuestionsInEveryRun) {
  const OptimiserOptions& options = GetParam().options;
  ExpectSameRun(RunToEnd(options, kBox, kStart, Rosenbrock(6)),
                RunToEnd(options, kBox, kStart, Rosenbrock(6)));
}

TEST_P(OptimiserTest, RestoredSearchGoesOnWithTheSameBits) {
  const OptimiserOptions& options = GetParam().options;
  const LeastSquares rosenbrock = Rosenbrock(6);
  // With failures on the way, so that their handling is among what is restored.
  const Objective objective = [&](const Question& question) {
    if (question.point[0] > 0.3 && question.point[0] < 0.6) return Answer{};
    return rosenbrock(question);
  };
  const Course unbroken = RunToEnd(options, kBox, kStart, objective);
  for (const int64_t every : {1, 2, 7}) {
    SCOPED_TRACE(every);
    ExpectSameRun(unbroken, RunToEnd(options, kBox, kStart, objective, every));
  }
  // What has ended is restored as ended.
  const auto ended = RestoreOptimiser(options, kBox, unbroken.states.back());
  ASSERT_TRUE(ended.ok()) << ended.status();
  EXPECT_TRUE((*ended)->done());
  EXPECT_EQ((*ended)->progress().detail, unbroken.progress.detail);
}

TEST_P(OptimiserTest, FixedElementsStay) {
  for (const Question& question :
       RunToEnd(GetParam().options, kBox, kStart, Rosenbrock(6)).questions) {
    EXPECT_EQ(question.point[3], 0.75);
  }
}

TEST_P(OptimiserTest, EndsAtOnceWhereEverythingIsFixed) {
  const Box box = {{1, 2, 1, 2, 1, 2}, {1, 2, 1, 2, 1, 2}};
  const Course run = RunToEnd(GetParam().options, box, kStart, Rosenbrock(6));
  EXPECT_EQ(run.progress.outcome,
            GetParam().name == "AdamWInBatches" ? Outcome::kMaxIterations : Outcome::kConverged);
  EXPECT_EQ(run.progress.best, box.lower);
}

TEST_P(OptimiserTest, StartIsMovedIntoTheBox) {
  const std::vector<double> far = {-50, 50, -50, 50, 50, std::nan("")};
  ExpectSoundEnd(RunToEnd(GetParam().options, kBox, far, Rosenbrock(6)), GetParam().options);
}

TEST_P(OptimiserTest, StopsAtTheLimit) {
  OptimiserOptions options = GetParam().options;
  for (const int64_t limit : {1, 3}) {
    options.max_iterations = limit;
    const Course run = RunToEnd(options, kBox, kStart, Rosenbrock(6));
    EXPECT_LE(run.progress.iteration, limit);
    EXPECT_EQ(run.progress.outcome, Outcome::kMaxIterations) << run.progress.detail;
  }
}

TEST_P(OptimiserTest, DivergesWhereNothingIsFinite) {
  const Course run =
      RunToEnd(GetParam().options, kBox, kStart, [](const Question&) { return Answer{}; });
  ExpectSoundEnd(run, GetParam().options);
  EXPECT_EQ(run.progress.outcome, Outcome::kDiverged);
  EXPECT_EQ(run.progress.value, kInfinity);
  EXPECT_TRUE(SameBits(run.progress.best, kStart) || run.progress.best[3] == 0.75);
}

TEST_P(OptimiserTest, EndsWhereOnlyTheStartIsFinite) {
  const LeastSquares rosenbrock = Rosenbrock(6);
  int64_t asked = 0;
  const Course run = RunToEnd(GetParam().options, kBox, kStart, [&](const Question& question) {
    return asked++ == 0 ? rosenbrock(question) : Answer{};
  });
  ExpectSoundEnd(run, GetParam().options);
  EXPECT_TRUE(std::isfinite(run.progress.value));
  EXPECT_NE(run.progress.outcome, Outcome::kConverged) << run.progress.detail;
}

TEST_P(OptimiserTest, GoesOnWhereSomeAnswersFail) {
  const LeastSquares rosenbrock = Rosenbrock(6);
  int64_t asked = 0;
  const Course run = RunToEnd(GetParam().options, kBox, kStart, [&](const Question& question) {
    return ++asked % 3 == 0 ? Answer{} : rosenbrock(question);
  });
  ExpectSoundEnd(run, GetParam().options);
  EXPECT_LT(run.progress.value, rosenbrock({kStart, Wanted::kValue}).value);
}

TEST_P(OptimiserTest, AnswersThatAreNotFiniteThroughoutCountAsFailed) {
  const LeastSquares rosenbrock = Rosenbrock(6);
  int64_t asked = 0;
  const Course run = RunToEnd(GetParam().options, kBox, kStart, [&](const Question& question) {
    Answer answer = rosenbrock(question);
    if (++asked % 4 == 0) {
      for (double& g : answer.gradient) g = std::nan("");
      for (double& j : answer.jacobian) j = kInfinity;
    }
    if (asked % 5 == 0) answer.value = std::nan("");
    return answer;
  });
  ExpectSoundEnd(run, GetParam().options);
  EXPECT_TRUE(std::isfinite(run.progress.value));
}

TEST_P(OptimiserTest, AbandonedSearchesEnd) {
  for (int questions = 0; questions < 40; questions += 3) {
    auto optimiser = MakeOptimiser(GetParam().options, kBox, kStart);
    ASSERT_TRUE(optimiser.ok());
    const LeastSquares objective = Rosenbrock(6);
    for (int i = 0; i < questions && !(*optimiser)->done(); ++i) {
      (*optimiser)->Tell(objective((*optimiser)->question()));
    }
  }
}

// ---- damaged states -------------------------------------------------------------------------

TEST_P(OptimiserTest, DamagedStatesAreRefused) {
  const OptimiserOptions& options = GetParam().options;
  const Course run = RunToEnd(options, kBox, kStart, Rosenbrock(6));
  RandomStream random(1);
  for (int i = 0; i < 400; ++i) {
    std::string state = run.states[random.Below(run.states.size())];
    if (i % 2 == 0) {
      state.resize(random.Below(state.size()));
    } else {
      state[random.Below(state.size())] ^= static_cast<char>(1 << random.Below(8));
    }
    const auto restored = RestoreOptimiser(options, kBox, state);
    ASSERT_FALSE(restored.ok());
    EXPECT_EQ(restored.status().code(), absl::StatusCode::kDataLoss);
  }
}

// The checksum of states, so that what is behind it is reached.
std::string Sealed(std::string content) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : content) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  StateWriter writer;
  writer.Int(static_cast<int64_t>(hash));
  return content + writer.Take();
}

TEST_P(OptimiserTest, DamageBehindTheChecksumDoesNotCrash) {
  const OptimiserOptions& options = GetParam().options;
  const Course run = RunToEnd(options, kBox, kStart, Rosenbrock(6));
  const std::string whole = run.states[run.states.size() / 2];
  ASSERT_EQ(Sealed(whole.substr(0, whole.size() - 8)), whole);
  RandomStream random(2);
  for (int i = 0; i < 400; ++i) {
    std::string content = whole.substr(0, whole.size() - 8);
    if (i % 4 == 0) content.resize(random.Below(content.size()));
    for (int flips = i % 4; flips > 0 && !content.empty(); --flips) {
      content[random.Below(content.size())] ^= static_cast<char>(1 << random.Below(8));
    }
    const auto restored = RestoreOptimiser(options, kBox, Sealed(content));
    if (!restored.ok()) {
      EXPECT_EQ(restored.status().code(), absl::StatusCode::kDataLoss);
    }
  }
}

TEST_P(OptimiserTest, StatesOfOthersAreRefused) {
  const OptimiserOptions& options = GetParam().options;
  const auto optimiser = MakeOptimiser(options, kBox, kStart);
  ASSERT_TRUE(optimiser.ok());
  const std::string state = (*optimiser)->Save();
  OptimiserOptions other = options;
  other.algorithm = options.algorithm == Algorithm::kAdam ? Algorithm::kLbfgsb : Algorithm::kAdam;
  EXPECT_EQ(RestoreOptimiser(other, kBox, state).status().code(), absl::StatusCode::kDataLoss);
  Box wider = kBox;
  wider.lower.push_back(0);
  wider.upper.push_back(1);
  EXPECT_EQ(RestoreOptimiser(options, wider, state).status().code(), absl::StatusCode::kDataLoss);
  Box elsewhere = kBox;
  for (double& v : elsewhere.lower) v += 100;
  for (double& v : elsewhere.upper) v += 100;
  EXPECT_EQ(RestoreOptimiser(options, elsewhere, state).status().code(),
            absl::StatusCode::kDataLoss);
  // Version 2.
  std::string later = state.substr(0, state.size() - 8);
  later[0] = 2;
  const absl::Status status = RestoreOptimiser(options, kBox, Sealed(later)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("version 2"));
}

// ---- options --------------------------------------------------------------------------------

std::string FieldAtFault(const OptimiserOptions& options) {
  const absl::Status status = ValidateOptions(options);
  if (status.ok()) return "";
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  return FieldOf(status).value_or("none");
}

TEST(ValidateOptionsTest, NamesTheFieldAtFault) {
  const OptimiserOptions sound = {.algorithm = Algorithm::kAdam};
  EXPECT_EQ(FieldAtFault(sound), "");
  struct Fault {
    std::string field;
    std::function<void(OptimiserOptions&)> make;
  };
  const double nan = std::nan("");
  const std::vector<Fault> faults = {
      {"max_iterations", [](auto& o) { o.max_iterations = 0; }},
      {"function_tolerance", [](auto& o) { o.function_tolerance = -1e-9; }},
      {"gradient_tolerance", [&](auto& o) { o.gradient_tolerance = nan; }},
      {"step_tolerance", [](auto& o) { o.step_tolerance = kInfinity; }},
      {"learning_rate", [](auto& o) { o.learning_rate = 0; }},
      {"weight_decay", [](auto& o) { o.weight_decay = -1; }},
      {"beta1", [](auto& o) { o.beta1 = 1; }},
      {"beta2", [](auto& o) { o.beta2 = -0.1; }},
      {"epsilon", [](auto& o) { o.epsilon = 0; }},
      {"clip_norm", [](auto& o) { o.clip_norm = 0; }},
      {"schedule.decay", [](auto& o) { o.schedule.decay = 1.5; }},
      {"schedule.warmup", [](auto& o) { o.schedule.warmup = -1; }},
      {"batch_size", [](auto& o) { o.batch_size = 2; }},
      {"nlopt_algorithm", [](auto& o) { o.algorithm = Algorithm::kNlopt; }},
  };
  for (const Fault& fault : faults) {
    OptimiserOptions options = sound;
    fault.make(options);
    EXPECT_EQ(FieldAtFault(options), fault.field);
  }
}

}  // namespace
}  // namespace costate::optimise
