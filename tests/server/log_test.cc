#include "server/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/flat_json.h"

namespace costate {
namespace {

FlatJson Parse(const std::string& line) {
  const std::optional<FlatJson> parsed = FlatJsonReader::Read(line);
  EXPECT_TRUE(parsed.has_value()) << line;
  return parsed.value_or(FlatJson());
}

std::string TextOf(const std::string& line, const std::string& key) {
  return Parse(line).at(key).text;
}

class LogTest : public ::testing::Test {
 protected:
  std::vector<std::string> lines_;
  Log log_{LogLevel::kInfo, [this](std::string_view line) { lines_.emplace_back(line); },
           [] { return absl::FromUnixMicros(1'700'000'000'123'456); }};
};

TEST_F(LogTest, WritesOneObjectALine) {
  log_.Write(LogLevel::kWarning, "event",
             {{"text", "a"}, {"count", int64_t{1} << 40}, {"ratio", 0.25}, {"flag", true}});
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_EQ(lines_[0],
            "{\"ts\":\"2023-11-14T22:13:20.123456Z\",\"level\":\"warning\",\"event\":\"event\","
            "\"text\":\"a\",\"count\":1099511627776,\"ratio\":0.25,\"flag\":true}\n");
  EXPECT_EQ(Parse(lines_[0]).at("ratio").number, 0.25);
}

TEST_F(LogTest, LeavesOutLowLevels) {
  log_.Write(LogLevel::kDebug, "event", {});
  EXPECT_TRUE(lines_.empty());
}

TEST_F(LogTest, EscapesWhateverComes) {
  std::string every;
  for (int byte = 1; byte < 128; ++byte) every.push_back(static_cast<char>(byte));
  every += "\u00e9\u20ac\U0001F600";
  log_.Write(LogLevel::kInfo, "e", {{"text", every}});
  EXPECT_EQ(TextOf(lines_[0], "text"), every);
  EXPECT_EQ(std::count(lines_[0].begin(), lines_[0].end(), '\n'), 1);
}

TEST_F(LogTest, ReplacesWhatIsNotUtf8) {
  for (const char* bytes :
       {"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"}) {
    lines_.clear();
    log_.Write(LogLevel::kInfo, "e", {{"text", std::string("a") + bytes + "b"}});
    const std::string read = TextOf(lines_[0], "text");
    EXPECT_EQ(read.front(), 'a');
    EXPECT_EQ(read.back(), 'b');
    EXPECT_NE(read.find("\xEF\xBF\xBD"), std::string::npos);
  }
}

TEST_F(LogTest, WritesNoNumbersJsonDoesNotHave) {
  log_.Write(LogLevel::kInfo, "e",
             {{"nan", std::numeric_limits<double>::quiet_NaN()},
              {"inf", std::numeric_limits<double>::infinity()}});
  EXPECT_EQ(Parse(lines_[0]).at("nan").kind, JsonScalar::Kind::kNull);
}

TEST_F(LogTest, KeepsLinesWholeUnderThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this] {
      for (int i = 0; i < 100; ++i) log_.Write(LogLevel::kInfo, "e", {{"i", i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(lines_.size(), 400u);
  for (const std::string& line : lines_) Parse(line);
}

TEST(LogLevel, HasNames) {
  EXPECT_EQ(FindLogLevel("error"), LogLevel::kError);
  EXPECT_EQ(FindLogLevel("loud"), std::nullopt);
}

}  // namespace
}  // namespace costate
