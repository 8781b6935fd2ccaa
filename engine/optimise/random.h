// Random numbers that are functions of their seed alone, the same on every machine.
#ifndef COSTATE_ENGINE_OPTIMISE_RANDOM_H_
#define COSTATE_ENGINE_OPTIMISE_RANDOM_H_

#include <cstdint>
#include <numeric>
#include <utility>
#include <vector>

namespace costate::optimise {

// The finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
// generators", variant 13 of Stafford): a bijection of 64-bit words.
constexpr uint64_t MixBits(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

// SplitMix64: word i of the stream of `seed` is MixBits(seed + (i + 1) * golden gamma). Streams of
// one seed are told apart by mixing their number into the seed.
class RandomStream {
 public:
  explicit constexpr RandomStream(uint64_t seed, uint64_t stream = 0)
      : state_(MixBits(seed + kGamma) ^ MixBits(stream * kGamma)) {}

  constexpr uint64_t Next() { return MixBits(state_ += kGamma); }

  // In [0, 1), a multiple of 2^-53.
  constexpr double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

  // In [0, bound), bound > 0, each with the same probability: words below 2^64 mod bound are drawn
  // again.
  constexpr uint64_t Below(uint64_t bound) {
    const uint64_t refused = (0 - bound) % bound;
    uint64_t word = Next();
    while (word < refused) word = Next();
    return word % bound;
  }

  // A permutation of 0 .. count - 1 (Fisher and Yates; Durstenfeld 1964).
  std::vector<int64_t> Permutation(int64_t count) {
    std::vector<int64_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    for (int64_t i = count - 1; i > 0; --i) {
      std::swap(order[i], order[Below(static_cast<uint64_t>(i) + 1)]);
    }
    return order;
  }

 private:
  static constexpr uint64_t kGamma = 0x9e3779b97f4a7c15;
  uint64_t state_;
};

}  // namespace costate::optimise

#endif  // COSTATE_ENGINE_OPTIMISE_RANDOM_H_
