// Values of parsed functions against the same equations in C++.
#include "engine/model/lower.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "engine/interpreter/interpreter.h"
#include "engine/model/model.h"
#include "tests/engine/model/model_files.h"

namespace costate {
namespace {

using ::testing::DoubleNear;
using ::testing::Pointwise;
using Vector = std::vector<double>;

ModelIr Parsed(const std::string& text) {
  ParsedModel parsed = ParseModel(text);
  EXPECT_TRUE(parsed.ok()) << FormatIssues("text", text, parsed.issues);
  return std::move(parsed.ir);
}

ModelIr Load(const std::string& name) { return Parsed(ModelText(name)); }

Vector Defaults(const ModelIr& model) {
  Vector p;
  for (const TensorInfo& param : model.params) {
    p.insert(p.end(), param.defaults.begin(), param.defaults.end());
  }
  return p;
}

Vector Rhs(const ModelIr& model, double t, const Vector& y, const Vector& p) {
  return Interpret(model.rhs, {{t}, y, p})[0];
}
Vector Init(const ModelIr& model, double t, const Vector& p) {
  return Interpret(model.init, {{t}, p})[0];
}
Vector Outputs(const ModelIr& model, double t, const Vector& y, const Vector& p) {
  return Interpret(model.output_map, {{t}, y, p})[0];
}

Vector Random(size_t size, double from, double to, std::mt19937_64* random) {
  std::uniform_real_distribution<double> uniform(from, to);
  Vector values(size);
  for (double& value : values) value = uniform(*random);
  return values;
}

void ExpectNear(const Vector& actual, const Vector& expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], 1e-13 * (1 + std::fabs(expected[i]))) << i;
  }
}

TEST(LowerTest, Sir) {
  const ModelIr model = Load("sir");
  EXPECT_EQ(model.name, "sir");
  EXPECT_EQ(Defaults(model), Vector({1.66, 0.44}));
  EXPECT_EQ(model.params[0].upper, 10);
  EXPECT_EQ(Init(model, 0, Defaults(model)), Vector({762, 1, 0}));
  std::mt19937_64 random(1);
  for (int i = 0; i < 20; ++i) {
    const Vector y = Random(3, 0, 500, &random);
    const Vector p = Random(2, 0, 3, &random);
    const double n = y[0] + y[1] + y[2];
    const double infection = p[0] * y[0] * y[1] / n;
    ExpectNear(Rhs(model, 0, y, p), {-infection, infection - p[1] * y[1], p[1] * y[1]});
    EXPECT_EQ(Outputs(model, 0, y, p), Vector({y[1]}));
  }
}

TEST(LowerTest, LorenzLotkaVolterraVanDerPolBrusselator) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 20; ++i) {
    const Vector y = Random(3, -20, 20, &random);
    const Vector p = Random(3, 0, 30, &random);
    ExpectNear(Rhs(Load("lorenz"), 0, y, p),
               {p[0] * (y[1] - y[0]), y[0] * (p[1] - y[2]) - y[1], y[0] * y[1] - p[2] * y[2]});
    const Vector z = {y[0], y[1]};
    ExpectNear(Rhs(Load("lotka_volterra"), 0, z, p),
               {p[0] * z[0] - p[1] * z[0] * z[1], -p[2] * z[1] + z[0] * z[1]});
    ExpectNear(Rhs(Load("van_der_pol"), 0, z, {p[0]}),
               {z[1], p[0] * (1 - z[0] * z[0]) * z[1] - z[0]});
    ExpectNear(Rhs(Load("brusselator"), 0, z, {p[0], p[1]}),
               {p[0] + z[0] * z[0] * z[1] - (p[1] + 1) * z[0], p[1] * z[0] - z[0] * z[0] * z[1]});
  }
  EXPECT_EQ(Defaults(Load("lorenz")), Vector({10, 28, 8.0 / 3.0}));
}

TEST(LowerTest, DampedOscillatorStartsFromItsParameters) {
  const ModelIr model = Load("damped_oscillator");
  EXPECT_EQ(Init(model, 0, {2, 0.1, 3, -4}), Vector({3, -4}));
  ExpectNear(Rhs(model, 0, {3, -4}, {2, 0.1, 3, -4}), {-4, -4 * 3 + 2 * 0.1 * 2 * 4});
  ExpectNear(Outputs(model, 0, {3, -4}, {2, 0.1, 3, -4}), {0.5 * 16 + 0.5 * 4 * 9});
}

