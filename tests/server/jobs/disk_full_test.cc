// A disk that fills up and gets room again, without a restart. The disk is a small tmpfs of this
// process alone; where the machine lets nobody mount one, the test is skipped.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/jobs/sqlite_place.h"

namespace costate::jobs {
namespace {

using testing::SizeIs;

constexpr int64_t kReserve = 512 << 10;

void WriteLine(const char* path, const std::string& line) { std::ofstream(path) << line; }

// A mount space of our own: as root, or as root of a user space of our own.
bool EnterMountSpace() {
  const std::string user = absl::StrCat("0 ", getuid(), " 1");
  const std::string group = absl::StrCat("0 ", getgid(), " 1");
  if (unshare(CLONE_NEWNS) != 0) {
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
    WriteLine("/proc/self/setgroups", "deny");
    WriteLine("/proc/self/uid_map", user);
    WriteLine("/proc/self/gid_map", group);
  }
  return mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
}

class DiskFull : public testing::Test {
 protected:
  void SetUp() override {
    static const bool entered = EnterMountSpace();
    if (!entered || mount("tmpfs", place_.path().c_str(), "tmpfs", 0, "size=4m") != 0) {
      GTEST_SKIP() << "no tmpfs: " << std::strerror(errno);
    }
    mounted_ = true;
    SqliteOptions options;
    options.directory = place_.path() + "/jobs";
    options.reserve_bytes = kReserve;
    auto store = OpenSqliteStore(options);
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
  }

  void TearDown() override {
    store_ = nullptr;
    if (mounted_) umount2(place_.path().c_str(), MNT_DETACH);
  }

