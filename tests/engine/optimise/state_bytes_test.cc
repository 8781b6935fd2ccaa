#include "engine/optimise/state_bytes.h"

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "engine/optimise/random.h"
#include "gtest/gtest.h"

namespace costate::optimise {
namespace {

TEST(StateBytesTest, LittleEndian) {
  StateWriter writer;
  writer.Int(0x0807060504030201);
  writer.Double(1.0);  // 0x3ff0000000000000
  EXPECT_EQ(writer.Take(), std::string("\1\2\3\4\5\6\7\10\0\0\0\0\0\0\xf0\x3f", 16));
}

TEST(StateBytesTest, RoundTripToTheBit) {
  const std::vector<double> doubles = {0.0,
                                       -0.0,
                                       0.1,
                                       std::nan("7"),
                                       -std::numeric_limits<double>::infinity(),
                                       std::numeric_limits<double>::denorm_min()};
  const std::vector<int64_t> ints = {0, -1, std::numeric_limits<int64_t>::min()};
  StateWriter writer;
  writer.Doubles(doubles);
  writer.Ints(ints);
  writer.Bytes(std::string("a\0b", 3));
  writer.Bytes("");
  const std::string bytes = writer.Take();
  StateReader reader(bytes);
  const std::vector<double> read = reader.Doubles();
  ASSERT_EQ(read.size(), doubles.size());
  for (size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(std::bit_cast<uint64_t>(read[i]), std::bit_cast<uint64_t>(doubles[i]));
  }
  EXPECT_EQ(reader.Ints(), ints);
  EXPECT_EQ(reader.Bytes(), std::string("a\0b", 3));
  EXPECT_EQ(reader.Bytes(), "");
  EXPECT_TRUE(reader.ok());
  EXPECT_TRUE(reader.at_end());
}

TEST(StateBytesTest, PastTheEnd) {
  StateReader reader("1234567");
  EXPECT_EQ(reader.Int(), 0);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.Double(), 0);
  EXPECT_TRUE(reader.Doubles().empty());
  EXPECT_TRUE(reader.Bytes().empty());
}

TEST(StateBytesTest, LengthsThatCannotBe) {
  for (const int64_t length : {int64_t{-1}, int64_t{3}, std::numeric_limits<int64_t>::max(),
                               std::numeric_limits<int64_t>::min(), int64_t{1} << 61}) {
    StateWriter writer;
    writer.Int(length);
    writer.Double(1);
    writer.Double(2);
    const std::string bytes = writer.Take();
    StateReader doubles(bytes), ints(bytes);
    EXPECT_TRUE(doubles.Doubles().empty());
    EXPECT_FALSE(doubles.ok());
    EXPECT_TRUE(ints.Ints().empty());
    EXPECT_FALSE(ints.ok());
    if (length == 3) continue;
    StateReader text(bytes);
    EXPECT_TRUE(text.Bytes().empty());
    EXPECT_FALSE(text.ok());
  }
}

TEST(StateBytesTest, ArbitraryBytesAreReadOrRefused) {
  RandomStream random(5);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(random.Below(64), '\0');
    for (char& c : bytes) c = static_cast<char>(random.Below(8) == 0 ? random.Below(256) : 0);
    StateReader reader(bytes);
    size_t read = 0;
    for (int k = 0; k < 10; ++k) {
      read += 8 * reader.Doubles().size() + 8 * reader.Ints().size() + reader.Bytes().size();
    }
    EXPECT_LE(read, bytes.size());
  }
}

}  // namespace
}  // namespace costate::optimise
