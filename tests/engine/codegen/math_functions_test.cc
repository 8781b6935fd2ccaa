// Elementary functions against the C library in long double (64 bits of mantissa, so its own
// error is below 0.001 units in the last place of a double), and against themselves at every
// width.
#include <cmath>
#include <functional>
#include <limits>
#include <ostream>
#include <random>
#include <string>

#include "engine/codegen/host_compiler.h"
#include "engine/model/function_builder.h"
#include "gtest/gtest.h"
#include "tests/engine/codegen/evaluation.h"

namespace costate {
namespace {

using codegen::DetectHost;
using codegen::InstructionSet;
using codegen::MakeCompilerFor;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
using Real = long double;

struct MathCase {
  Op op;
  std::function<Real(Real)> exact;
  double lower, upper;  // of the dense sweep
  double max_ulps;
};

void PrintTo(const MathCase& math, std::ostream* out) { *out << OpName(math.op); }

std::vector<MathCase> MathCases() {
  const auto sigmoid = [](Real x) { return 1 / (1 + std::exp(-x)); };
  return {
      {Op::kExp, [](Real x) { return std::exp(x); }, -746, 710, 1.02},
      {Op::kExpm1, [](Real x) { return std::expm1(x); }, -40, 710, 1.5},
      {Op::kLog, [](Real x) { return std::log(x); }, 0, 10, 0.9},
      {Op::kLog1p, [](Real x) { return std::log1p(x); }, -1, 10, 0.9},
      {Op::kSigmoid, sigmoid, -746, 40, 2.1},
      {Op::kTanh, [](Real x) { return std::tanh(x); }, -20, 20, 2.0},
      {Op::kSin, [](Real x) { return std::sin(x); }, -100, 100, 1.01},
      {Op::kCos, [](Real x) { return std::cos(x); }, -100, 100, 1.01},
      {Op::kTan, [](Real x) { return std::tan(x); }, -10, 10, 1.01},
      {Op::kAsin, [](Real x) { return std::asin(x); }, -1, 1, 1.01},
      {Op::kAcos, [](Real x) { return std::acos(x); }, -1, 1, 1.01},
      {Op::kAtan, [](Real x) { return std::atan(x); }, -30, 30, 1.01},
      {Op::kSinh, [](Real x) { return std::sinh(x); }, -710, 710, 3.0},
      {Op::kCosh, [](Real x) { return std::cosh(x); }, -710, 710, 3.0},
      {Op::kAsinh, [](Real x) { return std::asinh(x); }, -1e13, 1e13, 1.01},
      {Op::kAcosh, [](Real x) { return std::acosh(x); }, 1, 1e13, 1.01},
      {Op::kAtanh, [](Real x) { return std::atanh(x); }, -1, 1, 1.01},
      {Op::kErf, [](Real x) { return std::erf(x); }, -6, 6, 1.01},
  };
}

// Evenly spread, spread over all magnitudes of the domain, and special values.
std::vector<double> Arguments(const MathCase& math) {
  std::mt19937_64 random(17);
  std::uniform_real_distribution<double> even(math.lower, math.upper);
  std::uniform_real_distribution<double> exponent(-1074, 1023);
  std::vector<double> x;
  for (int i = 0; i < 200000; ++i) x.push_back(even(random));
  for (int i = 0; i < 20000; ++i) {
    const double magnitude = std::exp2(exponent(random));
    for (double value : {magnitude, -magnitude, 1 + magnitude, 1 - magnitude}) x.push_back(value);
  }
  const double specials[] = {0.0,
                             1.0,
                             0x1p-1074,
                             0x1p-1022,
                             0x1.fffffffffffffp1023,
                             kInfinity,
                             709.782712893384,
                             709.782712893385,
                             710.4758600739439,
                             745.1332191019411,
                             745.1332191019412,
                             708.3964185322641,
                             0x1p-54,
                             0x1p-28,
                             0.34657359027997264,
                             0.6931471805599453,
                             22.0,
                             1e300};
  for (double value : specials) {
    x.push_back(value);
    x.push_back(-value);
  }
  x.push_back(kNan);
  return x;
}

Function Elementwise(Op op, int64_t size, int operands) {
  FunctionBuilder b("f", {{"x", size}, {"z", size}}, {{"y", size}});
  const ValueId x = b.Input(0, 0, {size});
  b.Result(operands == 1 ? b.Unary(op, x) : b.Binary(op, x, b.Input(1, 0, {size})), 0, 0);
  return std::move(b).Build();
}

std::vector<double> Evaluate(Compiler& compiler, Op op, const std::vector<double>& x,
                             const std::vector<double>& z) {
  const bool binary = op == Op::kPow || op == Op::kAtan2;
  const Function f = Elementwise(op, static_cast<int64_t>(x.size()), binary ? 2 : 1);
  const auto kernel = compiler.Build(f, {});
  EXPECT_TRUE(kernel.ok()) << kernel.status();
  return RunLanes(f, *kernel, {}, {{x, z}})[0][0];
}

// Distance in units of the last place of the double nearest to `exact`.
double Ulps(double actual, Real exact) {
  const auto rounded = static_cast<double>(exact);
  if (std::isnan(rounded) || std::isinf(rounded) || std::isnan(actual) || std::isinf(actual)) {
    const bool same = (std::isnan(rounded) && std::isnan(actual)) || rounded == actual;
    return same ? 0 : kInfinity;
  }
  const double size = std::max(std::fabs(rounded), 0x1p-1022);
  const double ulp = std::nextafter(size, kInfinity) - size;
  return static_cast<double>(std::fabs(actual - exact) / ulp);
}

class MathAccuracy : public testing::TestWithParam<MathCase> {};

TEST_P(MathAccuracy, IsWithinItsBoundEverywhere) {
  const MathCase& math = GetParam();
  const auto compiler = MakeCompiler({}).value();
  const std::vector<double> x = Arguments(math);
  const std::vector<double> y = Evaluate(*compiler, math.op, x, x);
  double worst = 0, worst_x = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double ulps = Ulps(y[i], math.exact(x[i]));
    if (ulps > worst) worst_x = x[i];
    worst = std::max(worst, ulps);
    if (y[i] == 0 && x[i] == 0) {
      EXPECT_EQ(std::signbit(y[i]), std::signbit(static_cast<double>(math.exact(x[i]))));
    }
  }
  RecordProperty("worst_ulps", std::to_string(worst));
  EXPECT_LE(worst, math.max_ulps) << "at " << worst_x;
}

INSTANTIATE_TEST_SUITE_P(Functions, MathAccuracy, testing::ValuesIn(MathCases()),
                         [](const testing::TestParamInfo<MathCase>& info) {
                           return std::string(OpName(info.param.op));
                         });

TEST(MathAccuracy, PowerAndArctangentOfTwo) {
  const auto compiler = MakeCompiler({}).value();
  std::mt19937_64 random(18);
  std::uniform_real_distribution<double> base(0, 20), exponent(-30, 30), any(-5, 5);
  std::vector<double> x, z, v, w;
  for (int i = 0; i < 100000; ++i) {
    x.push_back(base(random));
    z.push_back(exponent(random));
    v.push_back(any(random));
    w.push_back(any(random));
  }
  const std::vector<double> power = Evaluate(*compiler, Op::kPow, x, z);
  const std::vector<double> angle = Evaluate(*compiler, Op::kAtan2, v, w);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_LE(Ulps(power[i], std::pow(static_cast<Real>(x[i]), static_cast<Real>(z[i]))), 1.0);
    EXPECT_LE(Ulps(angle[i], std::atan2(static_cast<Real>(v[i]), static_cast<Real>(w[i]))), 1.0);
  }
}

