#include "server/jobs/checkpoint.h"

#include <gtest/gtest.h>

#include <string>

namespace costate::jobs {
namespace {

TEST(Checkpoint, ComesBackToTheByte) {
  for (const std::string& state :
       {std::string(), std::string("\0\xff state", 8), std::string(1 << 20, 'x')}) {
    const auto opened = OpenCheckpoint(SealCheckpoint(state));
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(*opened, state);
  }
}

// The layout is a promise to checkpoints that are on disk already.
TEST(Checkpoint, HasAFixedLayout) {
  const std::string sealed = SealCheckpoint("abc");
  ASSERT_EQ(sealed.size(), 4 + 4 + 8 + 32 + 3);
  const std::string head("CKPT\x01\0\0\0\x03\0\0\0\0\0\0\0", 16);
  EXPECT_EQ(sealed.substr(0, 16), head);
  EXPECT_EQ(sealed.substr(48), "abc");
}

TEST(Checkpoint, EveryFlippedBitIsSeen) {
  const std::string sealed = SealCheckpoint("some state of an optimiser");
  for (size_t bit = 0; bit < 8 * sealed.size(); ++bit) {
    std::string damaged = sealed;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    EXPECT_TRUE(absl::IsDataLoss(OpenCheckpoint(damaged).status())) << bit;
  }
}

TEST(Checkpoint, EveryTornOneIsSeen) {
  const std::string sealed = SealCheckpoint("some state of an optimiser");
  for (size_t size = 0; size < sealed.size(); ++size) {
    EXPECT_TRUE(absl::IsDataLoss(OpenCheckpoint(sealed.substr(0, size)).status())) << size;
  }
  EXPECT_TRUE(absl::IsDataLoss(OpenCheckpoint(sealed + '\0').status()));
  EXPECT_TRUE(absl::IsDataLoss(OpenCheckpoint(std::string(1000, '\0')).status()));
}

TEST(Checkpoint, OneOfTheFutureIsToldFromADamagedOne) {
  // Version 2 with a right hash: what a newer release would write.
  const std::string newer(
      "CKPT\x02\0\0\0\x03\0\0\0\0\0\0\0"
      "\x1d\x1a\xb5\x0f\xa5\x2c\x8f\x9b\xfe\x81\xdf\x47\xea\xf5\xdb\x05"
      "\x04\xa0\x62\xc9\xef\x5d\x8e\xfd\xaa\xf4\xd9\xdb\x8a\xa6\x42\x6a"
      "abc",
      51);
  EXPECT_TRUE(absl::IsFailedPrecondition(OpenCheckpoint(newer).status()));
}

}  // namespace
}  // namespace costate::jobs
