// Reproducible pseudo-random numbers for probes: the same on every machine and in every run.
#ifndef COSTATE_ENGINE_GRADIENTS_RANDOM_SIGNS_H_
#define COSTATE_ENGINE_GRADIENTS_RANDOM_SIGNS_H_

#include <cstdint>

namespace costate {

// SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
class RandomBits {
 public:
  explicit RandomBits(uint64_t seed) : state_(seed) {}
  uint64_t Next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  double Sign() { return Next() >> 63 == 0 ? 1.0 : -1.0; }
  // In [-1, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-52 - 1.0; }

 private:
  uint64_t state_;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_RANDOM_SIGNS_H_
