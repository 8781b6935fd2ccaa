#include "engine/model/issue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/base/limits.h"

namespace costate {
namespace {

using ::testing::HasSubstr;

TEST(FormatIssuesTest, ShowsLineCaretAndHint) {
  EXPECT_EQ(FormatIssues("sir.ode", "state s = 1\ni' = b*s*gmma\n",
                         {{{2, 10, 4}, "unknown name 'gmma'", "did you mean 'gamma'?"}}),
            "sir.ode:2:10: error: unknown name 'gmma'\n"
            "    2 | i' = b*s*gmma\n"
            "      |          ^~~~\n"
            "      = hint: did you mean 'gamma'?\n");
}

TEST(FormatIssuesTest, LeavesOutAnEmptyHint) {
  EXPECT_EQ(FormatIssues("m", "x", {{{1, 1, 1}, "wrong", ""}}),
            "m:1:1: error: wrong\n    1 | x\n      | ^\n");
}

TEST(FormatIssuesTest, SortsByPlace) {
  const std::string text =
      FormatIssues("m", "a b\nc\n",
                   {{{2, 1, 1}, "third", ""}, {{1, 3, 1}, "second", ""}, {{1, 1, 1}, "first", ""}});
  EXPECT_LT(text.find("first"), text.find("second"));
  EXPECT_LT(text.find("second"), text.find("third"));
}

TEST(FormatIssuesTest, CaretStandsUnderTabsAndLetters) {
  // Tabs are repeated in the caret line, a Greek letter is one column.
  EXPECT_EQ(FormatIssues("m", "\tx\t\xCE\xB2 y\n", {{{1, 6, 1}, "wrong", ""}}),
            "m:1:6: error: wrong\n    1 | \tx\t\xCE\xB2 y\n      | \t \t  ^\n");
}

TEST(FormatIssuesTest, CutsWideLinesAroundTheCaret) {
  const std::string line = std::string(1000, 'a') + "!" + std::string(100000, 'b');
  const std::string text = FormatIssues("m", line, {{{1, 1001, 1}, "wrong", ""}});
  EXPECT_LT(text.size(), 400);
  const size_t mark = text.find('^') - text.rfind("| ");
  const size_t excerpt = text.find("| ");
  EXPECT_EQ(text[excerpt + mark], '!');
}

TEST(FormatIssuesTest, CaretLengthStaysInTheLine) {
  EXPECT_THAT(FormatIssues("m", "abc\ndef", {{{1, 2, 50}, "wrong", ""}}),
              HasSubstr("      |  ^~\n"));
}

TEST(FormatIssuesTest, MasksControlCharactersAndInvalidBytes) {
  const std::string text =
      FormatIssues("m", std::string("a\x1b[31m\xff\0b", 9), {{{1, 2, 1}, "x", ""}});
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_EQ(text.find('\xff'), std::string::npos);
  EXPECT_EQ(text.find('\0'), std::string::npos);
}

TEST(FormatIssuesTest, PlacesOutsideTheTextAreHarmless) {
  for (const SourceLocation location :
       {SourceLocation{0, 0, 0}, SourceLocation{7, 1, 1}, SourceLocation{1, 99, 9},
        SourceLocation{1, 0, -5}, SourceLocation{-1, -1, -1}}) {
    EXPECT_THAT(FormatIssues("m", "x\n", {{location, "wrong", ""}}), HasSubstr("error: wrong"));
    EXPECT_THAT(FormatIssues("m", "", {{location, "wrong", ""}}), HasSubstr("error: wrong"));
  }
}

TEST(FormatIssuesTest, FindsLinesOfEveryLineEnd) {
  EXPECT_THAT(FormatIssues("m", "a\r\nb\rc\nd", {{{3, 1, 1}, "wrong", ""}}), HasSubstr("3 | c\n"));
  EXPECT_THAT(FormatIssues("m", "a\r\nb\rc\nd", {{{4, 1, 1}, "wrong", ""}}), HasSubstr("4 | d\n"));
}

TEST(FormatIssuesTest, ShowsAtMostTheLimit) {
  const std::vector<Issue> issues(100000, Issue{{1, 1, 1}, "wrong", ""});
  const std::string text = FormatIssues("m", "x", issues);
  int64_t count = 0;
  for (size_t at = text.find("error"); at != std::string::npos; at = text.find("error", at + 1)) {
    ++count;
  }
  EXPECT_EQ(count, limits::kMaxIssues);
}

}  // namespace
}  // namespace costate
