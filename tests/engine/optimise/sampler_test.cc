#include "engine/optimise/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <vector>

#include "engine/optimise/random.h"
#include "gtest/gtest.h"

namespace costate::optimise {
namespace {

// The published example of SplitMix64 for the seed 1234567 (as in JDK and Rosetta Code).
TEST(RandomTest, MixIsSplitMix64) {
  constexpr uint64_t kGamma = 0x9e3779b97f4a7c15;
  EXPECT_EQ(MixBits(1234567 + kGamma), 6457827717110365317u);
  EXPECT_EQ(MixBits(1234567 + 2 * kGamma), 3203168211198807973u);
  EXPECT_EQ(MixBits(1234567 + 3 * kGamma), 9817491932198370423u);
}

TEST(RandomTest, UniformMoments) {
  RandomStream random(1);
  double sum = 0, squares = 0;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const double u = random.Uniform();
    ASSERT_TRUE(u >= 0 && u < 1);
    sum += u;
    squares += u * u;
  }
  // Five standard deviations.
  EXPECT_NEAR(sum / kDraws, 0.5, 5 * std::sqrt(1 / 12.0 / kDraws));
  EXPECT_NEAR(squares / kDraws, 1 / 3.0, 5 * std::sqrt(4 / 45.0 / kDraws));
}

// Every permutation of 4 with the same frequency: chi squared with 23 degrees of freedom.
TEST(RandomTest, PermutationsAreUniform) {
  std::vector<int> counts(256);
  constexpr int kDraws = 24000;
  for (uint64_t seed = 0; seed < kDraws; ++seed) {
    int code = 0;
    for (const int64_t p : RandomStream(seed, 3).Permutation(4)) {
      code = 4 * code + static_cast<int>(p);
    }
    ++counts[code];
  }
  double chi_squared = 0;
  int kinds = 0;
  for (const int count : counts) {
    if (count == 0) continue;
    ++kinds;
    chi_squared += (count - 1000.0) * (count - 1000.0) / 1000.0;
  }
  EXPECT_EQ(kinds, 24);
  EXPECT_LT(chi_squared, 60);  // exceeded with probability 4e-5
}

TEST(RandomTest, StreamsDiffer) {
  std::set<uint64_t> words;
  for (uint64_t seed = 0; seed < 30; ++seed) {
    for (uint64_t stream = 0; stream < 30; ++stream) {
      words.insert(RandomStream(seed, stream).Next());
    }
  }
  EXPECT_EQ(words.size(), 900u);
}

TEST(SamplerTest, LatinHypercubeHasOnePointInEachSlice) {
  for (const int64_t count : {1, 2, 7, 100}) {
    const int64_t dimensions = 12;
    const std::vector<double> points =
        SampleUnitCube(Sampler::kLatinHypercube, count, dimensions, 9);
    ASSERT_EQ(points.size(), static_cast<size_t>(count * dimensions));
    for (int64_t j = 0; j < dimensions; ++j) {
      std::set<int64_t> slices;
      for (int64_t i = 0; i < count; ++i) {
        const double value = points[i * dimensions + j];
        ASSERT_TRUE(value >= 0 && value < 1);
        slices.insert(static_cast<int64_t>(value * static_cast<double>(count)));
      }
      EXPECT_EQ(slices.size(), static_cast<size_t>(count));
    }
  }
}

// Without its shift the sequence is SciPy's: qmc.Sobol(100, scramble=False).random(1025) of SciPy
// 1.17.1, dimensions 1, 2, 3, 10, 40 and 100.
TEST(SamplerTest, SobolMatchesScipyUpToItsShift) {
  struct Row {
    int64_t index;
    std::vector<double> values;
  };
  const std::vector<Row> rows = {
      {1, {0.5, 0.5, 0.5, 0.5, 0.5, 0.5}},
      {2, {0.75, 0.25, 0.25, 0.75, 0.25, 0.75}},
      {3, {0.25, 0.75, 0.75, 0.25, 0.75, 0.25}},
      {7, {0.125, 0.625, 0.375, 0.875, 0.125, 0.625}},
      {100, {0.4140625, 0.2578125, 0.7734375, 0.6953125, 0.1328125, 0.8828125}},
      {1000, {0.2197265625, 0.0966796875, 0.5185546875, 0.0693359375, 0.4794921875, 0.1865234375}}};
  const std::vector<int64_t> dimensions = {0, 1, 2, 9, 39, 99};
  for (const uint64_t seed : {0, 77}) {
    const std::vector<double> points = SampleUnitCube(Sampler::kSobol, 1001, 100, seed);
    const auto bits = [&](int64_t i, int64_t j) {
      return static_cast<uint64_t>(points[i * 100 + j] * 0x1p53);
    };
    for (const Row& row : rows) {
      for (size_t k = 0; k < dimensions.size(); ++k) {
        const uint64_t unshifted = bits(row.index, dimensions[k]) ^ bits(0, dimensions[k]);
        EXPECT_EQ(static_cast<double>(unshifted) * 0x1p-53, row.values[k]);
      }
    }
  }
}

// 2^m points have one in each of 2^m slices, in every dimension, shifted or not.
TEST(SamplerTest, SobolPointsAreBalanced) {
  const int64_t dimensions = 100, count = 256;
  const std::vector<double> points = SampleUnitCube(Sampler::kSobol, count, dimensions, 5);
  for (int64_t j = 0; j < dimensions; ++j) {
    std::set<int64_t> slices;
    for (int64_t i = 0; i < count; ++i) {
      slices.insert(static_cast<int64_t>(points[i * dimensions + j] * count));
    }
    EXPECT_EQ(slices.size(), static_cast<size_t>(count)) << j;
  }
}

TEST(SamplerTest, MoreDimensionsThanSobolHas) {
  const std::vector<double> points = SampleUnitCube(Sampler::kSobol, 16, 130, 5);
  for (int64_t j = 0; j < 130; ++j) {
    std::set<int64_t> slices;
    for (int64_t i = 0; i < 16; ++i) {
      slices.insert(static_cast<int64_t>(points[i * 130 + j] * 16));
    }
    EXPECT_EQ(slices.size(), 16u);
  }
}

TEST(SamplerTest, FunctionsOfTheSeed) {
  for (const Sampler sampler : {Sampler::kLatinHypercube, Sampler::kSobol}) {
    EXPECT_EQ(SampleUnitCube(sampler, 20, 5, 1), SampleUnitCube(sampler, 20, 5, 1));
    EXPECT_NE(SampleUnitCube(sampler, 20, 5, 1), SampleUnitCube(sampler, 20, 5, 2));
    EXPECT_TRUE(SampleUnitCube(sampler, 0, 5, 1).empty());
    EXPECT_TRUE(SampleUnitCube(sampler, 5, 0, 1).empty());
  }
}

}  // namespace
}  // namespace costate::optimise