  // Creates jobs until the disk is full; their ids.
  std::vector<std::string> CreateUntilFull() {
    std::vector<std::string> ids;
    for (int i = 0; i < 10'000; ++i) {
      const auto created = store_->Create(OneTask(std::string(20'000, 's')));
      if (!created.ok()) {
        EXPECT_TRUE(absl::IsResourceExhausted(created.status())) << created.status();
        return ids;
      }
      ids.push_back(created->job.id);
    }
    ADD_FAILURE() << "the disk does not fill up";
    return ids;
  }

  bool HasReserve() const { return std::filesystem::exists(place_.path() + "/jobs/reserve"); }

  // Somebody else takes all the room that is left; gives it back by removing the file.
  std::string TakeAllRoom() {
    const std::string path = place_.path() + "/hog";
    std::ofstream file(path, std::ios::binary);
    const std::string block(4096, 'h');
    while (file.write(block.data(), block.size()).flush()) {
    }
    return path;
  }

  TemporaryDirectory place_;
  bool mounted_ = false;
  std::unique_ptr<JobStore> store_;
};

TEST_F(DiskFull, WhatWasAcknowledgedStaysAndRunningWorkGoesOn) {
  ASSERT_TRUE(HasReserve());
  const auto first = store_->Create(Tasks(2));
  ASSERT_TRUE(first.ok());
  const auto running = store_->ClaimTasks("worker", 1, absl::Hours(1));
  ASSERT_THAT(*running, SizeIs(1));
  const std::vector<std::string> ids = CreateUntilFull();
  EXPECT_THAT(ids, SizeIs(testing::Gt(20u)));
  EXPECT_FALSE(HasReserve());  // it serves now

  // Reads, and all that brings work to its end.
  for (const std::string& id : ids) EXPECT_TRUE(store_->Get(id).ok());
  EXPECT_THAT(store_->List({}, 1000, "")->jobs, SizeIs(ids.size() + 1));
  EXPECT_TRUE(store_->Complete((*running)[0].lease, Done("result")).ok());
  const auto claims = store_->ClaimTasks("worker", 3, absl::Hours(1));
  ASSERT_TRUE(claims.ok()) << claims.status();
  ASSERT_THAT(*claims, SizeIs(3));
  EXPECT_TRUE(store_->Renew({(*claims)[0].lease}, absl::Hours(1))->at(0).held);
  EXPECT_TRUE(store_->Complete((*claims)[0].lease, Done("result")).ok());
  EXPECT_TRUE(store_->Release((*claims)[1].lease).ok());
  EXPECT_TRUE(store_->Cancel(ids.back()).ok());
  EXPECT_TRUE(store_->Reap().ok());

  // All that only adds is refused, and has changed nothing.
  const Lease& lease = (*claims)[2].lease;
  const int64_t events = store_->Get(lease.job)->last_event;
  EXPECT_TRUE(absl::IsResourceExhausted(store_->Create(OneTask("tiny")).status()));
  EXPECT_TRUE(absl::IsResourceExhausted(store_->SaveCheckpoint(lease, "state", {Progress("p")})));
  EXPECT_TRUE(absl::IsResourceExhausted(store_->AddEvents(lease, {Progress("p")})));
  EXPECT_TRUE(absl::IsResourceExhausted(store_->Requeue(ids.back()).status()));
  EXPECT_EQ(store_->Get(lease.job)->last_event, events);
}

TEST_F(DiskFull, RoomThatOthersGiveBackEndsItWithoutARestart) {
  const std::string hog = TakeAllRoom();
  const std::vector<std::string> ids = CreateUntilFull();
  EXPECT_TRUE(absl::IsResourceExhausted(store_->Create(OneTask("tiny")).status()));
  std::filesystem::remove(hog);
  const auto created = store_->Create(OneTask("again"));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_TRUE(HasReserve());
  for (const std::string& id : ids) EXPECT_TRUE(store_->Get(id).ok());
}

TEST_F(DiskFull, RoomThatDeletedJobsGiveBackEndsIt) {
  const std::vector<std::string> ids = CreateUntilFull();
  for (const std::string& id : ids) {
    ASSERT_TRUE(store_->Cancel(id).ok());
    ASSERT_TRUE(store_->Delete(id).ok());
  }
  const auto created = store_->Create(OneTask("again"));
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_TRUE(HasReserve());
}

// Once the reserve is used up as well, a completion fails in a way that says: once more.
TEST_F(DiskFull, ACompletionThatFindsNoRoomIsNotLost) {
  ASSERT_TRUE(store_->Create(OneTask()).ok());
  const auto claims = store_->ClaimTasks("worker", 1, absl::Hours(1));
  ASSERT_THAT(*claims, SizeIs(1));
  const Lease& lease = (*claims)[0].lease;
  CreateUntilFull();
  const std::string hog = TakeAllRoom();
  const TaskEnd end = Done(std::string(100'000, 'r'));
  absl::Status status = store_->Complete(lease, end);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(store_->Get(lease.job)->state, JobState::kRunning);
  std::filesystem::remove(hog);
  status = store_->Complete(lease, end);
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(store_->Get(lease.job)->state, JobState::kSucceeded);
}

TEST_F(DiskFull, AStoreThatIsOpenedOnAFullDiskStillServesWhatItHas) {
  const std::vector<std::string> ids = CreateUntilFull();
  store_ = nullptr;
  SqliteOptions options;
  options.directory = place_.path() + "/jobs";
  options.reserve_bytes = kReserve;
  auto store = OpenSqliteStore(options);
  ASSERT_TRUE(store.ok()) << store.status();
  store_ = *std::move(store);
  EXPECT_FALSE(HasReserve());
  for (const std::string& id : ids) EXPECT_TRUE(store_->Get(id).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(store_->Create(OneTask("tiny")).status()));
  const auto claims = store_->ClaimTasks("worker", 1, absl::Hours(1));
  ASSERT_TRUE(claims.ok()) << claims.status();
  EXPECT_TRUE(store_->Complete((*claims)[0].lease, Done("result")).ok());
}

}  // namespace
}  // namespace costate::jobs
