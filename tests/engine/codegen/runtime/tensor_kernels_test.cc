// The kernels of every instruction set the host runs give the same bits.
#include "engine/codegen/runtime/tensor_kernels.h"

#include <random>
#include <vector>

#include "engine/codegen/target.h"
#include "gtest/gtest.h"

namespace costate::codegen {
namespace {

std::vector<double> Random(int64_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_real_distribution<double> uniform(-1, 1);
  std::vector<double> x(size);
  for (double& value : x) value = uniform(random);
  return x;
}

// Every kernel of one set over one shape, all results in one list.
std::vector<double> RunAll(const TensorKernels& kernels, int64_t m, int64_t n, int64_t k) {
  const std::vector<double> a = Random(m * k * 8, 1), b = Random(k * n * 8, 2);
  std::vector<double> all;
  const auto take = [&](int64_t size, auto call) {
    std::vector<double> out(size, -7);
    call(out.data());
    all.insert(all.end(), out.begin(), out.end());
  };
  const MatmulShape plain = {m, n, k, k, 1, n, 1};
  const MatmulShape turned = {m, n, k, 1, m, 1, k};
  const OuterShape outer = {m, n};
  const SumShape rows = {{1, 1, 1, m}, {1, 1, 1, k}, {1, 1, 1, k}, {1, 1, 1, 1}};
  const SumShape columns = {{1, 1, 1, k}, {1, 1, 1, 1}, {1, 1, 1, m}, {1, 1, 1, k}};
  const CopyShape copy = {{1, 1, m, k}, {1, 1, 1, m}, {1, 1, k, 1}};
  for (const MatmulShape* shape : {&plain, &turned}) {
    take(m * n, [&](double* out) { kernels.matmul_uu(out, a.data(), b.data(), shape); });
  }
  take(m * n, [&](double* out) { kernels.outer_uu(out, a.data(), b.data(), &outer); });
  take(m, [&](double* out) { kernels.sum_u(out, a.data(), &rows); });
  take(k, [&](double* out) { kernels.sum_u(out, a.data(), &columns); });
  take(m * k, [&](double* out) { kernels.copy_u(out, a.data(), &copy); });
  const std::pair<const LaneKernels*, int> widths[] = {
      {&kernels.lanes2, 2}, {&kernels.lanes4, 4}, {&kernels.lanes8, 8}};
  for (const auto& [lane_kernels, lanes] : widths) {
    const LaneKernels& l = *lane_kernels;
    for (const MatmulKernel matmul : {l.matmul_uv, l.matmul_vu, l.matmul_vv}) {
      take(m * n * lanes, [&](double* out) { matmul(out, a.data(), b.data(), &plain); });
      take(m * n * lanes, [&](double* out) { matmul(out, a.data(), b.data(), &turned); });
    }
    for (const OuterKernel kernel : {l.outer_uv, l.outer_vu, l.outer_vv}) {
      take(m * n * lanes, [&](double* out) { kernel(out, a.data(), b.data(), &outer); });
    }
    take(m * lanes, [&](double* out) { l.sum_v(out, a.data(), &rows); });
    take(k * lanes, [&](double* out) { l.sum_v(out, a.data(), &columns); });
    take(m * k * lanes, [&](double* out) { l.copy_v(out, a.data(), &copy); });
    take(m * k * lanes, [&](double* out) { l.copy_uv(out, a.data(), &copy); });
  }
  return all;
}

TEST(TensorKernels, EveryInstructionSetGivesTheSameBits) {
  const InstructionSet host = DetectHost().value().instruction_set;
  for (const InstructionSet set : {InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (set > host) continue;
    for (const int64_t m : {1, 2, 3, 4, 8, 10, 21}) {
      for (const int64_t n : {1, 2, 8, 13}) {
        for (const int64_t k : {1, 2, 3, 4, 7, 8, 9, 10, 29}) {
          EXPECT_EQ(RunAll(TensorKernelsFor(set), m, n, k),
                    RunAll(TensorKernelsFor(InstructionSet::kPortable), m, n, k))
              << m << " x " << n << " x " << k;
        }
      }
    }
  }
}

TEST(TensorKernels, SumsAndCopiesDoWhatTheirShapesSay) {
  const TensorKernels& kernels = TensorKernelsFor(DetectHost().value().instruction_set);
  const double a[] = {1, 2, 3, 10, 20, 30};
  double sums[3], turned[6];
  const SumShape columns = {{1, 1, 1, 3}, {1, 1, 1, 1}, {1, 1, 1, 2}, {1, 1, 1, 3}};
  kernels.sum_u(sums, a, &columns);
  EXPECT_EQ(std::vector<double>(sums, sums + 3), (std::vector<double>{11, 22, 33}));
  const CopyShape transpose = {{1, 1, 3, 2}, {1, 1, 2, 1}, {1, 1, 1, 3}};
  kernels.copy_u(turned, a, &transpose);
  EXPECT_EQ(std::vector<double>(turned, turned + 6), (std::vector<double>{1, 10, 2, 20, 3, 30}));
}

}  // namespace
}  // namespace costate::codegen
