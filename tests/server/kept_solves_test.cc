#include "server/kept_solves.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <set>
#include <thread>
#include <utility>

namespace costate {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;

constexpr int64_t kModelBytes = 10;

// A solve of a stated size that says when it goes.
class SolveOfSize : public KeptSolve {
 public:
  explicit SolveOfSize(int64_t bytes) : bytes_(bytes) {}
  ~SolveOfSize() override {
    if (gone_ != nullptr) gone_->set_value();
  }
  void Grow(int64_t bytes) { bytes_ += bytes; }
  std::future<void> Gone() {
    gone_ = std::make_unique<std::promise<void>>();
    return gone_->get_future();
  }

  SolveResult Solution() const override { return {}; }
  const Facts& facts() const override { return facts_; }
  int64_t stored_bytes() const override { return bytes_; }
  absl::StatusOr<GradientResult> Differentiate(const Loss& /*loss*/,
                                               const Cancellation* /*cancellation*/) override {
    return GradientResult();
  }
  absl::StatusOr<VjpResult> ComputeVjp(const std::vector<Loss>& /*cotangents*/,
                                       const Cancellation* /*cancellation*/) override {
    return VjpResult();
  }

 private:
  int64_t bytes_;
  Facts facts_;
  std::unique_ptr<std::promise<void>> gone_;
};

class KeptSolvesTest : public ::testing::Test {
 protected:
  static KeptEntryPtr Entry(int64_t bytes, SolveOfSize** solve = nullptr) {
    auto entry = std::make_shared<KeptEntry>();
    auto model = std::make_shared<ModelEntry>();
    model->bytes = kModelBytes;
    entry->model = std::move(model);
    auto made = std::make_unique<SolveOfSize>(bytes);
    if (solve != nullptr) *solve = made.get();
    entry->solve = std::move(made);
    return entry;
  }

  MemoryBudget memory_{1000};
  KeptSolves solves_{500, memory_, timer_};
  DeadlineTimer timer_;  // ends before the solves
};

TEST_F(KeptSolvesTest, FindsByNamesThatDiffer) {
  std::set<std::string> names;
  for (int i = 0; i < 20; ++i) {
    const auto name = solves_.Keep(Entry(5), absl::Hours(1));
    ASSERT_TRUE(name.ok()) << name.status();
    EXPECT_THAT(*name, MatchesRegex("solves/[0-9a-f]{32}"));
    names.insert(*name);
  }
  EXPECT_EQ(names.size(), 20u);
  EXPECT_EQ(solves_.size(), 20);
  EXPECT_EQ(solves_.held_bytes(), 20 * (5 + kModelBytes));
  EXPECT_EQ(memory_.held(), 20 * (5 + kModelBytes));
  for (const std::string& name : names) EXPECT_TRUE(solves_.Get(name).ok());
  const absl::Status unknown = solves_.Get("solves/" + std::string(32, '0')).status();
  EXPECT_EQ(unknown.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(unknown.message(), HasSubstr("solve again"));
}

TEST_F(KeptSolvesTest, ReleasesItsBytesWithTheLastThatUsesIt) {
  SolveOfSize* solve = nullptr;
  const std::string name = solves_.Keep(Entry(90, &solve), absl::Hours(1)).value();
  std::future<void> gone = solve->Gone();
  KeptEntryPtr in_work = solves_.Get(name).value();
  EXPECT_TRUE(solves_.Release(name).ok());
  EXPECT_EQ(solves_.Release(name).code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(solves_.Get(name).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(memory_.held(), 100) << "a call still works on it";
  in_work.reset();
  gone.wait();
  EXPECT_EQ(memory_.held(), 0);
  EXPECT_EQ(solves_.held_bytes(), 0);
}

TEST_F(KeptSolvesTest, GoesByItselfWhenItsTimeIsOver) {
  SolveOfSize* solve = nullptr;
  KeptEntryPtr entry = Entry(90, &solve);
  std::future<void> gone = solve->Gone();
  const std::string name = solves_.Keep(std::move(entry), absl::Milliseconds(30)).value();
  const std::string stays = solves_.Keep(Entry(1), absl::Hours(1)).value();
  gone.wait();
  EXPECT_EQ(solves_.Get(name).status().code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(solves_.Get(stays).ok());
  // The holds go right after the solve.
  while (memory_.held() != 1 + kModelBytes) std::this_thread::yield();
}

TEST_F(KeptSolvesTest, HasAQuota) {
  ASSERT_TRUE(solves_.Keep(Entry(400), absl::Hours(1)).ok());
  const absl::Status refused = solves_.Keep(Entry(90), absl::Hours(1)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("--max-kept-bytes"));
  EXPECT_EQ(solves_.size(), 1);
  EXPECT_EQ(memory_.held(), 410);
  EXPECT_TRUE(solves_.Keep(Entry(80), absl::Hours(1)).ok());
}

TEST_F(KeptSolvesTest, LeavesMemoryToCallsInWork) {
  MemoryBudget::Hold calls = memory_.Take(900, absl::ZeroDuration()).value();
  const absl::Status refused = solves_.Keep(Entry(100), absl::Hours(1)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(refused.message(), HasSubstr("server's memory"));
  EXPECT_EQ(solves_.held_bytes(), 0);
  EXPECT_EQ(memory_.held(), 900);
  calls.Release();
  EXPECT_TRUE(solves_.Keep(Entry(100), absl::Hours(1)).ok());
}

TEST_F(KeptSolvesTest, CountsWhatCallsAdd) {
  SolveOfSize* solve = nullptr;
  const std::string name = solves_.Keep(Entry(90, &solve), absl::Hours(1)).value();
  solve->Grow(50);
  solves_.Recount(name);
  EXPECT_EQ(memory_.held(), 150);
  solves_.Recount(name);
  EXPECT_EQ(solves_.held_bytes(), 150);
  std::future<void> gone = solve->Gone();
  solve->Grow(400);
  solves_.Recount(name);  // past the quota: let go
  gone.wait();
  EXPECT_EQ(solves_.size(), 0);
  EXPECT_EQ(memory_.held(), 0);
  solves_.Recount(name);
}

}  // namespace
}  // namespace costate
