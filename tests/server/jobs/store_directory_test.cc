#include "server/jobs/store_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/server/jobs/sqlite_place.h"

namespace costate::jobs {
namespace {

mode_t ModeOf(const std::string& path) {
  struct stat found;
  EXPECT_EQ(stat(path.c_str(), &found), 0) << path;
  return found.st_mode & 0777;
}

TEST(StoreDirectory, IsForItsOwnerAlone) {
  const TemporaryDirectory place;
  const std::string path = place.path() + "/a/b";
  const mode_t before = umask(0);
  const auto directory = StoreDirectory::Open(path + "/", 4096);
  umask(before);
  ASSERT_TRUE(directory.ok()) << directory.status();
  EXPECT_EQ(ModeOf(path), 0700u);
  EXPECT_EQ((*directory)->database(), path + "/jobs.db");
  for (const auto& file : std::filesystem::directory_iterator(path)) {
    EXPECT_EQ(ModeOf(file.path()), 0600u) << file.path();
  }
}

// Where others may write into the directory, they do not get at files elsewhere.
TEST(StoreDirectory, FollowsNoLinks) {
  for (const char* name : {"reserve", "lock", "jobs.db"}) {
    const TemporaryDirectory place, elsewhere;
    const std::string victim = elsewhere.path() + "/victim";
    std::ofstream(victim) << "precious";
    std::filesystem::create_symlink(victim, place.path() + "/" + name);
    const auto directory = StoreDirectory::Open(place.path(), 1 << 20);
    EXPECT_EQ(std::filesystem::file_size(victim), 8u) << name;
    // The reserve is the store's own to make anew.
    EXPECT_EQ(directory.ok(), std::string(name) == "reserve") << directory.status();
    if (directory.ok()) EXPECT_TRUE((*directory)->has_reserve());
  }
}

TEST(StoreDirectory, HasOneHolder) {
  const TemporaryDirectory place;
  auto first = StoreDirectory::Open(place.path(), 0);
  ASSERT_TRUE(first.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(StoreDirectory::Open(place.path(), 0).status()));
  first->reset();
  EXPECT_TRUE(StoreDirectory::Open(place.path(), 0).ok());
}

TEST(StoreDirectory, MayNotBeMadeWhereThereIsAFile) {
  const TemporaryDirectory place;
  std::ofstream(place.path() + "/file") << "x";
  EXPECT_FALSE(StoreDirectory::Open(place.path() + "/file", 0).ok());
  EXPECT_FALSE(StoreDirectory::Open(place.path() + "/file/below", 0).ok());
}

TEST(StoreDirectory, TheReserveTakesUpSpaceUntilItIsDropped) {
  const TemporaryDirectory place;
  constexpr int64_t kBytes = 1 << 20;
  const std::string reserve = place.path() + "/reserve";
  {
    const auto directory = StoreDirectory::Open(place.path(), kBytes);
    ASSERT_TRUE(directory.ok());
    EXPECT_TRUE((*directory)->has_reserve());
    struct stat found;
    ASSERT_EQ(stat(reserve.c_str(), &found), 0);
    EXPECT_GE(found.st_blocks * 512, kBytes);  // it is no hole
    (*directory)->DropReserve();
    EXPECT_FALSE((*directory)->has_reserve());
    EXPECT_FALSE(std::filesystem::exists(reserve));
    EXPECT_TRUE((*directory)->MakeReserve());
  }
  const auto again = StoreDirectory::Open(place.path(), kBytes);
  EXPECT_TRUE((*again)->has_reserve());
}

TEST(StoreDirectory, WithoutRoomThereIsNoReserve) {
  const TemporaryDirectory place;
  const auto directory = StoreDirectory::Open(place.path(), int64_t{1} << 60);
  ASSERT_TRUE(directory.ok());
  EXPECT_FALSE((*directory)->has_reserve());
  EXPECT_FALSE(std::filesystem::exists(place.path() + "/reserve"));
}

}  // namespace
}  // namespace costate::jobs
