#include "server/validate/array.h"

#include <limits>
#include <string>

#include "engine/base/field_error.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::HasSubstr;
using ::testing::Optional;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Case {
  const char* name;
  const char* text;
  const char* field;  // at fault; empty: the array is fine
  const char* message;
};

class ArrayText : public ::testing::TestWithParam<Case> {};

TEST_P(ArrayText, IsJudged) {
  const absl::Status status =
      ValidateArray("a", FromText<v1::Array>(GetParam().text), Elements::kFinite);
  if (*GetParam().field == '\0') {
    EXPECT_TRUE(status.ok()) << status;
    return;
  }
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(FieldOf(status), Optional(std::string(GetParam().field)));
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().message));
}

// 3037000500^2 is the first square past 2^63; 4294967296^2 is 0 modulo 2^64.
INSTANTIATE_TEST_SUITE_P(
    All, ArrayText,
    ::testing::Values(
        Case{"empty", "", "", ""}, Case{"empty_shape", "shape: 0", "", ""},
        Case{"values", "values: [1, 2]", "", ""},
        Case{"matrix", "shape: [2, 2] values: [1, 2, 3, 4]", "", ""},
        Case{"zero_with_overflowing_rest", "shape: [9223372036854775807, 9223372036854775807, 0]",
             "a", "more than 2^63"},
        Case{"both", "data: '12345678' values: 1", "a", "both data and values"},
        Case{"not_whole", "data: '1234567'", "a.data", "multiple of 8"},
        Case{"negative", "shape: -1", "a.shape[0]", "an extent >= 0"},
        Case{"negative_pair", "shape: [-1, -1] values: 1", "a.shape[0]", ">= 0"},
        Case{"too_few", "shape: 3 values: [1, 2]", "a", "declares 3 elements, the data has 2"},
        Case{"too_many", "shape: 1 values: [1, 2]", "a", "declares 1 elements, the data has 2"},
        Case{"huge", "shape: 1000000000000", "a", "declares 1000000000000 elements"},
        Case{"overflow", "shape: [3037000500, 3037000500]", "a", "more than 2^63"},
        Case{"wraps_to_zero", "shape: [4294967296, 4294967296]", "a", "more than 2^63"},
        Case{"rank", "shape: [1, 1, 1, 1, 1, 1, 1, 1, 1] values: 1", "a.shape", "at most 8"},
        Case{"nan", "values: [1, nan]", "a.values[1]", "got nan, expected a finite number"},
        Case{"inf", "values: inf", "a.values[0]", "got inf"},
        Case{"minus_inf", "values: [0, 0, -inf]", "a.values[2]", "got -inf"}),
    [](const auto& tested) { return tested.param.name; });

TEST(ValidateArray, LooksIntoBytes) {
  v1::Array array;
  array.set_data(DoublesToBytes({1.0, -0.0, 5e-324, std::numeric_limits<double>::max()}));
  EXPECT_TRUE(ValidateArray("a", array, Elements::kFinite).ok());
  array.set_data(DoublesToBytes({1.0, kNaN}));
  EXPECT_THAT(FieldOf(ValidateArray("a", array, Elements::kFinite)),
              Optional(std::string("a.data[1]")));
  EXPECT_TRUE(ValidateArray("a", array, Elements::kFiniteOrNan).ok());
  array.set_data(DoublesToBytes({kInfinity}));
  EXPECT_FALSE(ValidateArray("a", array, Elements::kFiniteOrNan).ok());
}

TEST(ValidateArray, TakesSignallingNanForNan) {
  v1::Array array;
  array.set_data(DoublesToBytes({std::numeric_limits<double>::signaling_NaN()}));
  EXPECT_FALSE(ValidateArray("a", array, Elements::kFinite).ok());
  EXPECT_TRUE(ValidateArray("a", array, Elements::kFiniteOrNan).ok());
}

TEST(ValidateVector, RefusesMatrices) {
  const auto matrix = FromText<v1::Array>("shape: [1, 2] values: [1, 2]");
  EXPECT_THAT(FieldOf(ValidateVector("a", matrix, Elements::kFinite)),
              Optional(std::string("a.shape")));
}

TEST(NumElements, CountsEitherForm) {
  EXPECT_EQ(NumElements(FromText<v1::Array>("values: [1, 2, 3]")), 3);
  EXPECT_EQ(NumElements(FromText<v1::Array>("data: '1234567812345678'")), 2);
  EXPECT_EQ(NumElements(v1::Array()), 0);
}

}  // namespace
}  // namespace costate
