// Hostile, huge and random texts: bounded work, and always either a model or issues.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "engine/base/limits.h"
#include "engine/model/model.h"
#include "tests/engine/model/model_files.h"

namespace costate {
namespace {

std::string Repeat(const std::string& part, int64_t times) {
  std::string text;
  text.reserve(part.size() * times);
  for (int64_t i = 0; i < times; ++i) text += part;
  return text;
}

int64_t NumLines(const std::string& text) {
  int64_t lines = 1;
  for (size_t i = 0; i < text.size(); ++i) {
    lines += text[i] == '\n' || (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n'));
  }
  return lines;
}

// What holds for every text.
void CheckInvariants(const std::string& text, const ParsedModel& parsed) {
  if (parsed.ok()) {
    EXPECT_TRUE(VerifyModel(parsed.ir).ok());
    return;
  }
  EXPECT_LE(static_cast<int64_t>(parsed.issues.size()), limits::kMaxIssues);
  const int64_t lines = NumLines(text);
  for (const Issue& issue : parsed.issues) {
    EXPECT_FALSE(issue.message.empty());
    EXPECT_GE(issue.location.line, 1);
    EXPECT_LE(issue.location.line, lines);
    EXPECT_GE(issue.location.column, 1);
    EXPECT_GE(issue.location.length, 1);
  }
  EXPECT_FALSE(FormatIssues("text", text, parsed.issues).empty());
}

void ExpectRefused(const std::string& text) {
  const ParsedModel parsed = ParseModel(text);
  EXPECT_FALSE(parsed.ok());
  CheckInvariants(text, parsed);
}

const std::string kTail = "\nstate x = 1\nx' = 1\n";

TEST(HostileTextTest, TextsOfOneKind) {
  constexpr int64_t kSize = 100'000;
  for (const std::string part : {"(",
                                 ")",
                                 "[",
                                 "]",
                                 "-",
                                 "^",
                                 "x ",
                                 "x(",
                                 "f[",
                                 "if ",
                                 "if a then ",
                                 "else ",
                                 "not ",
                                 ",",
                                 ";",
                                 "'",
                                 "=",
                                 ":",
                                 "a'",
                                 "a=",
                                 "\"",
                                 "#",
                                 "\\",
                                 "1",
                                 "1.",
                                 ".",
                                 "e",
                                 "\n",
                                 "\r",
                                 "\t",
                                 "$",
                                 "\xff",
                                 "\xe2\x88\x92",
                                 "\xce\xb1",
                                 "\xf0\x9f\x98\x80",
                                 "let ",
                                 "let a ",
                                 "fun f(",
                                 "let a=a\n",
                                 "a'=1\n",
                                 "param a\n",
                                 "x+",
                                 "x^",
                                 "[[",
                                 "T.",
                                 ".T",
                                 "@",
                                 "!",
                                 "&&",
                                 "event e\n",
                                 "x;",
                                 "[a,"}) {
    SCOPED_TRACE(part);
    const std::string text = Repeat(part, kSize / static_cast<int64_t>(part.size()));
    ExpectRefused(text);
    const std::string value = "let v = " + text + kTail;
    CheckInvariants(value, ParseModel(value));
  }
}

TEST(HostileTextTest, ZeroBytes) {
  ExpectRefused(std::string(1'000'000, '\0'));
  ExpectRefused("state x = 1\nx' = " + std::string(1000, '\0') + "x\n");
}

TEST(HostileTextTest, SizeIsLimited) {
  const std::string model = "state x = 1\nx' = 1\n";
  const std::string comment = "#" + std::string(limits::kMaxModelTextBytes - model.size() - 1, '-');
  EXPECT_TRUE(ParseModel(model + comment).ok());
  const ParsedModel parsed = ParseModel(model + comment + "-");
  ASSERT_EQ(parsed.issues.size(), 1);
  EXPECT_NE(parsed.issues[0].message.find("4194304"), std::string::npos);
}

TEST(HostileTextTest, DeepNestingIsRefused) {
  ExpectRefused("let v = " + Repeat("(", 1'000'000) + "x" + Repeat(")", 1'000'000) + kTail);
  ExpectRefused("let v = " + Repeat("[", 1'000'000) + "1" + Repeat("]", 1'000'000) + kTail);
  ExpectRefused("let v = " + Repeat("if c then ", 100'000) + "1" + Repeat(" else 1", 100'000) +
                kTail);
  ExpectRefused("let v = " + Repeat("sin(", 500'000) + "x" + Repeat(")", 500'000) + kTail);
  ExpectRefused("let v = " + Repeat("x[", 500'000) + "0" + Repeat("]", 500'000) + kTail);
  ExpectRefused("let v = " + Repeat("2^", 1'000'000) + "2" + kTail);
}

TEST(HostileTextTest, LongChainsAreNotDeep) {
  EXPECT_TRUE(ParseModel("let v = " + Repeat("x + ", 200'000) + "x" + kTail).ok());
  EXPECT_TRUE(ParseModel("let v = " + Repeat("-", 200'000) + "x" + kTail).ok());
  std::string chain = "state x = 1\nlet a0 = x\n";
  for (int i = 1; i < 50'000; ++i) {
    chain += "let a" + std::to_string(i) + " = a" + std::to_string(i - 1) + " + 1\n";
  }
  EXPECT_TRUE(ParseModel(chain + "x' = a49999\n").ok());
}

TEST(HostileTextTest, LongCycleIsOneIssue) {
  std::string chain = "state x = 1\n";
  for (int i = 0; i < 50'000; ++i) {
    chain += "let a" + std::to_string(i) + " = a" + std::to_string((i + 1) % 50'000) + "\n";
  }
  const ParsedModel parsed = ParseModel(chain + "x' = a0\n");
  ASSERT_EQ(parsed.issues.size(), 1);
  EXPECT_LT(parsed.issues[0].message.size(), 200);
}

TEST(HostileTextTest, ManyCyclesAreBounded) {
  // Every let refers to every earlier one's successor: a back edge per let.
  std::string text = "state x = 1\n";
  for (int i = 0; i < 20'000; ++i) {
    text += "let a" + std::to_string(i) + " = a0 + a" + std::to_string((i + 1) % 20'000) + "\n";
  }
  ExpectRefused(text + "x' = a0\n");
}

TEST(HostileTextTest, SharingKeepsDoublingSmall) {
  std::string text = "state x = 0.5\nlet a0 = x\n";
  for (int i = 1; i <= 60; ++i) {
    const std::string before = "a" + std::to_string(i - 1);
    text += "let a" + std::to_string(i) + " = " + before + "*" + before + "\n";
  }
  const ParsedModel parsed = ParseModel(text + "x' = a60\n");
  ASSERT_TRUE(parsed.ok());
  EXPECT_LT(parsed.ir.rhs.instructions.size(), 70);
}

TEST(HostileTextTest, FunctionBombsHitALimit) {
  // 2^60 different calls.
  std::string bomb = "fun f0(x) = sin(x)\n";
  // 2^60 equal calls: shared.
  std::string shared = "fun f0(x) = sin(x)\n";
  for (int i = 1; i <= 60; ++i) {
    const std::string name = "f" + std::to_string(i), inner = "f" + std::to_string(i - 1);
    bomb +=
        "fun " + name + "(x) = " + inner + "(x) + " + inner + "(x + " + std::to_string(i) + ")\n";
    shared += "fun " + name + "(x) = " + inner + "(x) + " + inner + "(x)\n";
  }
  ExpectRefused(bomb + "state x = 1\nx' = f60(x)\n");
  EXPECT_TRUE(ParseModel(shared + "state x = 1\nx' = f60(x)\n").ok());
}

TEST(HostileTextTest, HugeShapesAreRefusedBeforeTheyExist) {
  for (const std::string shape :
       {"[99999999999999999999]", "[4294967296, 4294967296]", "[65536, 65536, 65536, 65536]",
        "[1e308]", "[16777217]", "[4097, 4096]", "[0]", "[-1]", "[0.5]", "[nan]", "[inf]",
        "[1/0]"}) {
    SCOPED_TRACE(shape);
    ExpectRefused("param W" + shape + kTail);
    ExpectRefused("state W" + shape + " = 0\nW' = 0" + kTail);
    ExpectRefused("let W = zeros(" + shape.substr(1, shape.size() - 2) + ")" + kTail);
  }
  ExpectRefused("let v = ones(16777216)\nlet w = outer(v, v)" + kTail);
  ExpectRefused("let a = ones(4096, 4096) + t\nlet b = a*a\nlet c = b*b\nlet d = c*c" + kTail);
  std::string params;
  for (int i = 0; i < 20; ++i) params += "param p" + std::to_string(i) + "[1000, 1000]\n";
  ExpectRefused(params + kTail);
}

TEST(HostileTextTest, ManyIssuesAreCapped) {
  const ParsedModel parsed = ParseModel(Repeat("let a = )\n", 300'000));
  EXPECT_EQ(static_cast<int64_t>(parsed.issues.size()), limits::kMaxIssues);
  std::string unknown;
  for (int i = 0; i < 100'000; ++i)
    unknown += "let a" + std::to_string(i) + " = b" + std::to_string(i) + "\n";
  EXPECT_EQ(static_cast<int64_t>(ParseModel(unknown).issues.size()), limits::kMaxIssues);
}

TEST(LargeModelTest, FiveThousandEquations) {
  std::string text = "param k = 2\n";
  for (int i = 0; i < 5000; ++i)
    text += "state x" + std::to_string(i) + " = " + std::to_string(i) + "\n";
  for (int i = 0; i < 5000; ++i) {
    const std::string left = "x" + std::to_string((i + 4999) % 5000),
                      right = "x" + std::to_string((i + 1) % 5000);
    const std::string own = "x" + std::to_string(i);
    text += own + "' = k*(" + left + " - 2*" + own + " + " + right + ") - sin(" + own + ")^2/" +
            std::to_string(i + 1) + "\n";
  }
  const ParsedModel parsed = ParseModel(text);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.ir.num_states(), 5000);
  EXPECT_LT(parsed.ir.rhs.instructions.size(), 70'000);
}

// Random edits of the corpus: cut, repeat, replace and mix pieces.
class Mutator {
 public:
  explicit Mutator(uint64_t seed) : random_(seed) {}

  std::string Mutate(const std::string& text, const std::string& other) {
    std::string mutated = text;
    const int edits = 1 + static_cast<int>(random_() % 4);
    for (int i = 0; i < edits; ++i) EditOnce(&mutated, other);
    return mutated;
  }

 private:
  size_t Position(const std::string& text) { return text.empty() ? 0 : random_() % text.size(); }

  void EditOnce(std::string* text, const std::string& other) {
    static const std::vector<std::string> kPieces = {"(",
                                                     ")",
                                                     "[",
                                                     "]",
                                                     ",",
                                                     ";",
                                                     "'",
                                                     "=",
                                                     "==",
                                                     ":",
                                                     "^",
                                                     "@",
                                                     "-",
                                                     "+",
                                                     "*",
                                                     "/",
                                                     ".T",
                                                     "\n",
                                                     " if ",
                                                     " then ",
                                                     " else ",
                                                     " not ",
                                                     " and ",
                                                     " in ",
                                                     "let ",
                                                     "state ",
                                                     "param ",
                                                     "fun ",
                                                     "output ",
                                                     "0",
                                                     "1e9",
                                                     "-1",
                                                     "2.5",
                                                     "x",
                                                     "t",
                                                     "y[0]",
                                                     "sum(",
                                                     "roll(x, ",
                                                     "zeros(3)",
                                                     "[1, 2]",
                                                     "\xce\xb1",
                                                     "\xff",
                                                     std::string(1, '\0'),
                                                     "#",
                                                     "event ",
                                                     "reshape(",
                                                     "eye(2)"};
    const size_t at = Position(*text);
    const size_t size = random_() % 8;
    switch (random_() % 6) {
      case 0:
        text->erase(at, size);
        break;
      case 1:
        text->insert(at, kPieces[random_() % kPieces.size()]);
        break;
      case 2:
        if (!text->empty()) (*text)[at] = static_cast<char>(random_() % 256);
        break;
      case 3:
        text->insert(at, text->substr(Position(*text), random_() % 60));
        break;
      case 4:
        text->insert(at, other.substr(Position(other), random_() % 60));
        break;
      default:
        text->replace(at, size, kPieces[random_() % kPieces.size()]);
        break;
    }
  }

  std::mt19937_64 random_;
};

TEST(FuzzTest, MutatedCorpusGivesAModelOrIssues) {
  std::vector<std::string> corpus;
  for (const std::string folder : {"problems", "golden/models/good", "golden/models/bad"}) {
    for (const auto& path : ModelFiles(folder)) {
      std::string text = ReadFile(path);
      // The expensive ones have tests of their own.
      if (text.size() < 3000 && path.stem() != "doubling_functions")
        corpus.push_back(std::move(text));
    }
  }
  ASSERT_GE(corpus.size(), 100);
  Mutator mutator(20240901);
  int good = 0;
  for (int round = 0; round < 100; ++round) {
    for (size_t i = 0; i < corpus.size(); ++i) {
      const std::string text = mutator.Mutate(corpus[i], corpus[(i * 7 + round) % corpus.size()]);
      const ParsedModel parsed = ParseModel(text);
      good += parsed.ok();
      CheckInvariants(text, parsed);
      if (HasFailure()) FAIL() << text;
    }
  }
  EXPECT_GT(good, 100);  // the edits are mild enough to leave some models whole
}

}  // namespace
}  // namespace costate
