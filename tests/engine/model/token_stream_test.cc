// Where statements end.
#include "engine/model/token_stream.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace costate {
namespace {

// The statements of a text, their tokens joined by blanks, each ended by " |".
std::string Statements(const std::string& text) {
  IssueList issues;
  std::string joined;
  for (const Token& token : SplitStatements(ScanModel(text, &issues))) {
    if (token.kind == TokenKind::kEnd) break;
    const bool end = EndsStatement(token.kind);
    joined += joined.empty() ? "" : " ";
    joined += end ? "|" : text.substr(token.offset, token.length);
  }
  return joined;
}

TEST(SplitStatementsTest, LinesAndSemicolonsEndStatements) {
  EXPECT_EQ(Statements("a\nb; c\n"), "a | b | c |");
  EXPECT_EQ(Statements("a\n\n\n# only a comment\n\nb"), "a | b |");
  EXPECT_EQ(Statements(""), "|");
}

TEST(SplitStatementsTest, OpenBracketsGoOn) {
  EXPECT_EQ(Statements("f(a\n, b\n)\nc"), "f ( a , b ) | c |");
  EXPECT_EQ(Statements("[1,\n[2,\n3]]"), "[ 1 , [ 2 , 3 ] ] |");
}

TEST(SplitStatementsTest, OperatorsGoOnEitherWay) {
  for (const std::string op : {"+", "-", "*", "/", "^", "@", "<", "<=", ">",
                               ">=", "==", "!=", "and", "or", "then", "else", "in", "="}) {
    EXPECT_EQ(Statements("(a) " + op + "\n\nb[0]"), "( a ) " + op + " b [ 0 ] |");
    EXPECT_EQ(Statements("(a)\n\n" + op + " b[0]"), "( a ) " + op + " b [ 0 ] |");
  }
  EXPECT_EQ(Statements("a,\nb"), "a , b |");
  EXPECT_EQ(Statements("if\na"), "if a |");
}

TEST(SplitStatementsTest, BracketsOnTheNextLineBegin) {
  EXPECT_EQ(Statements("a\n(b)"), "a | ( b ) |");
  EXPECT_EQ(Statements("a\n[b]"), "a | [ b ] |");
  EXPECT_EQ(Statements("a\nnot b"), "a | not b |");
}

TEST(SplitStatementsTest, PlainBeginningsEndWhatIsOpen) {
  for (const std::string next : {"let a = 1", "param a", "state a", "fun f ( a )", "output a",
                                 "model m", "a = 1", "a ' = 1", "event a"}) {
    EXPECT_EQ(Statements("x ' = ( 1 +\n" + next), "x ' = ( 1 + | " + next + " |") << next;
  }
  // "a == 1" and "a ' + 1" might go on.
  EXPECT_EQ(Statements("(1 +\na == 1)"), "( 1 + a == 1 ) |");
}

TEST(SplitStatementsTest, SemicolonsInBracketsEndNothing) {
  IssueList issues;
  const std::vector<Token> tokens = SplitStatements(ScanModel("[1; 2]; b", &issues));
  EXPECT_EQ(tokens[2].kind, TokenKind::kRowSemicolon);
  EXPECT_EQ(tokens[5].kind, TokenKind::kSemicolon);
}

}  // namespace
}  // namespace costate
