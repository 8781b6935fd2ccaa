#include "server/convert/array.h"

#include <limits>
#include <random>
#include <vector>

#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ArrayFromProto, ReadsBothForms) {
  EXPECT_THAT(ValuesFromProto(FromText<v1::Array>("values: [1, 2.5]")), ElementsAre(1, 2.5));
  v1::Array array;
  array.set_data(DoublesToBytes({3, -0.0, 1e300}));
  EXPECT_THAT(ValuesFromProto(array), ElementsAre(3, 0, 1e300));
  EXPECT_THAT(ValuesFromProto(v1::Array()), IsEmpty());
}

TEST(ArrayFromProto, GuessesShapes) {
  EXPECT_THAT(ShapeFromProto(FromText<v1::Array>("values: 1")), IsEmpty());
  EXPECT_THAT(ShapeFromProto(FromText<v1::Array>("values: [1, 2]")), ElementsAre(2));
  EXPECT_THAT(ShapeFromProto(FromText<v1::Array>("shape: 1 values: 1")), ElementsAre(1));
  EXPECT_THAT(ShapeFromProto(FromText<v1::Array>("shape: [2, 1] values: [1, 2]")),
              ElementsAre(2, 1));
  EXPECT_THAT(ShapeFromProto(FromText<v1::Array>("data: '12345678'")), ElementsAre(1));
}

// Bits survive the way out and back, NaN payloads and signs included.
TEST(Array, RoundTripsBits) {
  std::mt19937_64 random(7);
  std::vector<double> values(1000);
  for (double& value : values) {
    const uint64_t bits = random();
    std::memcpy(&value, &bits, sizeof(value));
  }
  v1::Array array;
  ArrayToProto(values, {10, 100}, &array);
  v1::Array arrived;
  ASSERT_TRUE(arrived.ParseFromString(array.SerializeAsString()));
  EXPECT_THAT(ShapeFromProto(arrived), ElementsAre(10, 100));
  const std::vector<double> back = ValuesFromProto(arrived);
  ASSERT_EQ(back.size(), values.size());
  EXPECT_EQ(std::memcmp(back.data(), values.data(), 8 * values.size()), 0);
}

TEST(ArrayToProto, Replaces) {
  auto array = FromText<v1::Array>("shape: [1, 2, 3] values: [1, 2, 3, 4, 5, 6]");
  ArrayToProto(std::vector<double>{9}, {1}, &array);
  EXPECT_THAT(Doubles(array), ElementsAre(9));
  EXPECT_EQ(array.values_size(), 0);
  EXPECT_THAT(ShapeFromProto(array), ElementsAre(1));
}

}  // namespace
}  // namespace costate
