#include "server/convert/loss.h"

#include <cmath>
#include <string>
#include <variant>

#include "engine/base/field_error.h"
#include "tests/server/compiled_model.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

absl::StatusOr<Loss> Convert(const std::string& text) {
  return LossFromProto("loss", FromText<v1::Loss>(text), ModelOf(kTensorModel)->ir());
}

TEST(LossFromProto, ConvertsLeastSquares) {
  const absl::StatusOr<Loss> loss = Convert(R"pb(
    terms {
      least_squares {
        output: "z[1,0]"
        times { values: [ 1, 2 ] }
        values { values: [ 3, nan ] }
        half: true
      }
    }
    terms {
      least_squares {
        state: "x"
        times { values: 1 }
        values { values: 0 }
        sigma { values: 7 }
      }
    })pb");
  ASSERT_TRUE(loss.ok()) << loss.status();
  const auto& first = std::get<LeastSquares>(loss->terms[0]);
  EXPECT_EQ(first.channel.kind, Channel::Kind::kOutput);
  EXPECT_EQ(first.channel.index, 3);
  EXPECT_THAT(first.times, ElementsAre(1, 2));
  EXPECT_THAT(first.sigma, ElementsAre(1));
  EXPECT_TRUE(first.half);
  const auto& second = std::get<LeastSquares>(loss->terms[1]);
  EXPECT_EQ(second.channel.kind, Channel::Kind::kState);
  EXPECT_EQ(second.channel.index, 0);
  EXPECT_THAT(second.sigma, ElementsAre(7));
}

TEST(LossFromProto, ConvertsWeights) {
  const absl::StatusOr<Loss> loss = Convert(R"pb(
    terms {
      linear {
        times { values: [ 1, 2 ] }
        state_weights {
          shape: [ 2, 5 ]
          values: [ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ]
        }
      }
    }
    terms { terminal { output_weights { values: [ 1, 2, 3, 4, 5 ] } } })pb");
  ASSERT_TRUE(loss.ok()) << loss.status();
  EXPECT_EQ(std::get<Linear>(loss->terms[0]).states.size(), 10u);
  EXPECT_THAT(std::get<Linear>(loss->terms[0]).outputs, IsEmpty());
  EXPECT_THAT(std::get<Terminal>(loss->terms[1]).output, ElementsAre(1, 2, 3, 4, 5));
}

TEST(LossFromProto, NamesWhatDoesNotFit) {
  const auto field = [](const std::string& text) {
    return FieldOf(Convert(text).status()).value_or("none");
  };
  EXPECT_EQ(field("terms { least_squares { output: 'q' times { values: 1 } } }"),
            "loss.terms[0].least_squares.output");
  EXPECT_EQ(field("terms { least_squares { state: 'y' times { values: 1 } } }"),
            "loss.terms[0].least_squares.state");
  EXPECT_EQ(field("terms { linear { times { values: [1, 2] } state_weights { values: [1, 2] } } }"),
            "loss.terms[0].linear.state_weights");
  EXPECT_EQ(field("terms { linear { times { values: [1, 2] } state_weights { shape: [5, 2] "
                  "values: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] } } }"),
            "loss.terms[0].linear.state_weights");
  EXPECT_EQ(field("terms { terminal { state_weights { values: 1 } } }"),
            "loss.terms[0].terminal.state_weights");
  EXPECT_THAT(
      std::string(Convert("terms { terminal { state_weights { values: 1 } } }").status().message()),
      ::testing::EndsWith("got 1 elements, expected [5]"));
}

TEST(LossFromProto, SaysWhereANameBelongs) {
  absl::Status status =
      Convert("terms { least_squares { output: 'x' times { values: 1 } } }").status();
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("name it with state="));
  status = Convert("terms { least_squares { state: 'twice' times { values: 1 } } }").status();
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("name it with output="));
}

TEST(LossFromProto, ConvertsTexts) {
  const absl::StatusOr<Loss> loss = Convert(R"pb(
    terms { integral { integrand: "x^2" } }
    terms {
      expression {
        text: "sum(d)"
        times { values: [ 2, 1 ] }
        data {
          name: "d"
          array {
            shape: [ 1, 2 ]
            values: [ 3, nan ]
          }
        }
        data {
          name: "s"
          array { values: 4 }
        }
      }
    })pb");
  ASSERT_TRUE(loss.ok()) << loss.status();
  EXPECT_EQ(std::get<IntegralLoss>(loss->terms[0]).integrand, "x^2");
  const auto& expression = std::get<ExpressionLoss>(loss->terms[1]);
  EXPECT_EQ(expression.text, "sum(d)");
  EXPECT_THAT(expression.times, ElementsAre(2, 1));
  ASSERT_EQ(expression.data.size(), 2u);
  EXPECT_EQ(expression.data[0].name, "d");
  EXPECT_THAT(expression.data[0].shape, ElementsAre(1, 2));
  EXPECT_TRUE(std::isnan(expression.data[0].values[1]));
  EXPECT_THAT(expression.data[1].shape, IsEmpty());
  EXPECT_THAT(expression.data[1].values, ElementsAre(4));
}

}  // namespace
}  // namespace costate
