#include "engine/interpreter/complex_evaluate.h"

#include <cmath>
#include <complex>
#include <string>
#include <vector>

#include "engine/interpreter/interpreter.h"
#include "engine/model/model.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using Complex = std::complex<double>;

// The right-hand side of a model with one state x and parameters p, q.
Function Rhs(const std::string& expression) {
  ParsedModel parsed =
      ParseModel("model m\nparam p = 1\nparam q = 1\nstate x = 1\nx' = " + expression + "\n");
  EXPECT_TRUE(parsed.ok()) << expression;
  return parsed.ir.rhs;
}

// Imaginary parts against central differences of the real interpreter, which knows nothing of
// derivatives; at points on both sides of zero where the function has values there.
TEST(InterpretComplex, ImaginaryPartsAreDerivatives) {
  const char* expressions[] = {"-x",
                               "abs(x)*p",
                               "sqrt(x*x + p)",
                               "exp(x)",
                               "expm1(x)",
                               "log(p)",
                               "log1p(p)",
                               "sin(x)",
                               "cos(x)",
                               "tan(x)",
                               "asin(x/3)",
                               "acos(x/3)",
                               "atan(x)",
                               "sinh(x)",
                               "cosh(x)",
                               "tanh(x)",
                               "asinh(x)",
                               "acosh(p + 1)",
                               "atanh(x/3)",
                               "sigmoid(9*x)",
                               "erf(x)",
                               "x^3",
                               "x^-2",
                               "p^x",
                               "x^(q - q + 3)",
                               "x/p - q",
                               "atan2(x, p)",
                               "min(x, p)*x",
                               "max(x, p)*p",
                               "floor(x)*p",
                               "p^2.5*sin(x*q)"};
  for (const char* expression : expressions) {
    const Function f = Rhs(expression);
    for (const double x : {0.7, -0.6, 1.3}) {
      const std::vector<double> point = {x, 0.9, 1.1};
      const auto value = [&](double shift) {
        return Interpret(
            f, {{0.5}, {point[0] + shift}, {point[1] + 0.3 * shift, point[2] - 0.7 * shift}})[0][0];
      };
      const double h = 1e-5;
      const double difference = (value(h) - value(-h)) / (2 * h);
      const double step = 1e-30;
      const Complex complex = InterpretComplex(
          f, {{0.5}, {{point[0], step}}, {{point[1], 0.3 * step}, {point[2], -0.7 * step}}})[0][0];
      EXPECT_NEAR(complex.real(), value(0), 1e-14 * (1 + std::fabs(value(0)))) << expression;
      if (std::isnan(difference)) {
        EXPECT_TRUE(std::isnan(complex.imag())) << expression << " " << x;
      } else {
        EXPECT_NEAR(complex.imag() / step, difference, 1e-8 * (1 + std::fabs(difference)))
            << expression << " " << x;
      }
    }
  }
}

TEST(InterpretComplex, IsNaNOutsideTheRealDomain) {
  for (const char* expression : {"log(x)", "sqrt(x)", "x^0.5", "asin(x)", "acosh(x)"}) {
    const Complex value =
        InterpretComplex(Rhs(expression), {{0.0}, {{-2.0, 1e-30}}, {1.0, 1.0}})[0][0];
    EXPECT_TRUE(std::isnan(value.imag())) << expression;
  }
}

// Matrix products and moves of elements.
TEST(InterpretComplex, Tensors) {
  const ParsedModel parsed = ParseModel(
      "model m\nparam W[2, 3]\nparam b[2]\nstate y[3] = 1\nstate z[2] = 1\n"
      "y' = y*sum(z)\nz' = tanh(W @ y + b)\n");
  ASSERT_TRUE(parsed.ok());
  const std::vector<double> y = {0.3, -0.5, 0.8, 0.1, -0.2};
  const std::vector<double> p = {0.1, 0.4, -0.3, 0.7, -0.6, 0.2, 0.05, -0.15};
  const double step = 1e-30, h = 1e-6;
  std::vector<Complex> cy, cp;
  std::vector<double> up_y, up_p, down_y, down_p;
  for (size_t i = 0; i < y.size(); ++i) {
    cy.emplace_back(y[i], step * static_cast<double>(i));
    up_y.push_back(y[i] + h * static_cast<double>(i));
    down_y.push_back(y[i] - h * static_cast<double>(i));
  }
  for (size_t i = 0; i < p.size(); ++i) {
    cp.emplace_back(p[i], -step * static_cast<double>(i));
    up_p.push_back(p[i] - h * static_cast<double>(i));
    down_p.push_back(p[i] + h * static_cast<double>(i));
  }
  const Function& f = parsed.ir.rhs;
  const auto complex = InterpretComplex(f, {{0.0}, cy, cp})[0];
  const auto up = Interpret(f, {{0.0}, up_y, up_p})[0];
  const auto down = Interpret(f, {{0.0}, down_y, down_p})[0];
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(complex[i].imag() / step, (up[i] - down[i]) / (2 * h), 1e-8) << i;
  }
}

}  // namespace
}  // namespace costate