// The bursting neuron, from the table of its gates.
Vector Neuron(const Vector& u, const Vector& p) {
  const double V = u[0], Ca = u[1];
  const double eNa = p[0], eh = p[1], eK = p[2], eleak = p[3], tauCa = p[4], gNa = p[5],
               gCaS = p[6], gCaT = p[7], gKa = p[8], gKCa = p[9], gKdr = p[10], gh = p[11],
               gleak = p[12];
  const auto sg = [V](double c, double s) { return 1 / (1 + std::exp((V + c) / s)); };
  const double eCa = 500 * 8.6174e-5 * 283.15 * std::log(3000 / Ca);
  const double ca = (gCaS * std::pow(u[4], 3) * u[5] + gCaT * std::pow(u[6], 3) * u[7]) * (eCa - V);
  const double inf[] = {sg(25.5, -5.29), sg(48.9, 5.18),
                        sg(33, -8.1),    sg(60, 6.2),
                        sg(27.1, -7.2),  sg(32.1, 5.5),
                        sg(70, 6),       sg(27.2, -8.7),
                        sg(56.9, 4.9),   Ca / (Ca + 3) * sg(28.3, -12.6),
                        sg(12.3, -11.8)};
  const double tau[] = {1.32 - 1.26 * sg(120, -25),
                        0.67 * sg(62.9, -10) * (1.5 + sg(34.9, 3.6)),
                        1.4 + 7 / (std::exp((V + 27) / 10) + std::exp((V + 70) / -13)),
                        60 + 150 / (std::exp((V + 55) / 9) + std::exp((V + 65) / -16)),
                        21.7 - 21.3 * sg(68.1, -20.5),
                        105 - 89.8 * sg(55, -16.9),
                        272 + 1499 * sg(42.2, -8.73),
                        11.6 - 10.4 * sg(32.9, -15.2),
                        38.6 - 29.2 * sg(38.9, -26.5),
                        90.3 - 75.1 * sg(46, -22.7),
                        7.2 - 6.4 * sg(28.3, -19.2)};
  Vector du(13);
  du[0] =
      gNa * std::pow(u[2], 3) * u[3] * (eNa - V) + ca + gh * u[8] * (eh - V) +
      (gKa * std::pow(u[9], 3) * u[10] + gKCa * std::pow(u[11], 4) + gKdr * std::pow(u[12], 4)) *
          (eK - V) +
      gleak * (eleak - V);
  du[1] = (0.05 + 0.94 * ca - Ca) / tauCa;
  for (int i = 0; i < 11; ++i) du[i + 2] = (inf[i] - u[i + 2]) / tau[i];
  return du;
}

TEST(LowerTest, Neuron) {
  const ModelIr model = Load("neuron");
  const Vector p = Defaults(model);
  EXPECT_EQ(p, Vector({50, -20, -80, -50, 20, 100, 3, 1.3, 5, 10, 20, 0.5, 0.01}));
  EXPECT_EQ(Init(model, 0, p), Vector({-60, 0.05, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}));
  std::mt19937_64 random(3);
  for (int i = 0; i < 20; ++i) {
    Vector u = Random(13, 0.01, 1, &random);
    u[0] = -80 + 120 * u[0];
    ExpectNear(Rhs(model, 0, u, p), Neuron(u, p));
  }
}

TEST(LowerTest, SpiralNeuralOde) {
  const ModelIr model = Load("spiral_node");
  EXPECT_EQ(Defaults(model), Vector(252, 0.0));
  EXPECT_EQ(Init(model, 0, Defaults(model)), Vector({2, 0}));
  std::mt19937_64 random(4);
  const Vector p = Random(252, -1, 1, &random);
  const Vector y = {1.3, -0.4};
  Vector expected = {p[250], p[251]};
  for (int k = 0; k < 50; ++k) {
    const double hidden =
        std::tanh(p[2 * k] * y[0] * y[0] * y[0] + p[2 * k + 1] * y[1] * y[1] * y[1] + p[100 + k]);
    for (int i = 0; i < 2; ++i) expected[i] += p[150 + 50 * i + k] * hidden;
  }
  ExpectNear(Rhs(model, 0, y, p), expected);
}

