#include "server/validate/gradient_options.h"

#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

absl::Status Judge(const std::string& text) {
  return ValidateGradientOptions(FromText<v1::GradientOptions>(text));
}

std::string Field(const std::string& text) { return FieldOf(Judge(text)).value_or(""); }

TEST(ValidateGradientOptions, TakesEveryMethod) {
  for (int number = 0; number <= v1::GradientMethod_MAX; ++number) {
    v1::GradientOptions options;
    options.set_method(static_cast<v1::GradientMethod>(number));
    const absl::Status status = ValidateGradientOptions(options);
    EXPECT_TRUE(status.ok()) << status;
  }
}

TEST(ValidateGradientOptions, RefusesEnumValuesItDoesNotKnow) {
  EXPECT_EQ(Field("method: 99"), "gradient.method");
  EXPECT_EQ(Field("method: -1"), "gradient.method");
  EXPECT_EQ(Field("tangent_control: 7"), "gradient.tangent_control");
  EXPECT_EQ(Field("report { level: 9 }"), "gradient.report.level");
  EXPECT_EQ(Field("method: GRADIENT_METHOD_GAUSS backward { method: 999 }"),
            "gradient.backward.method");
}

TEST(ValidateGradientOptions, ChecksRanges) {
  const std::string gauss = "method: GRADIENT_METHOD_GAUSS ";
  const std::string difference = "method: GRADIENT_METHOD_FINITE_DIFFERENCE ";
  EXPECT_EQ(Field("memory_budget_bytes: -1"), "gradient.memory_budget_bytes");
  EXPECT_EQ(Field("memory_budget_bytes: 9223372036854775807"), "gradient.memory_budget_bytes");
  EXPECT_EQ(Field("method: GRADIENT_METHOD_CHECKPOINTED checkpoints: -1"), "gradient.checkpoints");
  EXPECT_EQ(Field("method: GRADIENT_METHOD_SEGMENTED segments: 9223372036854775807"),
            "gradient.segments");
  EXPECT_EQ(Field(gauss + "checkpoint_every: -5"), "gradient.checkpoint_every");
  for (const char* number : {"0", "-1", "nan", "inf"}) {
    EXPECT_EQ(Field(gauss + "backward { rtol: " + number + " }"), "gradient.backward.rtol");
    EXPECT_EQ(Field(gauss + "backward { atol: " + number + " }"), "gradient.backward.atol");
    EXPECT_EQ(Field(difference + "difference { step: " + number + " }"),
              "gradient.difference.step");
  }
  EXPECT_EQ(Field(gauss + "backward { rtol: 1e-7 seminorm: true } checkpoint_every: 3"), "");
  EXPECT_EQ(Field(difference + "difference { step: 1e-4 frozen_grid: true }"), "");
}

// It would give zero, and no sign that nothing was moved.
TEST(ValidateGradientOptions, StepsOfDifferencesMoveSomething) {
  const std::string tiny = " difference { step: 1e-17 }";
  const absl::Status status = Judge("method: GRADIENT_METHOD_FINITE_DIFFERENCE" + tiny);
  EXPECT_EQ(FieldOf(status).value_or(""), "gradient.difference.step");
  EXPECT_THAT(std::string(status.message()), HasSubstr("2.2"));
  EXPECT_EQ(Field("method: GRADIENT_METHOD_COMPLEX_STEP difference { step: 1e-200 }"), "");
  const auto check = [&tiny](const std::vector<v1::GradientMethod>& methods) {
    return ValidateCheckedMethods(methods, FromText<v1::GradientOptions>(tiny));
  };
  EXPECT_EQ(FieldOf(check({v1::GRADIENT_METHOD_FINITE_DIFFERENCE})).value_or(""),
            "gradient.difference.step");
  EXPECT_TRUE(check({v1::GRADIENT_METHOD_GAUSS, v1::GRADIENT_METHOD_COMPLEX_STEP}).ok());
}

