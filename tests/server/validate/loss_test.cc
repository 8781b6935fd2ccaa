#include "server/validate/loss.h"

#include <string>

#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

struct Case {
  const char* name;
  const char* loss;
  const char* field;  // empty: the loss is fine
};

class LossText : public ::testing::TestWithParam<Case> {};

TEST_P(LossText, IsJudged) {
  const absl::Status status = ValidateLoss("loss", FromText<v1::Loss>(GetParam().loss));
  EXPECT_EQ(FieldOf(status).value_or(""), GetParam().field) << status;
}

INSTANTIATE_TEST_SUITE_P(
    All, LossText,
    ::testing::Values(
        Case{"none", "", "loss.terms"}, Case{"empty_term", "terms { }", "loss.terms[0]"},
        Case{"least_squares",
             "terms { least_squares { output: 'o' times { values: 1 } values { values: nan } } }",
             ""},
        Case{"no_channel", "terms { least_squares { times { values: 1 } values { values: 1 } } }",
             "loss.terms[0].least_squares.channel"},
        Case{"no_times", "terms { least_squares { state: 's' } }",
             "loss.terms[0].least_squares.times"},
        Case{"lengths",
             "terms { least_squares { state: 's' times { values: [1, 2] } values { values: 1 } } }",
             "loss.terms[0].least_squares.values"},
        Case{"inf_value",
             "terms { least_squares { state: 's' times { values: 1 } values { values: inf } } }",
             "loss.terms[0].least_squares.values.values[0]"},
        Case{"nan_time",
             "terms { least_squares { state: 's' times { values: nan } values { values: 1 } } }",
             "loss.terms[0].least_squares.times.values[0]"},
        Case{"second", "terms { terminal { } } terms { linear { } }", "loss.terms[1].linear.times"},
        Case{"weights",
             "terms { linear { times { values: 1 } state_weights { shape: [1, 2] values: 1 } } }",
             "loss.terms[0].linear.state_weights"},
        Case{"integral", "terms { integral { integrand: 'x^2' } }", ""},
        Case{"no_integrand", "terms { integral { } }", "loss.terms[0].integral.integrand"},
        Case{
            "expression",
            "terms { expression { text: 'sum(x)' times { values: [1, 0] } data { name: 'd' array { "
            "values: [1, nan] } } } }",
            ""},
        Case{"no_text", "terms { expression { times { values: 1 } } }",
             "loss.terms[0].expression.text"},
        Case{"no_expression_times", "terms { expression { text: 'x' } }",
             "loss.terms[0].expression.times"},
        Case{"matrix_of_times",
             "terms { expression { text: 'x' times { shape: [1, 1] values: 1 } } }",
             "loss.terms[0].expression.times.shape"},
        Case{"nameless_data",
             "terms { expression { text: 'x' times { values: 1 } data { array { values: 1 } } } }",
             "loss.terms[0].expression.data[0].name"},
        Case{"empty_data",
             "terms { expression { text: 'x' times { values: 1 } data { name: 'd' } } }",
             "loss.terms[0].expression.data[0].array"},
        Case{"inf_data",
             "terms { expression { text: 'x' times { values: 1 } data { name: 'd' array { values: "
             "inf } } } }",
             "loss.terms[0].expression.data[0].array.values[0]"},
        Case{"terminal_nan", "terms { terminal { output_weights { values: nan } } }",
             "loss.terms[0].terminal.output_weights.values[0]"}),
    [](const auto& tested) { return tested.param.name; });

TEST(ValidateLoss, BoundsTexts) {
  v1::Loss loss;
  std::string* text = loss.add_terms()->mutable_integral()->mutable_integrand();
  text->assign(limits::kMaxModelTextBytes, 'x');
  EXPECT_TRUE(ValidateLoss("loss", loss).ok());
  text->push_back('x');
  EXPECT_EQ(FieldOf(ValidateLoss("loss", loss)).value_or(""), "loss.terms[0].integral.integrand");
}

TEST(ValidateName, BoundsLengths) {
  EXPECT_TRUE(ValidateName("n", std::string(limits::kMaxIdentifierBytes, 'a')).ok());
  EXPECT_FALSE(ValidateName("n", std::string(limits::kMaxIdentifierBytes + 1, 'a')).ok());
  EXPECT_EQ(FieldOf(ValidateName("n", "")).value_or(""), "n");
}

}  // namespace
}  // namespace costate