TEST(LowerTest, BrusselatorOnAGrid) {
  const ModelIr model = Load("brusselator_grid");
  constexpr int n = 8;
  const Vector p = Defaults(model);
  std::mt19937_64 random(5);
  const Vector y = Random(2 * n * n, 0, 5, &random);
  const auto at = [&](int field, int i, int j) {
    return y[field * n * n + (i + n) % n * n + (j + n) % n];
  };
  for (const double t : {0.0, 2.0}) {
    Vector expected(2 * n * n);
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < n; ++j) {
        const double x = j / 8.0, z = i / 8.0;  // along the second and the first axis
        const auto laplacian = [&](int f) {
          return (at(f, i - 1, j) + at(f, i + 1, j) + at(f, i, j - 1) + at(f, i, j + 1) -
                  4 * at(f, i, j)) *
                 64;
        };
        const bool inside = (x - 0.3) * (x - 0.3) + (z - 0.6) * (z - 0.6) <= 0.01;
        const double source = t >= 1.1 && inside ? 5 : 0;
        const double u = at(0, i, j), v = at(1, i, j);
        expected[i * n + j] = p[0] + u * u * v - (p[1] + 1) * u + p[2] * laplacian(0) + source;
        expected[n * n + i * n + j] = p[1] * u - u * u * v + p[2] * laplacian(1);
      }
    }
    ExpectNear(Rhs(model, t, y, p), expected);
  }
  const Vector start = Init(model, 0, p);
  EXPECT_NEAR(start[1 * n], 22 * std::pow(1 / 8.0 * 7 / 8.0, 1.5), 1e-13);
  EXPECT_NEAR(start[n * n + 1], 27 * std::pow(1 / 8.0 * 7 / 8.0, 1.5), 1e-13);
}

TEST(LowerTest, SlicesOfAConcatenation) {
  const ModelIr model = Load("diffusion_slices");
  std::mt19937_64 random(6);
  const Vector u = Random(10, 0, 1, &random);
  const Vector p = {0.5, 1, 0};
  Vector expected(10);
  for (int i = 0; i < 10; ++i) {
    const double left = i == 0 ? p[1] : u[i - 1];
    const double right = i == 9 ? p[2] : u[i + 1];
    expected[i] = p[0] * (right - 2 * u[i] + left);
  }
  ExpectNear(Rhs(model, 0, u, p), expected);
  ExpectNear(Outputs(model, 0, u, p), {p[0] * (u[0] - u[9]), u[0], u[3], u[6], u[9]});
}

TEST(LowerTest, PiecewiseFollowsTheConditions) {
  const ModelIr model = Load("piecewise");
  const auto level = [](double t) { return t >= 1 && t < 5 ? 1 : t < 1 ? 0 : t <= 10 ? 0.5 : -1; };
  for (const double t : {0.0, 1.0, 3.0, 5.0, 10.0, 10.5}) {
    EXPECT_EQ(Rhs(model, t, {0.25}, {1, 5}), Vector({level(t) - 0.25})) << t;
  }
  EXPECT_EQ(Outputs(model, 0, {0.9}, {1, 5}), Vector({0.8, 1}));
  EXPECT_EQ(Outputs(model, 0, {-0.9}, {1, 5}), Vector({0, 0}));
}

TEST(LowerTest, InitialValuesFromParameters) {
  const ModelIr model = Load("initial_from_parameters");
  // total, infected, scale[2]
  ExpectNear(Init(model, 0.5, {100, 20, 3, 4}), {80, 20, 3 * 0.8, 4 * 0.8, std::sin(0.5)});
}

TEST(LowerTest, Precedence) {
  const double a = 2, b = 3, x = 0.5;
  const double p9 = (!(a > b) && x < 1) || a == b ? 1 : 2;
  const double expected = -(a * a) + a * a + std::pow(2, -a) + std::pow(a, b * b) + (a - b - x) +
                          (a / b / x) + (a / b * x) + (a + b) + p9 + (1 + 2) + (a * -b);
  ExpectNear(Rhs(Load("precedence"), 0, {x}, {a, b}), {expected});
}

