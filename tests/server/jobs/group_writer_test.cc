#include "server/jobs/group_writer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

namespace costate::jobs {
namespace {

class GroupWriterTest : public testing::Test {
 protected:
  GroupWriterTest() {
    auto db = *Connection::Open("", Connection::Mode::kWriter);
    EXPECT_TRUE(db->Script("CREATE TABLE t (x)").ok());
    db_ = db.get();
    GroupWriter::Options options;
    options.now = [this] { return ++now_; };
    options.committed = [this](const Counts&, const std::vector<std::string>& jobs) {
      published_.push_back(jobs);
    };
    writer_ = std::make_unique<GroupWriter>(options, std::move(db), nullptr, Counts{});
  }

  absl::Status Insert(int64_t x) {
    return writer_->Run(Need::kMayWait, 0, [x](Transaction& transaction) {
      ++transaction.counts.tasks_queued;
      transaction.changed_jobs.push_back(std::to_string(x));
      return transaction.db.Execute("INSERT INTO t VALUES (?)", x);
    });
  }

  absl::StatusOr<int64_t> Count() {
    absl::StatusOr<int64_t> count;
    const absl::Status status = writer_->Run(Need::kMustGoOn, 0, [&](Transaction& transaction) {
      count = transaction.db.QueryInt("SELECT count(*) FROM t");
      return count.status();
    });
    return status.ok() ? count : status;
  }

  // Holds the writer until all of `changes` wait, so that they are one group.
  std::vector<absl::Status> AsOneGroup(std::vector<std::function<absl::Status()>> changes) {
    std::promise<void> held, go_on;
    std::thread holder([&] {
      (void)writer_->Run(Need::kMustGoOn, 0, [&](Transaction&) {
        held.set_value();
        go_on.get_future().wait();
        return absl::OkStatus();
      });
    });
    held.get_future().wait();
    std::vector<std::future<absl::Status>> done;
    for (auto& change : changes) done.push_back(std::async(std::launch::async, change));
    // Generous, and without it the test still holds: the groups are then smaller.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    go_on.set_value();
    holder.join();
    std::vector<absl::Status> statuses;
    for (auto& status : done) statuses.push_back(status.get());
    return statuses;
  }

  int64_t now_ = 0;  // of the writer's thread
  Connection* db_ = nullptr;
  std::vector<std::vector<std::string>> published_;
  std::unique_ptr<GroupWriter> writer_;
};

TEST_F(GroupWriterTest, WhatSucceededIsThereAndPublished) {
  EXPECT_TRUE(Insert(1).ok());
  EXPECT_EQ(*Count(), 1);
  EXPECT_EQ(writer_->counts().tasks_queued, 1);
  ASSERT_EQ(published_.size(), 1u);
  EXPECT_THAT(published_[0], testing::ElementsAre("1"));
}

TEST_F(GroupWriterTest, AChangeThatFailsLeavesNoTrace) {
  EXPECT_TRUE(Insert(1).ok());
  const absl::Status status = writer_->Run(Need::kMayWait, 0, [](Transaction& transaction) {
    ++transaction.counts.tasks_queued;
    transaction.changed_jobs.push_back("x");
    EXPECT_TRUE(transaction.db.Execute("INSERT INTO t VALUES (2)").ok());
    return absl::AbortedError("no");
  });
  EXPECT_EQ(status, absl::AbortedError("no"));
  EXPECT_EQ(*Count(), 1);
  EXPECT_EQ(writer_->counts().tasks_queued, 1);
  EXPECT_EQ(published_.size(), 1u);
}

TEST_F(GroupWriterTest, OneThatFailsInAGroupDoesNotTouchTheOthers) {
  const auto fail = [&] {
    return writer_->Run(Need::kMayWait, 0, [](Transaction& transaction) {
      EXPECT_TRUE(transaction.db.Execute("INSERT INTO t VALUES (100)").ok());
      return absl::AbortedError("no");
    });
  };
  const std::vector<absl::Status> statuses =
      AsOneGroup({[&] { return Insert(1); }, fail, [&] { return Insert(2); }, fail,
                  [&] { return Insert(3); }});
  for (size_t i = 0; i < statuses.size(); ++i) EXPECT_EQ(statuses[i].ok(), i % 2 == 0);
  EXPECT_EQ(*Count(), 3);
  EXPECT_EQ(writer_->counts().tasks_queued, 3);
}

// A database that is full rolls the whole transaction back; only the one that did it may pay.
TEST_F(GroupWriterTest, OneThatFillsTheDatabaseDoesNotTouchTheOthers) {
  ASSERT_TRUE(writer_
                  ->Run(Need::kMustGoOn, 0,
                        [](Transaction& transaction) {
                          return transaction.db.Execute("PRAGMA max_page_count = 20");
                        })
                  .ok());
  const std::string large(1 << 20, 'x');
  const auto fill = [&] {
    return writer_->Run(Need::kMayWait, 0, [&](Transaction& transaction) {
      ++transaction.counts.tasks_queued;
      return transaction.db.Execute("INSERT INTO t VALUES (?)", Blob{large});
    });
  };
  const std::vector<absl::Status> statuses =
      AsOneGroup({[&] { return Insert(1); }, fill, [&] { return Insert(2); }});
  EXPECT_TRUE(statuses[0].ok()) << statuses[0];
  EXPECT_TRUE(absl::IsResourceExhausted(statuses[1])) << statuses[1];
  EXPECT_TRUE(statuses[2].ok()) << statuses[2];
  EXPECT_EQ(*Count(), 2);
  EXPECT_EQ(writer_->counts().tasks_queued, 2);
  EXPECT_FALSE(db_->in_transaction());
}

TEST_F(GroupWriterTest, ATransactionHasOneInstant) {
  const absl::Status status = writer_->Run(Need::kMayWait, 0, [](Transaction& transaction) {
    EXPECT_EQ(transaction.now, 1);
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok());
}

TEST_F(GroupWriterTest, WhatWasAskedForIsDoneBeforeTheEnd) {
  std::vector<std::future<absl::Status>> done;
  for (int i = 0; i < 20; ++i)
    done.push_back(std::async(std::launch::async, [this, i] { return Insert(i); }));
  for (auto& status : done) EXPECT_TRUE(status.get().ok());
  EXPECT_EQ(*Count(), 20);
  writer_ = nullptr;
  EXPECT_EQ(published_.empty(), false);
}

}  // namespace
}  // namespace costate::jobs
