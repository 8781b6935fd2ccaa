#include "engine/model/scanner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/base/limits.h"

namespace costate {
namespace {

using ::testing::ElementsAre;

std::vector<TokenKind> Kinds(std::string_view text, IssueList* issues) {
  std::vector<TokenKind> kinds;
  for (const Token& token : ScanModel(text, issues)) kinds.push_back(token.kind);
  return kinds;
}

TEST(ScannerTest, CutsStatementIntoTokens) {
  IssueList issues;
  EXPECT_THAT(Kinds("s' = -b*s  # rest\n", &issues),
              ElementsAre(TokenKind::kName, TokenKind::kPrime, TokenKind::kAssign,
                          TokenKind::kMinus, TokenKind::kName, TokenKind::kStar, TokenKind::kName,
                          TokenKind::kNewline, TokenKind::kNewline, TokenKind::kEnd));
  EXPECT_TRUE(issues.empty());
}

TEST(ScannerTest, TakesTheLongestSign) {
  IssueList issues;
  EXPECT_THAT(Kinds("< <= > >= == != = <=-", &issues),
              ElementsAre(TokenKind::kLess, TokenKind::kLessEqual, TokenKind::kGreater,
                          TokenKind::kGreaterEqual, TokenKind::kEqual, TokenKind::kNotEqual,
                          TokenKind::kAssign, TokenKind::kLessEqual, TokenKind::kMinus,
                          TokenKind::kNewline, TokenKind::kEnd));
  EXPECT_TRUE(issues.empty());
}

TEST(ScannerTest, WordsAreNotPrefixesOfNames) {
  IssueList issues;
  EXPECT_THAT(Kinds("in inside if iff T_1 let_ input inputs", &issues),
              ElementsAre(TokenKind::kIn, TokenKind::kName, TokenKind::kIf, TokenKind::kName,
                          TokenKind::kName, TokenKind::kName, TokenKind::kReserved,
                          TokenKind::kName, TokenKind::kNewline, TokenKind::kEnd));
}

struct NumberCase {
  std::string text;
  double value;
};

class NumberTest : public ::testing::TestWithParam<NumberCase> {};

TEST_P(NumberTest, HasItsValue) {
  IssueList issues;
  const std::vector<Token> tokens = ScanModel(GetParam().text, &issues);
  ASSERT_EQ(tokens[0].kind, TokenKind::kNumber);
  EXPECT_EQ(tokens[0].length, static_cast<int32_t>(GetParam().text.size()));
  EXPECT_EQ(NumberValue(tokens[0], GetParam().text), GetParam().value);
  EXPECT_TRUE(issues.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Numbers, NumberTest,
    ::testing::Values(NumberCase{"1", 1}, NumberCase{"0.44", 0.44}, NumberCase{"1.5e-3", 0.0015},
                      NumberCase{".5", 0.5}, NumberCase{"5.", 5}, NumberCase{"2E+3", 2000},
                      NumberCase{"4.9406564584124654e-324", 5e-324},
                      NumberCase{"1.7976931348623157e308", 0x1.fffffffffffffp1023},
                      NumberCase{"0e-9999", 0}, NumberCase{"000000000000000000000000000000007", 7},
                      // Halfway cases are rounded to even.
                      NumberCase{"9007199254740993", 9007199254740992.0}));

TEST(ScannerTest, BadNumbersAreOneTokenAndOneIssue) {
  for (const std::string text : {"1.2.3", "1..2", "1e", "1e+", "1e999", "1e-999", "2x", "1_000"}) {
    IssueList issues;
    EXPECT_THAT(Kinds(text, &issues),
                ElementsAre(TokenKind::kBad, TokenKind::kNewline, TokenKind::kEnd))
        << text;
    EXPECT_EQ(issues.Take().size(), 1) << text;
  }
}

TEST(ScannerTest, ColumnsCountCodePoints) {
  IssueList issues;
  const std::string text = "x # \xCE\xB1\n\xC2\xA0y \xE2\x88\x92 z";  // NBSP, minus sign
  const std::vector<Token> tokens = ScanModel(text, &issues);
  ASSERT_EQ(tokens.size(), 7);
  EXPECT_EQ(tokens[2].line, 2);
  EXPECT_EQ(tokens[2].column, 2);
  EXPECT_EQ(tokens[3].kind, TokenKind::kMinus);
  EXPECT_EQ(tokens[3].column, 4);
  EXPECT_EQ(tokens[4].column, 6);
  EXPECT_EQ(LocationOf(tokens[3], text).length, 1);
  EXPECT_EQ(issues.Take().size(), 1);
}

TEST(ScannerTest, EveryKindOfLineEndCounts) {
  IssueList issues;
  const std::vector<Token> tokens = ScanModel("a\nb\r\nc\rd", &issues);
  std::vector<int> lines;
  for (const Token& token : tokens) {
    if (token.kind == TokenKind::kName) lines.push_back(token.line);
  }
  EXPECT_THAT(lines, ElementsAre(1, 2, 3, 4));
}

TEST(ScannerTest, ByteOrderMarkIsSkipped) {
  IssueList issues;
  const std::vector<Token> tokens = ScanModel("\xEF\xBB\xBFmodel m", &issues);
  EXPECT_EQ(tokens[0].kind, TokenKind::kModel);
  EXPECT_EQ(tokens[0].column, 1);
  EXPECT_TRUE(issues.empty());
}

TEST(ScannerTest, NamesHaveALimit) {
  IssueList issues;
  const std::string longest(limits::kMaxIdentifierBytes, 'a');
  EXPECT_EQ(ScanModel(longest, &issues)[0].kind, TokenKind::kName);
  EXPECT_TRUE(issues.empty());
  EXPECT_EQ(ScanModel(longest + "a", &issues)[0].kind, TokenKind::kBad);
  EXPECT_EQ(issues.Take().size(), 1);
}

TEST(ScannerTest, EveryByteIsATokenASpaceOrReported) {
  for (int byte = 0; byte < 256; ++byte) {
    IssueList issues;
    const std::string text(1, static_cast<char>(byte));
    bool bad = false;
    for (const Token& token : ScanModel(text, &issues)) bad |= token.kind == TokenKind::kBad;
    EXPECT_TRUE(!bad || !issues.empty()) << byte;
  }
}

TEST(ScannerTest, ForeignWordIsReportedOnceAndKeptAsAName) {
  IssueList issues;
  const std::string text = "\xCE\xB2 + \xCE\xB2";
  const std::vector<Token> tokens = ScanModel(text, &issues);
  EXPECT_EQ(tokens[0].kind, TokenKind::kName);
  EXPECT_EQ(tokens[2].kind, TokenKind::kName);
  const std::vector<Issue> taken = issues.Take();
  ASSERT_EQ(taken.size(), 1);
  EXPECT_EQ(taken[0].hint, "write 'beta'");
}

}  // namespace
}  // namespace costate
