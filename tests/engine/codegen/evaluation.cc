#include "tests/engine/codegen/evaluation.h"

#include <bit>
#include <cmath>

#include "gtest/gtest.h"

namespace costate {
namespace {

constexpr double kGuard = -1.2345678e300;
constexpr size_t kGuardSize = 8;

bool IsUniform(uint64_t mask, size_t buffer) { return buffer < 64 && ((mask >> buffer) & 1) != 0; }

std::vector<double> Packed(const std::vector<Buffers>& lanes, size_t buffer, bool uniform) {
  if (uniform) return lanes[0][buffer];
  std::vector<double> packed;
  for (size_t i = 0; i < lanes[0][buffer].size(); ++i) {
    for (const Buffers& lane : lanes) packed.push_back(lane[buffer][i]);
  }
  return packed;
}

int64_t OrderedBits(double x) {
  const auto bits = std::bit_cast<int64_t>(x);
  return bits < 0 ? INT64_MIN - bits : bits;
}

}  // namespace

std::vector<Buffers> RunLanes(const Function& function, const Kernel& kernel,
                              const KernelSpec& spec, const std::vector<Buffers>& lanes) {
  const auto width = static_cast<size_t>(spec.lanes);
  Buffers inputs, outputs;
  std::vector<const double*> input_pointers;
  std::vector<double*> output_pointers;
  for (size_t i = 0; i < function.inputs.size(); ++i) {
    inputs.push_back(Packed(lanes, i, IsUniform(spec.uniform_inputs, i)));
  }
  for (size_t i = 0; i < function.outputs.size(); ++i) {
    const size_t lane_count = IsUniform(spec.uniform_outputs, i) ? 1 : width;
    const auto size = static_cast<size_t>(function.outputs[i].size) * lane_count;
    outputs.emplace_back(size + kGuardSize, kGuard);
  }
  for (const auto& input : inputs) input_pointers.push_back(input.data());
  for (auto& output : outputs) output_pointers.push_back(output.data());
  std::vector<double> scratch(kernel.scratch_size() + kGuardSize, kGuard);
  kernel(input_pointers.data(), output_pointers.data(), scratch.data());
  for (size_t i = 0; i < kGuardSize; ++i) {
    EXPECT_EQ(scratch[scratch.size() - 1 - i], kGuard) << "scratch overrun";
  }
  std::vector<Buffers> results(width);
  for (size_t i = 0; i < outputs.size(); ++i) {
    const size_t lane_count = IsUniform(spec.uniform_outputs, i) ? 1 : width;
    for (size_t k = outputs[i].size() - kGuardSize; k < outputs[i].size(); ++k) {
      EXPECT_EQ(outputs[i][k], kGuard) << "output overrun";
    }
    for (size_t lane = 0; lane < width; ++lane) {
      std::vector<double> elements;
      for (int64_t k = 0; k < function.outputs[i].size; ++k) {
        elements.push_back(outputs[i][k * lane_count + lane % lane_count]);
      }
      results[lane].push_back(std::move(elements));
    }
  }
  return results;
}

uint64_t UlpDistance(double a, double b) {
  if (std::isnan(a) && std::isnan(b)) return 0;
  if (std::isnan(a) || std::isnan(b)) return UINT64_MAX;
  const int64_t x = OrderedBits(a);
  const int64_t y = OrderedBits(b);
  return x > y ? static_cast<uint64_t>(x) - static_cast<uint64_t>(y)
               : static_cast<uint64_t>(y) - static_cast<uint64_t>(x);
}

bool SameBits(const Buffers& a, const Buffers& b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].size() != b[i].size()) return false;
    for (size_t k = 0; k < a[i].size(); ++k) {
      if (std::isnan(a[i][k]) && std::isnan(b[i][k])) continue;
      if (std::bit_cast<uint64_t>(a[i][k]) != std::bit_cast<uint64_t>(b[i][k])) return false;
    }
  }
  return true;
}

}  // namespace costate