TEST(MathAccuracy, PowerOfSpecialValues) {
  const auto compiler = MakeCompiler({}).value();
  const std::vector<double> values = {0.0, -0.0, 1.0,   -1.0,   0.5,       -0.5,       2.0, -2.0,
                                      3.0, -3.0, 1e300, 1e-300, kInfinity, -kInfinity, kNan};
  std::vector<double> x, z;
  for (double a : values) {
    for (double b : values) {
      x.push_back(a);
      z.push_back(b);
    }
  }
  const std::vector<double> power = Evaluate(*compiler, Op::kPow, x, z);
  for (size_t i = 0; i < x.size(); ++i) {
    EXPECT_LE(UlpDistance(power[i], std::pow(x[i], z[i])), 1u) << x[i] << " ^ " << z[i];
  }
}

// One function on a scalar, on a packed batch, in lanes and in loops, and on the AVX2 part of the
// host: all the same bits.
TEST(MathBits, DoNotDependOnTheWidth) {
  constexpr int64_t kSize = 24;
  const codegen::HostTarget host = DetectHost().value();
  std::vector<std::unique_ptr<Compiler>> compilers;
  for (const int lanes : {1, 2, 4, 8}) {
    CompilerOptions options;
    options.simd_lanes = lanes;
    compilers.push_back(MakeCompilerFor(options, host, {.batch_calls = lanes != 2}).value());
  }
  if (host.instruction_set == InstructionSet::kAvx512) {
    compilers.push_back(MakeCompilerFor({}, DetectHost(InstructionSet::kAvx2).value()).value());
  }
  std::vector<MathCase> cases = MathCases();
  cases.push_back({Op::kPow, nullptr, 0, 20, 0});
  cases.push_back({Op::kAtan2, nullptr, -3, 3, 0});
  for (const MathCase& math : cases) {
    const std::vector<double> all = Arguments(math);
    const bool binary = math.op == Op::kPow || math.op == Op::kAtan2;
    const Function loop = Elementwise(math.op, kSize, binary ? 2 : 1);
    FunctionBuilder b("f", {{"x", kSize}, {"z", kSize}}, {{"y", kSize}});
    for (int64_t i = 0; i < kSize; ++i) {
      const ValueId x = b.Input(0, i, {});
      b.Result(binary ? b.Binary(math.op, x, b.Input(1, i, {})) : b.Unary(math.op, x), 0, i);
    }
    const Function scalars = std::move(b).Build();
    for (size_t start = 0; start + kSize < all.size(); start += all.size() / 47) {
      const std::vector<double> x(all.begin() + start, all.begin() + start + kSize);
      const std::vector<double> z(all.rbegin() + start, all.rbegin() + start + kSize);
      Buffers expected;
      for (const auto& compiler : compilers) {
        for (const Function* f : {&loop, &scalars}) {
          for (const int lanes : {1, compiler->simd_lanes()}) {
            const KernelSpec spec = {.lanes = lanes};
            const auto kernel = compiler->Build(*f, spec);
            ASSERT_TRUE(kernel.ok()) << kernel.status();
            const auto results = RunLanes(*f, *kernel, spec, std::vector<Buffers>(lanes, {x, z}));
            if (expected.empty()) expected = results[0];
            for (const Buffers& result : results) {
              ASSERT_TRUE(SameBits(result, expected)) << OpName(math.op) << " from " << start;
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace costate
