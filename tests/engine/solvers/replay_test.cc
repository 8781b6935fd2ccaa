// Derivatives of recorded steps, against two witnesses that share no code with the replay: complex
// step differentiation of an independent Runge-Kutta step over std::complex, and transposition.
#include <malloc.h>

#include <complex>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "engine/solvers/integrate.h"
#include "engine/solvers/rk/erk.h"
#include "engine/solvers/stepper.h"
#include "gtest/gtest.h"
#include "tests/engine/solvers/solve_testing.h"
#include "tests/problems/generic_map.h"
#include "tests/problems/problems.h"

namespace costate {
namespace {

using Complex = std::complex<double>;

constexpr int kN = Tangle::kStates, kM = Tangle::kParams;
constexpr double kT = 0.4, kH = 0.13;

// Everything a step depends on, and what it gives, over any scalar.
struct Inputs {
  Complex t = kT, h = kH;
  std::vector<Complex> y = {0.9, -0.4, 0.7}, p = {1.1, 0.6, -0.8, 0.5};
};
struct Outputs {
  std::vector<Complex> y1, error;
  std::vector<std::vector<Complex>> saved;  // at fixed times
};

// One step as the formulas say, and values saved inside it at fixed times.
Outputs ReferenceStep(Method method, const Inputs& in, const std::vector<double>& times) {
  const rk::TableauView table = rk::GetTableau(method);
  std::vector<std::vector<Complex>> k;
  const auto combine = [&](const auto& weight, int rows) {
    std::vector<Complex> y = in.y;
    for (int j = 0; j < rows; ++j) {
      for (int e = 0; e < kN; ++e) y[e] += in.h * weight(j) * k[j][e];
    }
    return y;
  };
  for (int i = 0; i < table.rows; ++i) {
    const std::vector<Complex> y =
        combine([&](int j) { return Complex(table.a[i * table.rows + j]); }, i);
    k.emplace_back(kN);
    Tangle()(in.t + table.c[i] * in.h, y.data(), in.p.data(), k.back().data());
  }
  const int stages = table.info.stages;
  Outputs out;
  out.y1 = combine([&](int j) { return Complex(table.b[j]); }, stages);
  out.error = combine([&](int j) { return Complex(table.e[j]); }, stages);
  for (int e = 0; e < kN; ++e) out.error[e] -= in.y[e];
  for (const double time : times) {
    const Complex theta = (time - in.t) / in.h;
    out.saved.push_back(combine(
        [&](int j) {
          Complex sum = 0;
          for (int d = table.dense_degree - 1; d >= 0; --d) {
            sum = (sum + table.dense[j * table.dense_degree + d]) * theta;
          }
          return sum;
        },
        table.rows));
  }
  return out;
}

// Input number c: t, h, then y, then p.
constexpr int kInputs = 2 + kN + kM;
Complex& InputOf(Inputs& in, int c) {
  if (c == 0) return in.t;
  if (c == 1) return in.h;
  return c < 2 + kN ? in.y[c - 2] : in.p[c - 2 - kN];
}

// Imaginary parts over the step: derivatives with respect to every input, exact to rounding.
std::vector<Outputs> ReferenceDerivatives(Method method, const std::vector<double>& times) {
  constexpr double kTiny = 1e-100;
  std::vector<Outputs> columns;
  const auto imaginary = [](std::vector<Complex>& values) {
    for (Complex& value : values) value = value.imag() / kTiny;
  };
  for (int c = 0; c < kInputs; ++c) {
    Inputs in;
    InputOf(in, c) += Complex(0, kTiny);
    columns.push_back(ReferenceStep(method, in, times));
    imaginary(columns.back().y1);
    imaginary(columns.back().error);
    for (std::vector<Complex>& saved : columns.back().saved) imaginary(saved);
  }
  return columns;
}

// Values saved at these places of the step: inside it and at both ends.
const std::vector<double> kThetas = {0, 0.2, 0.55, 0.9, 1};

std::vector<double> SavedTimes() {
  std::vector<double> times;
  for (const double theta : kThetas) times.push_back(kT + theta * kH);
  return times;
}

class ReplayTest : public testing::TestWithParam<std::tuple<Method, int>> {
 protected:
  ReplayTest() {
    absl::StatusOr<std::unique_ptr<StepReplay>> made = MakeStepReplay(
        method, field, {.tangents = true, .cotangents = true, .cotangent_blocks = true});
    EXPECT_TRUE(made.ok()) << made.status();
    replay = *std::move(made);
    absl::StatusOr<std::unique_ptr<Stepper>> stepper = MakeStepper(method, field, 1);
    EXPECT_TRUE(stepper.ok());
    (*stepper)->Reset(0, kT, y.data(), p.data(), nullptr);
    const double t_next = kT + kH;
    (*stepper)->Step(&t_next);
    const int64_t size = GetMethodInfo(method).stages * kN;
    stages.assign((*stepper)->stages(), (*stepper)->stages() + size);
    y1.assign((*stepper)->y_new(), (*stepper)->y_new() + kN);
    step = {.t = kT, .h = t_next - kT, .t_next = t_next, .y = y.data(), .stages = stages.data()};
  }

