#include "engine/gradients/checkpoint_storage.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

constexpr int64_t kPlenty = int64_t{1} << 40;

std::vector<double> State(int64_t n, double value) { return std::vector<double>(n, value); }

// The first value of the state in a place.
double At(CheckpointStorage& storage, int64_t slot) { return (*storage.Read(slot).value()); }

TEST(CheckpointStorageTest, PlacesInMemoryKeepTheirStates) {
  for (const int64_t n : {1, 3, 100, 5000}) {
    CheckpointStorage storage(n, "", 0);
    for (int64_t i = 0; i < 600; ++i) {
      const auto slot = storage.AddInMemory(kPlenty, kPlenty);
      ASSERT_EQ(slot, i);
      ASSERT_TRUE(storage.Write(*slot, State(n, static_cast<double>(i)).data()).ok());
    }
    for (int64_t i = 0; i < 600; ++i) EXPECT_EQ(At(storage, i), i);
    EXPECT_GE(storage.memory_bytes(), 600 * n * 8);
    EXPECT_FALSE(storage.disk_has_room());
  }
}

TEST(CheckpointStorageTest, RoomAndLimitBoundWhatIsAllocated) {
  CheckpointStorage limited(3, "", 0);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(limited.AddInMemory(kPlenty, 5).has_value());
  EXPECT_FALSE(limited.AddInMemory(kPlenty, 5).has_value());
  EXPECT_EQ(limited.memory_bytes(), 5 * 24 + CheckpointStorage::kTableBytes);
  for (const int64_t n : {1, 3, 100, 5000}) {
    CheckpointStorage storage(n, "", 0);
    for (int64_t count = 1; count <= 300; ++count) {
      ASSERT_TRUE(storage.AddInMemory(kPlenty, 300).has_value());
      EXPECT_EQ(storage.memory_bytes(), storage.MemoryFor(count, 300));
    }
  }
  CheckpointStorage small(3, "", 0);
  int64_t places = 0;
  while (small.AddInMemory(1000 - small.memory_bytes(), kPlenty).has_value()) ++places;
  EXPECT_EQ(places, (1000 - CheckpointStorage::kTableBytes) / 24);
  EXPECT_LE(small.memory_bytes(), 1000);
}

TEST(CheckpointStorageTest, DiskHoldsWhatItIsAllowed) {
  CheckpointStorage storage(2, ::testing::TempDir(), 3);
  std::vector<int64_t> slots;
  while (storage.disk_has_room()) slots.push_back(storage.AddOnDisk());
  ASSERT_EQ(slots.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_TRUE(CheckpointStorage::OnDisk(slots[i]));
    ASSERT_TRUE(storage.Write(slots[i], State(2, 10.0 + static_cast<double>(i)).data()).ok());
  }
  EXPECT_EQ(At(storage, slots[2]), 12);
  EXPECT_EQ(At(storage, slots[0]), 10);
  EXPECT_EQ(storage.disk_bytes(), 48);
  storage.FreeOnDisk(slots[1]);
  ASSERT_TRUE(storage.disk_has_room());
  EXPECT_EQ(storage.AddOnDisk(), slots[1]);
  EXPECT_FALSE(storage.disk_has_room());
}

TEST(CheckpointStorageTest, CompactMovesWhatIsUsedToTheFront) {
  constexpr int64_t n = 100;
  CheckpointStorage storage(n, "", 0);
  std::vector<int64_t> used;
  for (int64_t i = 0; i < 100; ++i) {
    const int64_t slot = storage.AddInMemory(kPlenty, kPlenty).value();
    ASSERT_TRUE(storage.Write(slot, State(n, static_cast<double>(i)).data()).ok());
    if (i % 3 == 1) used.push_back(slot);
  }
  const int64_t before = storage.memory_bytes();
  const int64_t count = static_cast<int64_t>(used.size());
  storage.Compact(count, [&](CheckpointStorage::SlotVisitor visit) {
    for (int64_t& slot : used) visit(slot);
  });
  EXPECT_LT(storage.memory_bytes(), before / 2);
  for (int64_t k = 0; k < count; ++k) {
    EXPECT_LT(used[k], count);
    EXPECT_EQ(At(storage, used[k]), static_cast<double>(3 * k + 1));
  }
  EXPECT_EQ(storage.AddInMemory(kPlenty, kPlenty), count);
}

}  // namespace
}  // namespace costate
