// Expressions of saved values against the same losses written out, closed forms and differences.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "engine/gradients/method.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::Batch;
using ::costate::testing::CompileText;
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;
using ::costate::testing::Squares;
using ::costate::testing::TestEngine;
using ::testing::AllOf;
using ::testing::HasSubstr;

// x = a exp(-k t), W = w0 + t [[1, 2], [3, 4]].
constexpr char kText[] =
    "model m\nparam a = 3\nparam k = 0.7\nparam w0[2, 2] = [[1, 0], [0, 1]]\n"
    "state x = a\nstate W[2, 2] = w0\nx' = -k*x\nW' = [[1, 2], [3, 4]]\n"
    "output rate = k*x + t\noutput x\noutput k = 2*x\n";

GradientRequest Request(std::string text, std::vector<double> times, std::vector<std::string> wrt,
                        std::vector<NamedArray> data = {}) {
  GradientRequest request;
  request.simulation = Simulate(CompileText(kText), 0, 2, 1e-11, 1e-13);
  ExpressionLoss term;
  term.text = std::move(text);
  term.times = std::move(times);
  term.data = std::move(data);
  request.loss.terms = {std::move(term)};
  request.wrt = std::move(wrt);
  return request;
}

absl::StatusOr<GradientResult> Differentiated(const GradientRequest& request) {
  return TestEngine().Differentiate(request);
}

NamedArray Array(std::string name, std::vector<int64_t> shape, std::vector<double> values) {
  return {.name = std::move(name), .shape = std::move(shape), .values = std::move(values)};
}

TEST(ExpressionLoss, IsLeastSquaresToRounding) {
  const std::vector<double> times = {2, 0.5, 1, 0.5}, values = {1, 2, 3, 2.5};
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    GradientRequest written = Request("sum(((rate - counts)/0.5)^2)", times, {"a", "x", "w0"},
                                      {Array("counts", {4}, values)});
    written.gradient.method = method;
    GradientRequest listed = written;
    LeastSquares squares;
    squares.channel = {Channel::Kind::kOutput, 0};
    squares.times = times;
    squares.values = values;
    squares.sigma = {0.5};
    listed.loss.terms = {squares};
    const auto a = Differentiated(written), b = Differentiated(listed);
    ASSERT_TRUE(a.ok() && b.ok()) << a.status() << b.status();
    const auto& x = a->trajectories[0];
    const auto& y = b->trajectories[0];
    EXPECT_GT(y.loss, 1);
    EXPECT_NEAR(x.loss, y.loss, 1e-14 * y.loss);
    for (size_t q = 0; q < x.gradient.size(); ++q) {
      EXPECT_NEAR(x.gradient[q], y.gradient[q], 1e-14 * std::fabs(y.gradient[0]));
    }
  }
}

// L = sum_k a^2 t_k x(t_k), x = a exp(-k t): dL/da = 3 a^2 sum t e; the part through a^2 alone is
// two thirds of it.
TEST(ExpressionLoss, ParametersAndTimesActDirectlyToo) {
  for (const GradientMethod method : {GradientMethod::kForward, GradientMethod::kBackprop}) {
    GradientRequest request = Request("a^2*sum(t*x)", {1, 1.5}, {"a"});
    request.gradient.method = method;
    request.gradient.want_times = true;
    const auto result = Differentiated(request);
    ASSERT_TRUE(result.ok()) << result.status();
    const double e1 = std::exp(-0.7), e2 = std::exp(-1.05);
    EXPECT_NEAR(result->trajectories[0].loss, 27 * (e1 + 1.5 * e2), 1e-9);
    EXPECT_NEAR(result->trajectories[0].gradient[0], 27 * (e1 + 1.5 * e2), 1e-8);
    // d/dt of a^2 t x(t) = a^2 (x + t x')
    ASSERT_EQ(result->trajectories[0].times.size(), 2u);
    EXPECT_NEAR(result->trajectories[0].times[0], 27 * e1 * (1 - 0.7), 1e-6);
    EXPECT_NEAR(result->trajectories[0].times[1], 27 * e2 * (1 - 0.7 * 1.5), 1e-6);
  }
}

// Tensors keep their shape behind the axis of the times.
TEST(ExpressionLoss, TensorsAreIndexedByTimeFirst) {
  const auto result = Differentiated(
      Request("W[2, 1, 0] + 10*W[0, 0, 1] + 100*sum(W[1] @ [1, 1])", {1, 2, 0}, {"w0", "W"}));
  ASSERT_TRUE(result.ok()) << result.status();
  // times 1, 2, 0: W(1) = [[2, 2], [3, 5]], W(2) = [[3, 4], [6, 9]], W(0) = I
  EXPECT_NEAR(result->trajectories[0].loss, 0 + 20 + 100 * 22, 1e-8);
  const std::vector<double> expected = {100, 110, 101, 100};
  for (int q = 0; q < 8; ++q) {
    EXPECT_NEAR(result->trajectories[0].gradient[q], expected[q % 4], 1e-9);
  }
}