  const Method method = std::get<0>(GetParam());
  const int lanes = std::get<1>(GetParam());
  const GenericMap<Tangle> field{Tangle(), lanes};
  const std::vector<double> y = {0.9, -0.4, 0.7}, p = {1.1, 0.6, -0.8, 0.5};
  std::vector<double> stages, y1;
  StepRecord step;
  std::unique_ptr<StepReplay> replay;
};

// All columns of the derivative, in blocks of `lanes`, each against the complex step.
TEST_P(ReplayTest, JvpMatchesComplexStep) {
  const std::vector<Outputs> reference = ReferenceDerivatives(method, SavedTimes());
  for (int first = 0; first < kInputs; first += lanes) {
    std::vector<double> d_t(lanes), d_h(lanes), d_y(kN * lanes), d_p(kM * lanes);
    for (int l = 0; l < lanes && first + l < kInputs; ++l) {
      const int c = first + l;
      double& seed = c == 0       ? d_t[l]
                     : c == 1     ? d_h[l]
                     : c < 2 + kN ? d_y[(c - 2) * lanes + l]
                                  : d_p[(c - 2 - kN) * lanes + l];
      seed = 1;
    }
    std::vector<double> d_y1(kN * lanes), d_error(kN * lanes), d_saved(kN * lanes);
    replay->Jvp(step, p.data(), d_t.data(), d_h.data(), d_y.data(), d_p.data(), d_y1.data(),
                d_error.data());
    for (int l = 0; l < lanes && first + l < kInputs; ++l) {
      const Outputs& expected = reference[first + l];
      for (int e = 0; e < kN; ++e) {
        EXPECT_NEAR(d_y1[e * lanes + l], expected.y1[e].real(), 1e-13) << "input " << first + l;
        EXPECT_NEAR(d_error[e * lanes + l], expected.error[e].real(), 1e-13)
            << "input " << first + l;
      }
    }
    for (size_t q = 0; q < kThetas.size(); ++q) {
      replay->JvpInterpolate(kThetas[q], d_saved.data());
      for (int l = 0; l < lanes && first + l < kInputs; ++l) {
        for (int e = 0; e < kN; ++e) {
          EXPECT_NEAR(d_saved[e * lanes + l], reference[first + l].saved[q][e].real(), 5e-12)
              << "input " << first + l << ", theta " << kThetas[q];
        }
      }
    }
  }
}

// Cotangents for the end point and for every saved value.
struct Cotangents {
  std::vector<double> y1;                  // [n]
  std::vector<std::vector<double>> saved;  // [thetas][n]
};

Cotangents RandomCotangents(int seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  Cotangents c{.y1 = std::vector<double>(kN), .saved = {}};
  for (double& x : c.y1) x = uniform(random);
  for (size_t q = 0; q < kThetas.size(); ++q) {
    c.saved.emplace_back(kN);
    for (double& x : c.saved.back()) x = uniform(random);
  }
  return c;
}

// sum over outputs of cotangent * derivative with respect to each input.
std::vector<double> Transposed(const std::vector<Outputs>& reference, const Cotangents& c,
                               bool with_saved) {
  std::vector<double> result;
  for (const Outputs& column : reference) {
    double sum = 0;
    for (int e = 0; e < kN; ++e) {
      sum += c.y1[e] * column.y1[e].real();
      for (size_t q = 0; with_saved && q < kThetas.size(); ++q) {
        sum += c.saved[q][e] * column.saved[q][e].real();
      }
    }
    result.push_back(sum);
  }
  return result;
}

TEST_P(ReplayTest, VjpIsTheTransposeOfTheComplexStep) {
  const std::vector<Outputs> reference = ReferenceDerivatives(method, SavedTimes());
  for (const bool with_saved : {false, true}) {
    const Cotangents c = RandomCotangents(1);
    const std::vector<double> expected = Transposed(reference, c, with_saved);
    std::vector<StepReplay::SavedCotangent> saved;
    for (size_t q = 0; with_saved && q < kThetas.size(); ++q) {
      saved.push_back({kThetas[q], c.saved[q].data()});
    }
    // Adds to what is there, and may write c_y over c_y1.
    std::vector<double> c_y = c.y1, c_p(kM, 10.0);
    double c_t = 10, c_h = 10;
    replay->Vjp(step, p.data(), c_y.data(), saved, c_y.data(), c_p.data(), &c_t, &c_h);
    EXPECT_NEAR(c_t - 10, expected[0], 2e-11);
    EXPECT_NEAR(c_h - 10, expected[1], 2e-11);
    for (int e = 0; e < kN; ++e) EXPECT_NEAR(c_y[e], expected[2 + e], 2e-11);
    for (int j = 0; j < kM; ++j) EXPECT_NEAR(c_p[j] - 10, expected[2 + kN + j], 2e-11);

    std::vector<double> c_y_only = c.y1, c_p_only(kM, 10.0);
    replay->Vjp(step, p.data(), c_y_only.data(), saved, c_y_only.data(), c_p_only.data(), nullptr,
                nullptr);
    EXPECT_TRUE(SameBits(c_y_only, c_y));
    EXPECT_TRUE(SameBits(c_p_only, c_p));
  }
}

TEST_P(ReplayTest, VjpOfTheEndNeedsNoDenseOutput) {
  const Cotangents c = RandomCotangents(2);
  std::vector<double> c_y(kN), c_p(kM);
  replay->Vjp(step, p.data(), c.y1.data(), {}, c_y.data(), c_p.data(), nullptr, nullptr);
  const MethodInfo& info = GetMethodInfo(method);
  EXPECT_EQ(replay->rhs_evaluations(), 0);
  // The last stage of the FSAL methods has weight 0.
  EXPECT_EQ(replay->vjp_evaluations(), info.fsal ? info.stages - 1 : info.stages);
}

TEST_P(ReplayTest, VjpBlockIsVjpPerColumn) {
  std::vector<double> block_y1(kN * lanes), block_y(kN * lanes), block_p(kM * lanes);
  std::vector<double> block_t(lanes), block_h(lanes);
  std::vector<std::vector<double>> block_saved(kThetas.size(), std::vector<double>(kN * lanes));
  std::vector<StepReplay::SavedCotangent> saved;
  for (size_t q = 0; q < kThetas.size(); ++q) saved.push_back({kThetas[q], block_saved[q].data()});
  for (int l = 0; l < lanes; ++l) {
    const Cotangents c = RandomCotangents(l);
    for (int e = 0; e < kN; ++e) {
      block_y1[e * lanes + l] = c.y1[e];
      for (size_t q = 0; q < kThetas.size(); ++q) block_saved[q][e * lanes + l] = c.saved[q][e];
    }
  }
  replay->VjpBlock(step, p.data(), block_y1.data(), saved, block_y.data(), block_p.data(),
                   block_t.data(), block_h.data());
  for (int l = 0; l < lanes; ++l) {
    const Cotangents c = RandomCotangents(l);
    std::vector<StepReplay::SavedCotangent> single;
    for (size_t q = 0; q < kThetas.size(); ++q) single.push_back({kThetas[q], c.saved[q].data()});
    std::vector<double> c_y(kN), c_p(kM);
    double c_t = 0, c_h = 0;
    replay->Vjp(step, p.data(), c.y1.data(), single, c_y.data(), c_p.data(), &c_t, &c_h);
    for (int e = 0; e < kN; ++e) EXPECT_EQ(block_y[e * lanes + l], c_y[e]);
    for (int j = 0; j < kM; ++j) EXPECT_EQ(block_p[j * lanes + l], c_p[j]);
    EXPECT_EQ(block_t[l], c_t);
    EXPECT_EQ(block_h[l], c_h);
  }
}

// Without recorded stages they are computed again, with the same bits; so is everything after.
TEST_P(ReplayTest, RecomputesStagesWithTheSameBits) {
  StepRecord bare = step;
  bare.stages = nullptr;
  const Cotangents c = RandomCotangents(3);
  const std::vector<StepReplay::SavedCotangent> saved = {{0.4, c.saved[0].data()}};
  std::vector<double> c_y[2] = {std::vector<double>(kN), std::vector<double>(kN)};
  std::vector<double> c_p[2] = {std::vector<double>(kM), std::vector<double>(kM)};
  double c_t[2] = {}, c_h[2] = {};
  for (int i = 0; i < 2; ++i) {
    replay->Vjp(i == 0 ? step : bare, p.data(), c.y1.data(), saved, c_y[i].data(), c_p[i].data(),
                &c_t[i], &c_h[i]);
  }
  EXPECT_TRUE(SameBits(c_y[0], c_y[1]));
  EXPECT_TRUE(SameBits(c_p[0], c_p[1]));
  EXPECT_EQ(c_t[0], c_t[1]);
  EXPECT_EQ(c_h[0], c_h[1]);
  EXPECT_GE(replay->rhs_evaluations(), GetMethodInfo(method).stages);
}

// The tangent of the last stage is that of the first one of the next step.
TEST_P(ReplayTest, FsalTangentsCarryOver) {
  if (!GetMethodInfo(method).fsal) return;
  std::vector<double> d_t(lanes), d_h(lanes, 0.5), d_y(kN * lanes, 1), d_p(kM * lanes, -0.3);
  std::vector<double> d_y1(kN * lanes), d_k(kN * lanes), plain(kN * lanes), carried(kN * lanes);
  replay->Jvp(step, p.data(), d_t.data(), d_h.data(), d_y.data(), d_p.data(), d_y1.data(), nullptr,
              nullptr, d_k.data());
  const StepRecord next = {
      .t = step.t_next, .h = 0.125, .t_next = step.t_next + 0.125, .y = y1.data()};
  const std::vector<double> zero(lanes);
  replay->Jvp(next, p.data(), d_h.data(), zero.data(), d_y1.data(), d_p.data(), plain.data(),
              nullptr);
  const int64_t before = replay->jvp_evaluations();
  replay->Jvp(next, p.data(), d_h.data(), zero.data(), d_y1.data(), d_p.data(), carried.data(),
              nullptr, d_k.data());
  EXPECT_EQ(replay->jvp_evaluations() - before, GetMethodInfo(method).stages - 1);
  for (int i = 0; i < kN * lanes; ++i) EXPECT_NEAR(carried[i], plain[i], 1e-14);
}

// The independent step gives the value of the recorded one.
TEST_P(ReplayTest, ReferenceStepIsTheStep) {
  const Outputs expected = ReferenceStep(method, Inputs(), {});
  for (int e = 0; e < kN; ++e) EXPECT_NEAR(y1[e], expected.y1[e].real(), 1e-15);
}

INSTANTIATE_TEST_SUITE_P(All, ReplayTest,
                         testing::Combine(testing::ValuesIn(RungeKuttaMethods().begin(),
                                                            RungeKuttaMethods().end()),
                                          testing::Values(1, 2, 4, 8)),
                         [](const auto& info) {
                           return std::string(GetMethodInfo(std::get<0>(info.param)).name) + "_W" +
                                  std::to_string(std::get<1>(info.param));
                         });

// A field of which only the size is looked at.
class Vast : public DifferentiableMap {
 public:
  static constexpr int64_t kSize = 1 << 20;
  int64_t num_states() const override { return kSize; }
  int64_t num_params() const override { return 0; }
  int64_t num_values() const override { return kSize; }
  int simd_lanes() const override { return 8; }
  absl::StatusOr<Kernel> Get(MapKernel /*kind*/, int lanes) const override {
    return Kernel(&Nothing, nullptr, nullptr, lanes, 0);
  }

 private:
  static void Nothing(const void*, const double* const*, double* const*, double*) {}
};

// One cotangent at a time needs no room for blocks of 8 tangents and cotangents.
TEST(StepReplay, HoldsOnlyWhatItsUseNeeds) {
  const auto held = [] {
    const struct mallinfo2 info = mallinfo2();
    return static_cast<int64_t>(info.uordblks + info.hblkhd);
  };
  const int64_t without = held();
  const std::vector<double> seen(1 << 20);
  if (held() - without < 8 << 20) GTEST_SKIP() << "this allocator does not say what it holds";
  const Vast field;
  const auto bytes = [&](const ReplayUse& use) {
    const int64_t before = held();
    const auto replay = MakeStepReplay(Method::kTsit5, field, use);
    EXPECT_TRUE(replay.ok());
    return held() - before;
  };
  constexpr int64_t kVector = Vast::kSize * 8;
  EXPECT_LE(bytes({.tangents = false, .cotangents = true}), 30 * kVector);
  EXPECT_GE(bytes({.tangents = true, .cotangents = false}), 8 * kVector);
}

}  // namespace
}  // namespace costate
