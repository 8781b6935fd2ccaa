#include "server/lru_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace costate {
namespace {

using Map = LruMap<std::shared_ptr<int>>;

std::shared_ptr<int> Int(int value) { return std::make_shared<int>(value); }

TEST(LruMap, ForgetsWhatWasNotUsedForLongest) {
  Map map(2, 1000);
  map.Insert("a", Int(1), 1);
  map.Insert("b", Int(2), 1);
  EXPECT_EQ(*map.Find("a"), 1);
  map.Insert("c", Int(3), 1);
  EXPECT_EQ(map.Find("b"), nullptr);
  EXPECT_EQ(*map.Find("a"), 1);
  EXPECT_EQ(*map.Find("c"), 3);
}

TEST(LruMap, BoundsBytes) {
  Map map(100, 10);
  map.Insert("a", Int(1), 6);
  map.Insert("b", Int(2), 6);
  EXPECT_EQ(map.Find("a"), nullptr);
  EXPECT_EQ(map.bytes(), 6);
  map.Insert("huge", Int(3), 11);
  EXPECT_EQ(map.Find("huge"), nullptr);
  EXPECT_EQ(*map.Find("b"), 2);
}

TEST(LruMap, ReplacesAndErases) {
  Map map(100, 100);
  map.Insert("a", Int(1), 6);
  map.Insert("a", Int(2), 7);
  EXPECT_EQ(map.size(), 1);
  EXPECT_EQ(map.bytes(), 7);
  EXPECT_TRUE(map.Erase("a"));
  EXPECT_FALSE(map.Erase("a"));
  EXPECT_EQ(map.bytes(), 0);
}

TEST(LruMap, ListsInOrderOfKey) {
  Map map(100, 100);
  for (const char* key : {"c", "a", "d", "b"}) map.Insert(key, Int(key[0]), 1);
  std::string keys;
  for (const std::shared_ptr<int>& value : map.After("a", 2))
    keys.push_back(static_cast<char>(*value));
  EXPECT_EQ(keys, "bc");
  EXPECT_EQ(map.After("", 10).size(), 4u);
  EXPECT_TRUE(map.After("d", 10).empty());
}

}  // namespace
}  // namespace costate