TEST(LowerTest, Powers) {
  const double x = 1.05, n = 2.5;
  const double expected = x * x + x * x * x + 1 / x + 1 + x + std::sqrt(x) + std::pow(x, n) +
                          std::pow(x, 4) + std::pow(2, x) + x * x + std::pow(x, 2000);
  const Vector v = {1, 2, 3};
  Vector all = {expected};
  for (int i = 0; i < 3; ++i)
    all.push_back(v[i] * v[i] + std::pow(v[i], i + 1) + std::pow(2, v[i]));
  const Vector actual = Rhs(Load("powers"), 0, {x, 1, 2, 3}, {n});
  ExpectNear(actual, all);
}

TEST(LowerTest, FigureEight) {
  const ModelIr model = Load("nbody");
  std::mt19937_64 random(7);
  const Vector y = Random(12, -1, 1, &random);
  const Vector mass = {1, 2, 3};
  Vector expected(y.begin() + 6, y.end());
  for (int i = 0; i < 3; ++i) {
    double pull[2] = {0, 0};
    for (int j = 0; j < 3; ++j) {
      if (i == j) continue;
      const double dx = y[2 * j] - y[2 * i], dy = y[2 * j + 1] - y[2 * i + 1];
      const double cube = std::pow(std::hypot(dx, dy), 3);
      pull[0] += mass[j] * dx / cube;
      pull[1] += mass[j] * dy / cube;
    }
    expected.insert(expected.end(), pull, pull + 2);
  }
  const Vector actual = Rhs(model, 0, y, mass);
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], 1e-11 * (1 + std::fabs(expected[i])));
  }
}

TEST(LowerTest, HodgkinHuxleyIsContinuedAtThePole) {
  const ModelIr model = Load("hodgkin_huxley");
  const Vector p = Defaults(model);
  // At V = -40 the rate of m is 0/0 in the textbook form; its limit is 1.
  const Vector at = Rhs(model, 0, {-40, 0, 0, 0}, p);
  EXPECT_NEAR(at[1], 1, 1e-15);
  const Vector beside = Rhs(model, 0, {-40 + 1e-4, 0, 0, 0}, p);
  EXPECT_NEAR(beside[1], 1, 1e-4);
}

TEST(LowerTest, DeclarationsOfConstants) {
  const ModelIr model = Load("constants_in_declarations");
  EXPECT_EQ(model.params[0].shape, Shape({3, 2}));
  EXPECT_EQ(model.params[0].defaults, Vector(6, std::sqrt(2.0) * 0.5));
  EXPECT_EQ(model.params[0].lower, -2 * M_PI);
  EXPECT_EQ(model.params[0].upper, std::exp(2));
  EXPECT_EQ(model.params[1].defaults, Vector({0, 0.25, 1}));
  EXPECT_EQ(model.params[2].defaults, Vector({10}));
  EXPECT_EQ(model.params[3].defaults, Vector({1, 3, 2, 4}));
  EXPECT_EQ(model.params[4].defaults, Vector({6}));
}

TEST(LowerTest, TensorsLieOneAfterTheOtherRowMajor) {
  const ModelIr model = Load("tensor_literals");
  EXPECT_EQ(model.params[1].offset, 1);
  EXPECT_EQ(model.params[2].offset, 9);
  EXPECT_EQ(model.params[1].defaults, Vector({1, 2, 3, 4, 5, 6, 7, 8}));
  EXPECT_EQ(Init(model, 0, Defaults(model)), Vector({2, 1, 0, 2}));
  EXPECT_EQ(model.outputs[0].shape, Shape({1}));
}

TEST(LowerTest, LocationsPointAtTheText) {
  const ModelIr model = Parsed("state x = 1\nx' = 2 +\n  sin(x)\n");
  EXPECT_EQ(model.states[0].location.column, 7);
  for (const Instruction& instruction : model.rhs.instructions) {
    if (instruction.op != Op::kSin) continue;
    EXPECT_EQ(instruction.location.line, 3);
    EXPECT_EQ(instruction.location.column, 3);
    EXPECT_EQ(instruction.location.length, 3);
  }
}

TEST(LowerTest, SharedWorkIsDoneOnce) {
  const ModelIr model = Load("sharing");
  EXPECT_LT(model.rhs.instructions.size(), 80);
  const ModelIr neuron = Load("neuron");
  int exps = 0;
  for (const Instruction& instruction : neuron.rhs.instructions) exps += instruction.op == Op::kExp;
  EXPECT_EQ(exps, 25);  // 21 calls of sg and 4 of the two other time constants, none twice
}

}  // namespace
}  // namespace costate