// What the engine cannot see: that a choice was made whose value is the default.
TEST(ValidateGradientOptions, RefusesChoicesWithoutUse) {
  absl::Status status =
      Judge("method: GRADIENT_METHOD_BACKPROP tangent_control: TANGENT_CONTROL_FULL");
  EXPECT_EQ(FieldOf(status).value_or(""), "gradient.tangent_control");
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("the method backprop has no use for it; leave it out, or use forward"));
  for (const char* method : {"GRADIENT_METHOD_FORWARD", "GRADIENT_METHOD_COMPLEX_STEP"}) {
    status = Judge(std::string("memory_budget_bytes: 9 method: ") + method);
    EXPECT_EQ(FieldOf(status).value_or(""), "gradient.memory_budget_bytes");
    EXPECT_THAT(std::string(status.message()), HasSubstr("or use checkpointed"));
  }
  EXPECT_EQ(Field("method: GRADIENT_METHOD_GAUSS memory_budget_bytes: 9"), "");
  EXPECT_EQ(Field("method: GRADIENT_METHOD_BACKPROP memory_budget_bytes: 9"), "");
  EXPECT_EQ(Field("method: GRADIENT_METHOD_REVERSIBLE memory_budget_bytes: 9"), "");
  EXPECT_EQ(Field("memory_budget_bytes: 64000000 tangent_control: TANGENT_CONTROL_PRIMAL_ONLY"),
            "");
}

TEST(ValidateGradientOptions, ChecksOfReportsNeedOne) {
  for (const char* check : {"tolerance_refinement", "second_method", "directional_difference",
                            "growth", "linear_range"}) {
    const std::string wanted = std::string(check) + ": true";
    EXPECT_EQ(Field("report { " + wanted + " }"), "");
    EXPECT_EQ(Field("report { level: LEVEL_BASIC " + wanted + " }"), "");
    EXPECT_EQ(Field("report { level: LEVEL_OFF " + wanted + " }"),
              std::string("gradient.report.") + check);
  }
}

TEST(ValidateGradientOptions, ReportsOfABatchAreCounted) {
  EXPECT_EQ(Field("report { every: 1 }"), "");
  EXPECT_EQ(Field("report { every: -1 }"), "gradient.report.every");
  EXPECT_EQ(Field("report { level: LEVEL_OFF every: 4 }"), "gradient.report.every");
}

TEST(MethodsToCheck, HasADefault) {
  v1::CheckGradientRequest request;
  EXPECT_THAT(MethodsToCheck(request),
              ElementsAre(v1::GRADIENT_METHOD_FORWARD, v1::GRADIENT_METHOD_BACKPROP,
                          v1::GRADIENT_METHOD_GAUSS, v1::GRADIENT_METHOD_FINITE_DIFFERENCE));
  v1::SolveOptions* options = request.mutable_simulation()->mutable_options();
  for (const v1::Method method :
       {v1::METHOD_RK4, v1::METHOD_ALF, v1::METHOD_REVERSIBLE_HEUN, v1::METHOD_LEAPFROG_MIDPOINT}) {
    options->set_method(method);
    if (method == v1::METHOD_RK4) options->set_coupling(0.999);
    EXPECT_THAT(MethodsToCheck(request),
                ElementsAre(v1::GRADIENT_METHOD_FORWARD, v1::GRADIENT_METHOD_BACKPROP,
                            v1::GRADIENT_METHOD_REVERSIBLE, v1::GRADIENT_METHOD_FINITE_DIFFERENCE))
        << "gauss needs a Runge-Kutta method as it is";
    options->clear_coupling();
  }
  request.add_methods(v1::GRADIENT_METHOD_SEGMENTED);
  EXPECT_THAT(MethodsToCheck(request), ElementsAre(v1::GRADIENT_METHOD_SEGMENTED));
}

}  // namespace
}  // namespace costate
