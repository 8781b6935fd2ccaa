// What full error control of tangents does to the steps, on problems with known answers.
#include "engine/gradients/tangent_companion.h"

#include <cmath>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/gradients/template_field.h"

namespace costate {
namespace {

using ::costate::testing::TemplateField;

// x' = 0, s' = x sin(10 t): the state is constant where x = 0, but ds/dx = (1 - cos 10 t)/10.
struct HiddenTangent {
  static constexpr int kStates = 2, kParams = 0;
  template <typename S>
  static void Eval(S t, const S* y, const S*, S* dy) {
    using std::sin;
    dy[0] = S(0.0) * y[0];
    dy[1] = y[0] * sin(S(10.0) * t);
  }
};

struct HiddenRun {
  TangentResult result;
  Trajectory plain;
};

HiddenRun SolveHidden(TangentControl control, std::vector<double> scale, double rtol) {
  static const TemplateField<HiddenTangent> field;
  static const double t0 = 0, t1 = 3, y0[2] = {0, 0};
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&t1, 1);
  problem.y0 = y0;
  SolveOptions options;
  options.control.rtol = rtol;
  options.control.atol = {rtol};
  TangentSeeds seeds;
  seeds.num_columns = static_cast<int64_t>(scale.size());
  seeds.initial.assign(2 * scale.size(), 0.0);
  std::fill_n(seeds.initial.begin(), scale.size(), 1.0);
  seeds.scale = std::move(scale);
  auto with = SolveWithTangents(problem, options, seeds, control);
  auto plain = Integrate(problem, options);
  EXPECT_TRUE(with.ok() && plain.ok());
  return {*std::move(with), std::move((*plain)[0])};
}

const double kExact = (1 - std::cos(30.0)) / 10;

TEST(TangentControl, PrimalOnlyMissesATangentTheStateDoesNotShow) {
  const HiddenRun run = SolveHidden(TangentControl::kPrimalOnly, {1}, 1e-8);
  EXPECT_EQ(run.result.trajectory.stats.accepted_steps, run.plain.stats.accepted_steps);
  EXPECT_GT(std::fabs(run.result.terminal[1] - kExact), 1e-3);
  // The report gives it away.
  EXPECT_GT(run.result.stats.max_error_ratio, 1e3);
  EXPECT_GT(run.result.stats.share_above_one, 0);
}

TEST(TangentControl, FullFindsIt) {
  const HiddenRun run = SolveHidden(TangentControl::kFull, {1}, 1e-8);
  EXPECT_GT(run.result.trajectory.stats.accepted_steps, run.plain.stats.accepted_steps);
  EXPECT_NEAR(run.result.terminal[1], kExact, 1e-7);
  EXPECT_LE(run.result.stats.max_error_ratio, 1);
  EXPECT_GT(run.result.stats.max_error_ratio, 0.1);
  EXPECT_LE(run.result.stats.error_ratio_quantile90, run.result.stats.max_error_ratio);
  EXPECT_EQ(run.result.stats.share_above_one, 0);
  EXPECT_GT(run.result.stats.jvp_evaluations, 0);
}

TEST(TangentControl, FollowsTheTolerance) {
  const HiddenRun loose = SolveHidden(TangentControl::kFull, {1}, 1e-4);
  const HiddenRun tight = SolveHidden(TangentControl::kFull, {1}, 1e-9);
  EXPECT_GT(tight.result.trajectory.stats.accepted_steps,
            3 * loose.result.trajectory.stats.accepted_steps);
  EXPECT_LT(std::fabs(tight.result.terminal[1] - kExact), 1e-8);
}

TEST(TangentControl, AbsoluteToleranceIsPerUnitOfScale) {
  // A parameter of size 1e3 has tangents 1e3 times smaller per unit, so they are held tighter.
  const HiddenRun unit = SolveHidden(TangentControl::kFull, {1}, 1e-5);
  const HiddenRun large = SolveHidden(TangentControl::kFull, {1e3}, 1e-5);
  EXPECT_GT(large.result.trajectory.stats.accepted_steps,
            unit.result.trajectory.stats.accepted_steps);
}

TEST(TangentControl, TheWorstColumnDecides) {
  const HiddenRun large = SolveHidden(TangentControl::kFull, {1e3}, 1e-5);
  std::vector<double> scales(11, 1.0);  // three blocks of four lanes
  scales[9] = 1e3;
  const HiddenRun mixed = SolveHidden(TangentControl::kFull, scales, 1e-5);
  EXPECT_EQ(mixed.result.trajectory.stats.accepted_steps,
            large.result.trajectory.stats.accepted_steps);
  EXPECT_EQ(mixed.result.trajectory.stats.rejected_steps,
            large.result.trajectory.stats.rejected_steps);
  EXPECT_EQ(mixed.result.terminal[11 + 9], large.result.terminal[1]);
}

// HiddenTangent, which cancels after a number of blocks of tangents.
class CancelsItself : public DifferentiableMap {
 public:
  CancelsItself(Cancellation* cancellation, int64_t* calls_left)
      : context_{inner_.Get(MapKernel::kTangentBlock, inner_.simd_lanes()).value(), cancellation,
                 calls_left} {}
  int64_t num_states() const override { return inner_.num_states(); }
  int64_t num_params() const override { return inner_.num_params(); }
  int64_t num_values() const override { return inner_.num_values(); }
  int simd_lanes() const override { return inner_.simd_lanes(); }
  absl::StatusOr<Kernel> Get(MapKernel kind, int lanes) const override {
    if (kind != MapKernel::kTangentBlock) return inner_.Get(kind, lanes);
    return Kernel(&Run, &context_, nullptr, lanes, context_.kernel.scratch_size());
  }