TEST(ExpressionLoss, BatchesTakeTheirOwnParameters) {
  GradientRequest request = Request("sum(a*x)", {1}, {"a"});
  request.simulation.params = {Batch("a", {2, 5})};
  const auto result = Differentiated(request);
  ASSERT_TRUE(result.ok()) << result.status();
  for (int b = 0; b < 2; ++b) {
    const double a = b == 0 ? 2 : 5;
    EXPECT_NEAR(result->trajectories[b].loss, a * a * std::exp(-0.7), 1e-9);
    EXPECT_NEAR(result->trajectories[b].gradient[0], 2 * a * std::exp(-0.7), 1e-8);
  }
}

// Another value of the data, the same text: nothing of the first request is left.
TEST(ExpressionLoss, DataAreNotPartOfTheCode) {
  for (const double c : {1.0, 7.0}) {
    const auto result = Differentiated(Request("sum(c*x)", {0}, {"a"}, {Array("c", {1}, {c})}));
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->trajectories[0].loss, 3 * c);
    EXPECT_EQ(result->trajectories[0].gradient[0], c);
  }
}

TEST(ExpressionLoss, MissingDataCanBeMasked) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto result = Differentiated(
      Request("sum(if d == d then (x - d)^2 else 0)", {0, 1}, {"a"}, {Array("d", {2}, {1, nan})}));
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->trajectories[0].loss, 4);
  EXPECT_EQ(result->trajectories[0].gradient[0], 4);
}

TEST(ExpressionLoss, GradientIsTheDifferenceQuotient) {
  // x is an output too, with the same values; rate hides nothing; log-likelihood of a kind.
  const char* text = "-sum(log(rate)*d) + sum(rate)/a + dot(x, x)";
  const std::vector<NamedArray> data = {Array("d", {3}, {2, 1, 4})};
  const auto result = Differentiated(Request(text, {0.3, 1, 2}, {"a"}, data));
  ASSERT_TRUE(result.ok()) << result.status();
  double moved[2];
  for (int side = 0; side < 2; ++side) {
    GradientRequest request = Request(text, {0.3, 1, 2}, {"a"}, data);
    request.simulation.params = {Scalar("a", 3 + (side == 0 ? -1e-4 : 1e-4))};
    const auto other = Differentiated(request);
    ASSERT_TRUE(other.ok()) << other.status();
    moved[side] = other->trajectories[0].loss;
  }
  EXPECT_NEAR(result->trajectories[0].gradient[0], (moved[1] - moved[0]) / 2e-4, 1e-6);
}

TEST(ExpressionLoss, SaysWhatIsWrongAndWhere) {
  const auto status = [](std::string text, std::vector<NamedArray> data = {}) {
    return Differentiated(Request(std::move(text), {1, 2}, {"a"}, std::move(data))).status();
  };
  const auto message = [&](std::string text) { return std::string(status(text).message()); };
  EXPECT_EQ(FieldOf(status("sum(ratee)")), "loss.terms[0].expression.text");
  EXPECT_THAT(message("sum(ratee)"), AllOf(HasSubstr("expression:1:5: error: unknown name 'ratee'"),
                                           HasSubstr("did you mean 'rate'?"), HasSubstr("^~~~~")));
  EXPECT_THAT(message("sum(zzz)"), HasSubstr("states, outputs, parameters and data"));
  EXPECT_THAT(message("rate"), HasSubstr("shape [2], expected one number"));
  EXPECT_THAT(message("sum(k)"), HasSubstr("'k' is a parameter and an output of the model"));
  EXPECT_THAT(message("sum(rate"), HasSubstr("never closed"));
  EXPECT_THAT(message("sum(x + c) + sum(y)"), AllOf(HasSubstr("'c'"), HasSubstr("'y'")));
  EXPECT_EQ(FieldOf(status("sum(x)", {Array("a", {}, {1})})),
            "loss.terms[0].expression.data[0].name");
  EXPECT_EQ(FieldOf(status("sum(x)", {Array("d", {}, {1}), Array("d", {}, {1})})),
            "loss.terms[0].expression.data[1].name");
  EXPECT_EQ(FieldOf(status("sum(x)", {Array("1d", {}, {1})})),
            "loss.terms[0].expression.data[0].name");
  EXPECT_EQ(FieldOf(status("sum(x)", {Array("d", {3}, {1})})),
            "loss.terms[0].expression.data[0].array");
  EXPECT_THAT(std::string(status("sum(x - d)", {Array("d", {3}, {1, 2, 3})}).message()),
              AllOf(HasSubstr("[2]"), HasSubstr("[3]")));
  EXPECT_EQ(FieldOf(Differentiated(Request("sum(x)", {1, 3}, {"a"})).status()),
            "loss.terms[0].expression.times[1]");
  EXPECT_EQ(FieldOf(Differentiated(Request("sum(x)", {}, {"a"})).status()),
            "loss.terms[0].expression.times");
}

}  // namespace
}  // namespace costate
