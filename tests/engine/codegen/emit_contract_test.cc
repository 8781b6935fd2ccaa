// Matrix products against long double, and their defined order bit by bit.
#include <cmath>
#include <random>

#include "engine/model/function_builder.h"
#include "gtest/gtest.h"
#include "tests/engine/codegen/every_way.h"

namespace costate {
namespace {

struct Sizes {
  int64_t m, k, n;
};

class Contract : public testing::Test {
 protected:
  std::vector<double> Random(int64_t size) {
    std::uniform_real_distribution<double> uniform(-1, 1);
    std::vector<double> x(size);
    for (double& value : x) value = uniform(random_);
    return x;
  }

  // Eight interleaved sums of products by fma, folded in halves.
  static double OrderedDot(const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<double> sums;
    for (size_t i = 0; i < a.size(); ++i) {
      if (i < 8)
        sums.push_back(a[i] * b[i]);
      else
        sums[i % 8] = std::fma(a[i], b[i], sums[i % 8]);
    }
    for (size_t step : {4, 2, 1}) {
      for (size_t j = 0; j < step && j + step < sums.size(); ++j) sums[j] += sums[j + step];
    }
    return sums[0];
  }

  static void Expect(double actual, const std::vector<double>& a, const std::vector<double>& b) {
    long double exact = 0, magnitude = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      exact += static_cast<long double>(a[i]) * b[i];
      magnitude += std::fabs(static_cast<long double>(a[i]) * b[i]);
    }
    EXPECT_EQ(actual, OrderedDot(a, b));
    EXPECT_LE(std::fabs(actual - exact), (a.size() / 8 + 4) * 0x1p-53L * magnitude);
  }

  std::mt19937_64 random_{6};
  EveryWay ways_;
};

TEST_F(Contract, MatricesInEveryOrientation) {
  for (const Sizes s : {Sizes{2, 2, 2}, Sizes{2, 50, 1}, Sizes{50, 2, 1}, Sizes{3, 4, 5},
                        Sizes{9, 8, 10}, Sizes{17, 23, 19}, Sizes{1, 9, 9}, Sizes{12, 1, 3}}) {
    for (const bool transpose_a : {false, true}) {
      for (const bool transpose_b : {false, true}) {
        FunctionBuilder b("matmul", {{"a", s.m * s.k}, {"b", s.k * s.n}}, {{"c", s.m * s.n}});
        const Shape a_shape = transpose_a ? Shape{s.k, s.m} : Shape{s.m, s.k};
        const Shape b_shape = transpose_b ? Shape{s.n, s.k} : Shape{s.k, s.n};
        b.Result(b.Matmul(b.Input(0, 0, a_shape), b.Input(1, 0, b_shape), transpose_a, transpose_b),
                 0, 0);
        const std::vector<Buffers> inputs = {{Random(s.m * s.k), Random(s.k * s.n)},
                                             {Random(s.m * s.k), Random(s.k * s.n)}};
        const std::vector<Buffers> results = ways_.Run(std::move(b).Build(), inputs);
        for (size_t lane = 0; lane < inputs.size(); ++lane) {
          for (int64_t i = 0; i < s.m; ++i) {
            for (int64_t j = 0; j < s.n; ++j) {
              std::vector<double> row, column;
              for (int64_t k = 0; k < s.k; ++k) {
                row.push_back(inputs[lane][0][transpose_a ? k * s.m + i : i * s.k + k]);
                column.push_back(inputs[lane][1][transpose_b ? j * s.k + k : k * s.n + j]);
              }
              Expect(results[lane][0][i * s.n + j], row, column);
            }
          }
        }
      }
    }
  }
}

TEST_F(Contract, VectorsOnEitherSide) {
  for (const auto& [m, k] : {std::pair<int64_t, int64_t>{3, 2}, {2, 3}, {20, 30}, {9, 64}}) {
    for (const bool transpose : {false, true}) {
      FunctionBuilder b("vectors", {{"a", m * k}, {"x", k}, {"z", m}},
                        {{"ax", m}, {"za", k}, {"xx", 1}, {"outer", m * k}});
      const ValueId a = b.Input(0, 0, transpose ? Shape{k, m} : Shape{m, k});
      const ValueId x = b.Input(1, 0, {k});
      const ValueId z = b.Input(2, 0, {m});
      b.Result(b.Matmul(a, x, transpose, false), 0, 0);
      b.Result(b.Matmul(z, a, false, transpose), 1, 0);
      b.Result(b.Matmul(x, x), 2, 0);
      b.Result(b.Outer(z, x), 3, 0);
      const Buffers in = {Random(m * k), Random(k), Random(m)};
      const Buffers out = ways_.Run(std::move(b).Build(), {in})[0];
      const auto a_at = [&](int64_t i, int64_t j) {
        return in[0][transpose ? j * m + i : i * k + j];
      };
      for (int64_t i = 0; i < m; ++i) {
        std::vector<double> row;
        for (int64_t j = 0; j < k; ++j) row.push_back(a_at(i, j));
        Expect(out[0][i], row, in[1]);
        for (int64_t j = 0; j < k; ++j) EXPECT_EQ(out[3][i * k + j], in[2][i] * in[1][j]);
      }
      for (int64_t j = 0; j < k; ++j) {
        std::vector<double> column;
        for (int64_t i = 0; i < m; ++i) column.push_back(a_at(i, j));
        Expect(out[1][j], in[2], column);
      }
      Expect(out[2][0], in[1], in[1]);
    }
  }
}

// The neural ODE of the examples: y' = W2 tanh(W1 y^3 + b1) + b2, values of both layers in
// memory, fused between the products.
TEST_F(Contract, TwoLayers) {
  constexpr int64_t kHidden = 50;
  FunctionBuilder b("layers", {{"y", 2}, {"p", 2 * kHidden + kHidden + 2 * kHidden + 2}},
                    {{"dy", 2}});
  const ValueId w1 = b.Input(1, 0, {kHidden, 2});
  const ValueId b1 = b.Input(1, 2 * kHidden, {kHidden});
  const ValueId w2 = b.Input(1, 3 * kHidden, {2, kHidden});
  const ValueId b2 = b.Input(1, 5 * kHidden, {2});
  const ValueId cubes = b.Powi(b.Input(0, 0, {2}), 3);
  const ValueId hidden = b.Unary(Op::kTanh, b.Binary(Op::kAdd, b.Matmul(w1, cubes), b1));
  b.Result(b.Binary(Op::kAdd, b.Matmul(w2, hidden), b2), 0, 0);
  const Function f = std::move(b).Build();
  const Buffers in = {Random(2), Random(f.inputs[1].size)};
  const Buffers out = ways_.Run(f, {in, {Random(2), Random(f.inputs[1].size)}})[0];
  for (int i = 0; i < 2; ++i) {
    long double sum = in[1][5 * kHidden + i];
    for (int64_t h = 0; h < kHidden; ++h) {
      long double x = in[1][2 * kHidden + h];
      for (int j = 0; j < 2; ++j)
        x += static_cast<long double>(in[1][2 * h + j]) *
             std::pow(static_cast<long double>(in[0][j]), 3.0L);
      sum += in[1][3 * kHidden + i * kHidden + h] * std::tanh(x);
    }
    EXPECT_NEAR(out[0][i], static_cast<double>(sum), 1e-14);
  }
}

}  // namespace
}  // namespace costate
