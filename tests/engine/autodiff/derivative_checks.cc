#include "tests/engine/autodiff/derivative_checks.h"

#include <cmath>
#include <cstring>
#include <random>
#include <utility>

#include "engine/interpreter/interpreter.h"
#include "engine/model/model.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

Function Checked(absl::StatusOr<Function> derivative) {
  EXPECT_TRUE(derivative.ok()) << derivative.status();
  EXPECT_TRUE(VerifyFunction(*derivative).ok()) << VerifyFunction(*derivative);
  return *std::move(derivative);
}

bool SameBits(double a, double b) {
  return std::memcmp(&a, &b, sizeof(a)) == 0 || (std::isnan(a) && std::isnan(b));
}

}  // namespace

// (45 (f1 - f-1) - 9 (f2 - f-2) + (f3 - f-3)) / 60h, Fornberg 1988.
Buffers DirectionalDifference(const Function& f, const Buffers& inputs, const std::vector<int>& wrt,
                              const Buffers& directions) {
  const double h = 0x1p-9;
  const double weights[] = {45, -9, 1};
  Buffers result;
  for (const Buffer& output : f.outputs) result.emplace_back(output.size, 0.0);
  for (int k = 1; k <= 3; ++k) {
    for (double side : {1.0, -1.0}) {
      Buffers moved = inputs;
      for (size_t w = 0; w < wrt.size(); ++w) {
        for (size_t i = 0; i < directions[w].size(); ++i) {
          moved[wrt[w]][i] += side * k * h * directions[w][i];
        }
      }
      const Buffers values = Interpret(f, moved);
      for (size_t b = 0; b < values.size(); ++b) {
        for (size_t i = 0; i < values[b].size(); ++i) {
          result[b][i] += side * weights[k - 1] * values[b][i] / (60 * h);
        }
      }
    }
  }
  return result;
}

Function JvpOf(const Function& f, const std::vector<int>& wrt, bool keep_values) {
  return Checked(Jvp(f, wrt, {keep_values}));
}

Function VjpOf(const Function& f, const std::vector<int>& wrt, bool keep_values) {
  return Checked(Vjp(f, wrt, {keep_values}));
}

std::vector<int> AllInputs(const Function& f) {
  std::vector<int> all;
  for (size_t i = 0; i < f.inputs.size(); ++i) all.push_back(static_cast<int>(i));
  return all;
}

Buffers Joined(Buffers a, const Buffers& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Buffers Part(const Buffers& buffers, size_t first, size_t last) {
  return Buffers(buffers.begin() + first, buffers.begin() + last);
}

double Dot(const Buffers& a, const Buffers& b) {
  double sum = 0;
  for (size_t k = 0; k < a.size(); ++k) {
    for (size_t i = 0; i < a[k].size(); ++i) sum += a[k][i] * b[k][i];
  }
  return sum;
}

Buffers RandomBuffers(const std::vector<Buffer>& buffers, uint64_t seed) {
  std::mt19937_64 generator(seed);
  Buffers result;
  for (const Buffer& buffer : buffers) {
    for (double& element : result.emplace_back(buffer.size)) {
      element = static_cast<double>(generator() >> 11) * 0x1p-52 - 1;
    }
  }
  return result;
}

void ExpectClose(const Buffers& a, const Buffers& b, double tolerance, const std::string& where) {
  ASSERT_EQ(a.size(), b.size()) << where;
  for (size_t k = 0; k < a.size(); ++k) {
    ASSERT_EQ(a[k].size(), b[k].size()) << where;
    for (size_t i = 0; i < a[k].size(); ++i) {
      EXPECT_NEAR(a[k][i], b[k][i], tolerance * (1 + std::fabs(a[k][i])))
          << where << ", buffer " << k << ", element " << i;
    }
  }
}

void ExpectSameBits(const Buffers& a, const Buffers& b, const std::string& where) {
  ASSERT_EQ(a.size(), b.size()) << where;
  for (size_t k = 0; k < a.size(); ++k) {
    ASSERT_EQ(a[k].size(), b[k].size()) << where;
    for (size_t i = 0; i < a[k].size(); ++i) {
      EXPECT_TRUE(SameBits(a[k][i], b[k][i])) << where << ", buffer " << k << ", element " << i
                                              << ": " << a[k][i] << " and " << b[k][i];
    }
  }
}

Function FunctionOf(int64_t n, const std::function<ValueId(FunctionBuilder&, ValueId)>& build) {
  const auto run = [&](int64_t size) {
    FunctionBuilder b("f", {{"x", n}}, {{"out", size}});
    const ValueId value = build(b, b.Input(0, 0, {n}));
    const int64_t elements = NumElements(b.shape(value));
    b.Result(value, 0, 0);
    return std::make_pair(std::move(b).Build(), elements);
  };
  return run(run(0).second).first;
}

}  // namespace costate
