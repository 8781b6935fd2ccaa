#include "engine/codegen/disk_cache.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace costate::codegen {
namespace {

namespace fs = std::filesystem;

class DiskCacheTest : public testing::Test {
 protected:
  DiskCacheTest()
      : directory_(absl::StrCat(testing::TempDir(), "/costate_disk_cache_", getpid(), "_",
                                testing::UnitTest::GetInstance()->current_test_info()->name())) {
    fs::remove_all(directory_);
  }
  ~DiskCacheTest() override { fs::remove_all(directory_); }

  std::unique_ptr<DiskCache> Open(int64_t max_bytes = 1 << 20) {
    auto cache = DiskCache::Open(directory_, max_bytes);
    EXPECT_TRUE(cache.ok()) << cache.status();
    return std::move(cache).value();
  }

  static CacheKey Key(uint8_t name) {
    CacheKey key = {};
    key[0] = name;
    return key;
  }
  static CachedObjects Objects(size_t size) {
    return {.scratch_size = 17, .objects = {std::string(size, 'x'), "", std::string("\0y", 2)}};
  }

  fs::path OnlyFile() const {
    EXPECT_EQ(CountFiles(), 1);
    return fs::directory_iterator(directory_)->path();
  }
  int CountFiles() const {
    return static_cast<int>(std::distance(fs::directory_iterator(directory_), {}));
  }
  static std::string Read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void Write(const fs::path& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
  }

  const std::string directory_;
};

TEST_F(DiskCacheTest, GivesBackWhatWasStored) {
  Open()->Store(Key(1), Objects(1000));
  const auto cache = Open();  // another process, say
  const auto loaded = cache->Load(Key(1));
  ASSERT_TRUE(loaded.has_value());
  EXPECT_EQ(loaded->scratch_size, 17);
  EXPECT_EQ(loaded->objects, Objects(1000).objects);
  EXPECT_FALSE(cache->Load(Key(2)).has_value());
}

TEST_F(DiskCacheTest, EveryTruncationIsAMiss) {
  const auto cache = Open();
  cache->Store(Key(1), Objects(40));
  const fs::path path = OnlyFile();
  const std::string whole = Read(path);
  for (size_t size = 0; size < whole.size(); ++size) {
    Write(path, whole.substr(0, size));
    EXPECT_FALSE(cache->Load(Key(1)).has_value()) << size;
    EXPECT_FALSE(fs::exists(path)) << "a bad file is removed";
  }
  Write(path, whole + "z");
  EXPECT_FALSE(cache->Load(Key(1)).has_value());
  Write(path, whole);
  EXPECT_TRUE(cache->Load(Key(1)).has_value());
}

TEST_F(DiskCacheTest, EveryFlippedByteIsAMiss) {
  const auto cache = Open();
  cache->Store(Key(1), Objects(40));
  const fs::path path = OnlyFile();
  const std::string whole = Read(path);
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string bad = whole;
    bad[i] = static_cast<char>(bad[i] ^ 0x20);
    Write(path, bad);
    EXPECT_FALSE(cache->Load(Key(1)).has_value()) << i;
  }
}

// A file under the name of another kernel, as after a careless copy: whole, but not what was
// asked for.
TEST_F(DiskCacheTest, AnotherKernelsFileIsAMiss) {
  const auto cache = Open();
  cache->Store(Key(1), Objects(40));
  const fs::path first = OnlyFile();
  const std::string bytes = Read(first);
  cache->Store(Key(2), Objects(50));
  for (const auto& entry : fs::directory_iterator(directory_)) {
    if (entry.path() != first) Write(entry.path(), bytes);
  }
  EXPECT_FALSE(cache->Load(Key(2)).has_value());
  EXPECT_TRUE(cache->Load(Key(1)).has_value());
}

TEST_F(DiskCacheTest, HoldsAtMostItsBytesOldestOut) {
  const auto cache = Open(5000);
  for (uint8_t name = 1; name <= 10; ++name) {
    cache->Store(Key(name), Objects(1000));
    for (const auto& entry : fs::directory_iterator(directory_)) {  // age all by a minute
      fs::last_write_time(entry.path(),
                          fs::last_write_time(entry.path()) - std::chrono::minutes(1));
    }
    EXPECT_TRUE(cache->Load(Key(1)).has_value()) << "used again and again";
  }
  EXPECT_TRUE(cache->Load(Key(10)).has_value());
  EXPECT_FALSE(cache->Load(Key(2)).has_value());
  EXPECT_LE(CountFiles(), 4);
  cache->Store(Key(20), Objects(10'000));
  EXPECT_FALSE(cache->Load(Key(20)).has_value()) << "larger than the cache";
}

TEST_F(DiskCacheTest, OthersWritableDirectoryIsRefused) {
  fs::create_directories(directory_);
  ASSERT_EQ(chmod(directory_.c_str(), 0777), 0);
  EXPECT_EQ(DiskCache::Open(directory_, 1000).status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_EQ(chmod(directory_.c_str(), 0755), 0);
  EXPECT_TRUE(DiskCache::Open(directory_, 1000).ok());
}

TEST_F(DiskCacheTest, AFileInPlaceOfTheDirectoryIsRefused) {
  Write(directory_, "x");
  EXPECT_EQ(DiskCache::Open(directory_, 1000).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(DiskCache::Open(directory_ + "/below", 1000).ok());
}

TEST_F(DiskCacheTest, ConcurrentWritersLeaveWholeFiles) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      const auto cache = Open();
      for (int round = 0; round < 50; ++round) {
        cache->Store(Key(1), Objects(5000));
        const auto loaded = cache->Load(Key(1));
        EXPECT_TRUE(loaded.has_value() && loaded->objects == Objects(5000).objects);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(CountFiles(), 1);
}

}  // namespace
}  // namespace costate::codegen
