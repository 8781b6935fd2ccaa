#include "server/handlers/row_stream.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string>

#include "server/limits.h"
#include "tests/server/compiled_model.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

// A reader that is busy whenever told so.
class FakeStream : public ResponseStream<v1::StreamSolveResponse> {
 public:
  absl::Status Write(const v1::StreamSolveResponse& message) override {
    messages.push_back(message);
    return result;
  }
  bool busy() const override { return is_busy; }

  std::vector<v1::StreamSolveResponse> messages;
  bool is_busy = false;
  absl::Status result;
};

class RowStreamTest : public ::testing::Test {
 protected:
  absl::Status Save(RowStream* rows, int64_t trajectory, double t) {
    return rows->Save(trajectory, t, std::vector<double>(5, t), std::vector<double>(5, -t));
  }

  const std::shared_ptr<const Model> model_ = ModelOf(kTensorModel);
  FakeStream stream_;
};

TEST_F(RowStreamTest, StartsWithAHeader) {
  RowStream rows(*model_, {true, false}, 1, &stream_);
  Resolution resolution;
  resolution.batched = true;
  ASSERT_TRUE(rows.Begin(resolution, 3).ok());
  ASSERT_EQ(stream_.messages.size(), 1u);
  EXPECT_THAT(stream_.messages[0], Partially("header { num_trajectories: 3 batched: true }"));
  EXPECT_EQ(stream_.messages[0].header().state_layout_size(), 2);
  EXPECT_EQ(stream_.messages[0].header().output_layout_size(), 0);
}

TEST_F(RowStreamTest, SendsFullChunks) {
  RowStream rows(*model_, {true, true}, 3, &stream_);
  for (int i = 0; i < 7; ++i) ASSERT_TRUE(Save(&rows, i % 2, i).ok());
  ASSERT_EQ(stream_.messages.size(), 2u);
  EXPECT_THAT(stream_.messages[0], Partially("chunk { trajectory: 0 times { shape: 3 } states { "
                                             "shape: [3, 5] } outputs { shape: [3, 5] } }"));
  EXPECT_EQ(Doubles(stream_.messages[1].chunk().times()), (std::vector<double>{1, 3, 5}));
  ASSERT_TRUE(rows.Flush().ok());
  ASSERT_EQ(stream_.messages.size(), 3u);
  EXPECT_EQ(Doubles(stream_.messages[2].chunk().times()), std::vector<double>{6});
}

TEST_F(RowStreamTest, KeepsRowsWhileTheReaderIsBusyUpToALimit) {
  RowStream rows(*model_, {true, true}, 1, &stream_);
  stream_.is_busy = true;
  const int64_t row_bytes = 11 * 8;
  const int64_t fit = limits::kStreamPendingBytes / row_bytes;
  for (int64_t i = 0; i < fit; ++i) ASSERT_TRUE(Save(&rows, 0, 1).ok());
  EXPECT_TRUE(stream_.messages.empty());
  ASSERT_TRUE(Save(&rows, 0, 1).ok());
  ASSERT_EQ(stream_.messages.size(), 1u);
  EXPECT_EQ(Doubles(stream_.messages[0].chunk().times()).size(), static_cast<size_t>(fit + 1));
}

TEST_F(RowStreamTest, PassesFailuresOn) {
  RowStream rows(*model_, {true, true}, 1, &stream_);
  stream_.result = absl::CancelledError("gone");
  EXPECT_EQ(Save(&rows, 0, 1), absl::CancelledError("gone"));
}

TEST_F(RowStreamTest, ChoosesChunksBySize) {
  RowStream rows(*model_, {true, true}, 0, &stream_);
  const int64_t expected = limits::kStreamChunkBytes / (11 * 8);
  for (int64_t i = 0; i < expected; ++i) {
    EXPECT_TRUE(stream_.messages.empty());
    ASSERT_TRUE(Save(&rows, 0, 1).ok());
  }
  EXPECT_EQ(stream_.messages.size(), 1u);
}

TEST(RowCollector, StopsAtItsLimit) {
  RowCollector rows(100);
  ASSERT_TRUE(rows.Begin(Resolution(), 2).ok());
  EXPECT_TRUE(rows.Save(1, 0.5, std::vector<double>{1, 2}, std::vector<double>{3}).ok());
  EXPECT_TRUE(rows.Save(0, 0.5, std::vector<double>{4, 5}, std::vector<double>{6}).ok());
  SolveResult result;
  result.trajectories.resize(2);
  rows.MoveInto(&result);
  EXPECT_EQ(result.trajectories[1].states, (std::vector<double>{1, 2}));
  EXPECT_EQ(result.outputs[0], std::vector<double>{6});
  EXPECT_EQ(result.trajectories[0].num_reached, 1);
  const absl::Status full = rows.Save(0, 1, std::vector<double>{1, 2}, std::vector<double>(8, 3.0));
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(full.message()), HasSubstr("stream the solve"));
}

}  // namespace
}  // namespace costate
