// Ops whose results are exact or correctly rounded must give the interpreter's bits for every
// operand, special values included; the others are judged in math_functions_test.cc.
#include <cmath>
#include <limits>
#include <string>

#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "gtest/gtest.h"
#include "tests/engine/codegen/every_way.h"

namespace costate {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

std::vector<double> SpecialValues() {
  return {0.0,      -0.0,  1.0,    -1.0,      2.5,        -2.5, 0x1p-1074, -0x1p-1074, 0x1p-1022,
          0x1.8p52, 1e300, -1e300, kInfinity, -kInfinity, kNan, 0.1,       -0.3,       7.0};
}

// Every pair of special values, as two inputs of n elements; the tail is not a multiple of any
// register.
std::vector<Buffers> Pairs() {
  const std::vector<double> values = SpecialValues();
  std::vector<double> a, b;
  for (double x : values) {
    for (double y : values) {
      a.push_back(x);
      b.push_back(y);
    }
  }
  a.push_back(3.25);
  b.push_back(-1.5);
  return {{a, b}, {b, a}};
}

void ExpectInterpretersBits(EveryWay& ways, const Function& f, const std::vector<Buffers>& inputs) {
  const std::vector<Buffers> results = ways.Run(f, inputs);
  ASSERT_EQ(results.size(), inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Buffers expected = Interpret(f, inputs[i]);
    EXPECT_TRUE(SameBits(results[i], expected)) << f.name;
    for (size_t k = 0; k < expected[0].size(); ++k) {
      if (SameBits({{results[i][0][k]}}, {{expected[0][k]}})) continue;
      ADD_FAILURE() << f.name << "(" << inputs[i][0][k] << ", " << inputs[i][1][k]
                    << ") = " << results[i][0][k] << ", interpreter " << expected[0][k];
      break;
    }
  }
}

class Exact : public testing::Test {
 protected:
  static constexpr int64_t kSmall = 5;

  // The op over the whole of both inputs, and again over the first few elements, held in
  // registers.
  template <typename Emit>
  void Check(const std::string& name, Emit emit) {
    const std::vector<Buffers> inputs = Pairs();
    const auto n = static_cast<int64_t>(inputs[0][0].size());
    FunctionBuilder b(name, {{"a", n}, {"b", n}}, {{"y", n}, {"few", kSmall}});
    b.Result(emit(b, b.Input(0, 0, {n}), b.Input(1, 0, {n})), 0, 0);
    b.Result(emit(b, b.Input(0, 7, {kSmall}), b.Input(1, 9, {kSmall})), 1, 0);
    ExpectInterpretersBits(ways_, std::move(b).Build(), inputs);
  }

