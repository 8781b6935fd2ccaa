#include "engine/optimise/sampler.h"

#include <bit>

#include "engine/optimise/random.h"
#include "engine/optimise/sobol_directions.h"

namespace costate::optimise {
namespace {

constexpr int kBits = 53;  // of a coordinate

// Column `dimension` of `points`: a permutation of the slices, a uniform number within each.
void LatinColumn(int64_t count, int64_t dimension, int64_t dimensions, uint64_t seed,
                 std::vector<double>& points) {
  RandomStream random(seed, static_cast<uint64_t>(dimension));
  const std::vector<int64_t> slices = random.Permutation(count);
  for (int64_t i = 0; i < count; ++i) {
    const double slice = static_cast<double>(slices[i]);
    double value = (slice + random.Uniform()) / static_cast<double>(count);
    // Rounding may reach the upper end of the slice; its lower end then stands for it.
    if (value >= (slice + 1) / static_cast<double>(count)) {
      value = slice / static_cast<double>(count);
    }
    points[i * dimensions + dimension] = value;
  }
}

// v_k = m_k 2^(kBits - k) for k = 1 .. kBits, the recurrence of Bratley and Fox 1988 (ACM TOMS 14,
// 88-100): m_k = 2 a_1 m_{k-1} ^ 4 a_2 m_{k-2} ^ ... ^ 2^s m_{k-s} ^ m_{k-s}.
std::vector<uint64_t> Directions(int64_t dimension) {
  std::vector<uint64_t> v(kBits);
  if (dimension == 0) {
    for (int k = 0; k < kBits; ++k) v[k] = uint64_t{1} << (kBits - 1 - k);
    return v;
  }
  const SobolDirections& given = kSobolDirections[dimension - 1];
  const int degree = std::bit_width(given.polynomial) - 1;
  for (int k = 0; k < degree; ++k) v[k] = uint64_t{given.m[k]} << (kBits - 1 - k);
  for (int k = degree; k < kBits; ++k) {
    v[k] = v[k - degree] ^ (v[k - degree] >> degree);
    for (int i = 1; i < degree; ++i) {
      if (given.polynomial >> (degree - i) & 1) v[k] ^= v[k - i];
    }
  }
  return v;
}

// Point i is the one of the Gray code of i (Antonov and Saleev 1979), every coordinate xor a
// random word of its dimension.
void SobolColumn(int64_t count, int64_t dimension, int64_t dimensions, uint64_t seed,
                 std::vector<double>& points) {
  const std::vector<uint64_t> v = Directions(dimension);
  uint64_t word = RandomStream(seed, static_cast<uint64_t>(dimension)).Next() >> (64 - kBits);
  for (int64_t i = 0; i < count; ++i) {
    if (i > 0) word ^= v[std::countr_zero(static_cast<uint64_t>(i))];
    points[i * dimensions + dimension] = static_cast<double>(word) * 0x1p-53;
  }
}

}  // namespace

std::vector<double> SampleUnitCube(Sampler sampler, int64_t count, int64_t dimensions,
                                   uint64_t seed) {
  std::vector<double> points(count * dimensions);
  for (int64_t j = 0; j < dimensions; ++j) {
    if (sampler == Sampler::kSobol && j < kSobolDimensions) {
      SobolColumn(count, j, dimensions, seed, points);
    } else {
      LatinColumn(count, j, dimensions, seed, points);
    }
  }
  return points;
}

}  // namespace costate::optimise