 private:
  struct Context {
    Kernel kernel;
    Cancellation* cancellation;
    int64_t* calls_left;
  };
  static void Run(const void* context, const double* const* in, double* const* out,
                  double* scratch) {
    const Context& c = *static_cast<const Context*>(context);
    if (--*c.calls_left == 0) c.cancellation->Cancel(Cancellation::Reason::kClientCancelled);
    c.kernel(in, out, scratch);
  }
  const TemplateField<HiddenTangent> inner_;
  const Context context_;
};

// 400 columns are 100 blocks of 4 lanes: a step that is cancelled in the first of them does not
// finish the others, also when it is the last step, and what is not whole is NaN.
TEST(TangentCompanion, StopsBetweenBlocks) {
  for (const TangentControl control : {TangentControl::kFull, TangentControl::kPrimalOnly}) {
    for (const bool one_step : {false, true}) {
      Cancellation cancellation;
      int64_t calls_left = 3;
      const CancelsItself field(&cancellation, &calls_left);
      const double t0 = 0, t1 = 3, y0[2] = {1, 0};
      Problem problem;
      problem.field = &field;
      problem.t0 = absl::MakeConstSpan(&t0, 1);
      problem.t1 = absl::MakeConstSpan(&t1, 1);
      problem.y0 = y0;
      SolveOptions options;
      options.save.kind = SaveAt::Kind::kTimes;
      options.save.times = {0, 3};
      if (one_step) {
        options.control.kind = StepControl::Kind::kGrid;
        options.control.grid = {0, 3};
      }
      TangentSeeds seeds;
      seeds.num_columns = 400;
      seeds.initial.assign(800, 1.0);
      seeds.scale.assign(400, 1.0);
      IntegrateHooks hooks;
      hooks.cancellation = &cancellation;
      const auto result = SolveWithTangents(problem, options, seeds, control, hooks);
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_GT(calls_left, -10);  // the block in hand
      EXPECT_EQ(result->trajectory.termination.reason, Termination::Reason::kCancelled);
      EXPECT_THAT(result->terminal, ::testing::Each(::testing::IsNan()));
      EXPECT_EQ(result->tangents[0], 1.0);
      EXPECT_TRUE(std::isnan(result->tangents.back()));
    }
  }
}

// A field of which only the size is looked at.
class Vast : public DifferentiableMap {
 public:
  int64_t num_states() const override { return 1 << 20; }
  int64_t num_params() const override { return 0; }
  int64_t num_values() const override { return 1 << 20; }
  int simd_lanes() const override { return 1; }
  absl::StatusOr<Kernel> Get(MapKernel /*kind*/, int /*lanes*/) const override {
    return absl::UnimplementedError("too late");
  }
};

// 100 columns at one saved time are 0.8 GiB, and what carries them 10 GiB.
TEST(TangentCompanion, CountsTheColumnsItCarries) {
  const Vast field;
  const double t0 = 0, t1 = 1;
  Problem problem;
  problem.field = &field;
  problem.t0 = absl::MakeConstSpan(&t0, 1);
  problem.t1 = absl::MakeConstSpan(&t1, 1);
  TangentSeeds seeds;
  seeds.num_columns = 100;
  EXPECT_EQ(TangentCompanion::Create(problem, SolveOptions(), seeds, TangentControl::kFull)
                .status()
                .code(),
            absl::StatusCode::kResourceExhausted);
}

}  // namespace
}  // namespace costate