  EveryWay ways_;
};

TEST_F(Exact, UnaryOps) {
  for (const Op op : {Op::kNeg, Op::kAbs, Op::kSign, Op::kFloor, Op::kSqrt}) {
    Check(std::string(OpName(op)),
          [op](FunctionBuilder& b, ValueId x, ValueId) { return b.Unary(op, x); });
  }
}

TEST_F(Exact, BinaryOps) {
  for (const Op op : {Op::kAdd, Op::kSub, Op::kMul, Op::kDiv, Op::kMin, Op::kMax}) {
    Check(std::string(OpName(op)),
          [op](FunctionBuilder& b, ValueId x, ValueId y) { return b.Binary(op, x, y); });
  }
}

TEST_F(Exact, NegatedFactorsAndTerms) {
  for (const Op op : {Op::kAdd, Op::kSub, Op::kMul, Op::kDiv}) {
    Check("negated " + std::string(OpName(op)), [op](FunctionBuilder& b, ValueId x, ValueId y) {
      const ValueId left = b.Binary(op, b.Unary(Op::kNeg, x), y);
      return b.Binary(op, left, b.Unary(Op::kNeg, y));
    });
  }
}

TEST_F(Exact, NothingIsContracted) {
  Check("x y + x y", [](FunctionBuilder& b, ValueId x, ValueId y) {
    const ValueId product = b.Binary(Op::kMul, x, y);
    const ValueId other = b.Binary(Op::kMul, y, b.Binary(Op::kAdd, x, y));
    return b.Binary(Op::kSub, other, b.Binary(Op::kAdd, product, b.Binary(Op::kMul, y, y)));
  });
}

TEST_F(Exact, Powers) {
  for (const int64_t exponent : {-1024, -7, -2, -1, 0, 1, 2, 3, 4, 5, 10, 15, 1023}) {
    Check("power " + std::to_string(exponent),
          [exponent](FunctionBuilder& b, ValueId x, ValueId) { return b.Powi(x, exponent); });
  }
}

TEST_F(Exact, ComparisonsLogicAndSelect) {
  for (const Op op : {Op::kLt, Op::kLe, Op::kEq, Op::kNe}) {
    for (const Op logic : {Op::kAnd, Op::kOr}) {
      Check(std::string(OpName(op)) + " " + std::string(OpName(logic)),
            [op, logic](FunctionBuilder& b, ValueId x, ValueId y) {
              const ValueId first = b.Binary(op, x, y);
              const ValueId second = b.Unary(Op::kNot, b.Binary(op, y, b.Constant(0.5)));
              return b.Select(b.Binary(logic, first, second), x, b.Binary(Op::kAdd, x, y));
            });
    }
  }
}

// A condition and scalars that serve a whole tensor.
TEST_F(Exact, ScalarOperandsRepeat) {
  constexpr int64_t kSize = 19;
  FunctionBuilder b("scalars", {{"a", kSize}, {"s", 2}}, {{"y", kSize}});
  const ValueId s = b.Input(1, 0, {});
  const ValueId limit = b.Input(1, 1, {});
  const ValueId x = b.Binary(Op::kMul, b.Input(0, 0, {kSize}), s);
  const ValueId chosen = b.Select(b.Binary(Op::kLt, s, limit), x, limit);
  b.Result(b.Binary(Op::kSub, b.BroadcastTo(limit, {kSize}), chosen), 0, 0);
  std::vector<double> a(kSize), other(kSize);
  for (int i = 0; i < kSize; ++i) {
    a[i] = 0.37 * i - 2;
    other[i] = 1 / (i + 0.3);
  }
  ExpectInterpretersBits(ways_, std::move(b).Build(),
                         {{a, {0.7, 1.1}}, {other, {1.3, 0.2}}, {a, {-0.0, kNan}}});
}

// What is left after whole registers, from one element to a register less one.
TEST_F(Exact, RestsOfLoops) {
  for (int64_t n = 9; n <= 24; ++n) {
    FunctionBuilder b("rest", {{"a", n}, {"s", 1}}, {{"y", n}, {"z", n}});
    const ValueId x = b.Input(0, 0, {n});
    const ValueId s = b.Input(1, 0, {});
    b.Result(b.Binary(Op::kDiv, b.Binary(Op::kSub, x, s), x), 0, 0);
    b.Result(b.Unary(Op::kTanh, b.Binary(Op::kMul, x, s)), 1, 0);
    std::vector<double> a(n), other(n);
    for (int64_t i = 0; i < n; ++i) {
      a[i] = 0.37 * static_cast<double>(i) - 2;
      other[i] = 1 / (static_cast<double>(i) - 0.3);
    }
    const Function f = std::move(b).Build();
    const std::vector<Buffers> inputs = {{a, {0.7}}, {other, {-1.3}}};
    const std::vector<Buffers> results = ways_.Run(f, inputs);  // the same bits in every way
    for (size_t i = 0; i < inputs.size(); ++i) {
      const Buffers expected = Interpret(f, inputs[i]);
      EXPECT_TRUE(SameBits({results[i][0]}, {expected[0]})) << n;
      for (int64_t k = 0; k < n; ++k) {
        EXPECT_NEAR(results[i][1][k], expected[1][k], 4e-16) << n << " " << k;
      }
    }
  }
}

}  // namespace
}  // namespace costate
