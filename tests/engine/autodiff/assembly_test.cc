#include "engine/autodiff/assembly.h"

#include <random>
#include <vector>

#include "engine/autodiff/terms.h"
#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "engine/model/model.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

using ::testing::ElementsAre;

struct Span {
  int64_t offset;
  int64_t size;
};

// Assembles pieces whose elements are read from one long input, one after the other.
struct Assembled {
  std::vector<double> values;
  std::vector<double> expected;
  size_t instructions;
  size_t segments;
};

Assembled Assemble(const std::vector<Span>& spans, int64_t total) {
  int64_t length = 0;
  for (const Span& span : spans) length += span.size;
  FunctionBuilder b("f", {{"x", length}}, {{"out", total}});
  std::vector<double> x(length);
  std::vector<Piece> pieces;
  Assembled result;
  result.expected.assign(total, 0);
  int64_t place = 0;
  for (const Span& span : spans) {
    const Shape shape = span.size == 1 ? Shape{} : Shape{1, span.size};
    pieces.push_back({span.offset, b.Unary(Op::kNeg, b.Input(0, place, shape))});
    for (int64_t i = 0; i < span.size; ++i) {
      x[place + i] = -static_cast<double>(1 + (place + i) % 97);
      result.expected[span.offset + i] -= x[place + i];
    }
    place += span.size;
  }
  const size_t before = b.function().instructions.size();
  const std::vector<Segment> segments = AssemblePieces(b, pieces, total);
  result.segments = segments.size();
  for (const Segment& segment : segments) {
    if (segment.value == kNoValue) {
      ZeroResult(b, 0, segment.offset, segment.size);
    } else {
      EXPECT_EQ(NumElements(b.shape(segment.value)), segment.size);
      b.Result(segment.value, 0, segment.offset);
    }
  }
  const Function f = std::move(b).Build();
  EXPECT_TRUE(VerifyFunction(f).ok()) << VerifyFunction(f);
  result.instructions = f.instructions.size() - before;
  result.values = Interpret(f, {x})[0];
  return result;
}

TEST(AssemblyTest, GapsAndNeighboursAreLeftAsTheyAre) {
  const Assembled result = Assemble({{5, 2}, {1, 1}, {2, 3}}, 9);
  EXPECT_EQ(result.values, result.expected);
  EXPECT_EQ(result.segments, 5);      // zero, 1, 3, 2, zeros
  EXPECT_LE(result.instructions, 3);  // the zeros
}

TEST(AssemblyTest, NothingIsAllZeros) {
  EXPECT_THAT(Assemble({}, 3).values, ElementsAre(0, 0, 0));
  EXPECT_TRUE(Assemble({}, 0).values.empty());
}

TEST(AssemblyTest, OneElementOfALongPieceIsCutOut) {
  const Assembled result = Assemble({{0, 1000}, {500, 1}}, 1000);
  EXPECT_EQ(result.values, result.expected);
  EXPECT_EQ(result.segments, 3);
}

TEST(AssemblyTest, ManyElementsOfALongPieceAreLaidOut) {
  std::vector<Span> spans = {{0, 1000}};
  for (int i = 0; i < 1000; ++i) spans.push_back({i, 1});
  const Assembled result = Assemble(spans, 1000);
  EXPECT_EQ(result.values, result.expected);
  EXPECT_EQ(result.segments, 1);
  EXPECT_LE(result.instructions, 1010);
}

TEST(AssemblyTest, WindowsThatOverlapDeeplyStayLinear) {
  std::vector<Span> spans;
  for (int i = 0; i < 2000; ++i) spans.push_back({i, 50});
  const Assembled result = Assemble(spans, 2100);
  EXPECT_EQ(result.values, result.expected);
  EXPECT_LE(result.instructions, 3 * spans.size());
}

TEST(AssemblyTest, RandomPiecesAddUp) {
  std::mt19937 generator(7);
  for (int trial = 0; trial < 500; ++trial) {
    const int total = 1 + static_cast<int>(generator() % 60);
    std::vector<Span> spans(generator() % 12);
    for (Span& span : spans) {
      span.offset = generator() % total;
      span.size = 1 + generator() % (total - span.offset);
    }
    const Assembled result = Assemble(spans, total);
    EXPECT_EQ(result.values, result.expected);
  }
}

TEST(AssemblyTest, AValueKeepsItsShape) {
  FunctionBuilder b("f", {{"x", 3}}, {{"out", 6}});
  const ValueId value = AssembleValue(b, {{1, b.Input(0, 0, {2})}, {5, b.Input(0, 2, {})}}, {2, 3});
  EXPECT_EQ(b.shape(value), (Shape{2, 3}));
  b.Result(value, 0, 0);
  EXPECT_THAT(Interpret(std::move(b).Build(), {{7, 8, 9}})[0], ElementsAre(0, 7, 8, 0, 0, 9));
}

}  // namespace
}  // namespace costate
