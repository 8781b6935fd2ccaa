// Moves of elements against the interpreter, bit by bit; sums against long double.
#include <cmath>
#include <random>

#include "engine/interpreter/interpreter.h"
#include "engine/model/function_builder.h"
#include "gtest/gtest.h"
#include "tests/engine/codegen/every_way.h"

namespace costate {
namespace {

class Structure : public testing::Test {
 protected:
  std::vector<double> Random(int64_t size) {
    std::uniform_real_distribution<double> uniform(-1, 1);
    std::vector<double> x(size);
    for (double& value : x) value = uniform(random_);
    return x;
  }

  // Runs `emit` of an input of the shape, and expects the interpreter's bits, or nearly for sums.
  template <typename Emit>
  void Check(const Shape& shape, Emit emit, double tolerance = 0) {
    const int64_t n = NumElements(shape);
    FunctionBuilder probe("probe", {{"x", n}, {"z", n}}, {});
    const Shape result =
        probe.shape(emit(probe, probe.Input(0, 0, shape), probe.Input(1, 0, shape)));
    FunctionBuilder b("structure", {{"x", n}, {"z", n}}, {{"y", NumElements(result)}});
    b.Result(emit(b, b.Input(0, 0, shape), b.Input(1, 0, shape)), 0, 0);
    const Function f = std::move(b).Build();
    const std::vector<Buffers> inputs = {{Random(n), Random(n)}, {Random(n), Random(n)}};
    const std::vector<Buffers> results = ways_.Run(f, inputs);
    ASSERT_EQ(results.size(), inputs.size());
    for (size_t lane = 0; lane < inputs.size(); ++lane) {
      const Buffers expected = Interpret(f, inputs[lane]);
      for (size_t i = 0; i < expected[0].size(); ++i) {
        ASSERT_NEAR(results[lane][0][i], expected[0][i], tolerance)
            << ShapeToString(shape) << " to " << ShapeToString(result) << " element " << i;
      }
    }
  }

  std::mt19937_64 random_{5};
  EveryWay ways_;
};

// Shapes below and above what is held in registers.
const std::vector<Shape> kShapes = {{3},    {17},   {2, 3},    {5, 7},
                                    {1, 9}, {9, 1}, {2, 3, 5}, {3, 1, 2, 4}};

TEST_F(Structure, Transpose) {
  for (const Shape& shape : {Shape{2, 3}, Shape{3, 4}, Shape{7, 11}, Shape{1, 20}}) {
    Check(shape, [](auto& b, ValueId x, ValueId) { return b.Transpose(x); });
    Check(shape,
          [](auto& b, ValueId x, ValueId z) { return b.Transpose(b.Binary(Op::kAdd, x, z)); });
  }
}

TEST_F(Structure, ReshapeThenElementwise) {
  for (const Shape& shape : kShapes) {
    Check(shape, [&](auto& b, ValueId x, ValueId z) {
      const ValueId sum = b.Binary(Op::kAdd, x, z);
      const ValueId flat = b.Reshape(sum, {NumElements(shape)});
      return b.Binary(Op::kMul, flat, b.Reshape(z, {NumElements(shape)}));
    });
  }
}

TEST_F(Structure, BroadcastTo) {
  for (const Shape& shape : kShapes) {
    if (shape.size() > 3) continue;
    Shape larger = {4};
    for (int64_t extent : shape) larger.push_back(extent == 1 ? 3 : extent);
    Check(shape, [&](auto& b, ValueId x, ValueId) { return b.BroadcastTo(x, larger); });
  }
}

TEST_F(Structure, SlicesAndPads) {
  for (const Shape& shape : kShapes) {
    std::vector<int64_t> inner, strided, first, place;
    Shape padded;
    for (int64_t extent : shape) {
      for (int64_t v : {extent > 2 ? int64_t{1} : int64_t{0}, extent, int64_t{1}})
        inner.push_back(v);
      for (int64_t v : {int64_t{0}, extent, int64_t{2}}) strided.push_back(v);
      const bool outermost = first.empty();
      for (int64_t v : {int64_t{0}, outermost ? (extent + 1) / 2 : extent, int64_t{1}}) {
        first.push_back(v);
      }
      for (int64_t v : {int64_t{1}, int64_t{2}}) place.push_back(v);
      padded.push_back(2 * extent + 1);
    }
    for (const std::vector<int64_t>& slice : {inner, strided, first}) {
      Check(shape, [&](auto& b, ValueId x, ValueId z) {
        return b.Slice(b.Binary(Op::kSub, x, z), slice);
      });
      Check(shape, [&](auto& b, ValueId x, ValueId) { return b.Slice(x, slice); });
    }
    Check(shape, [&](auto& b, ValueId x, ValueId) { return b.Pad(x, place, padded); });
  }
}

TEST_F(Structure, Concat) {
  for (const Shape& shape : kShapes) {
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      Check(shape, [&](auto& b, ValueId x, ValueId z) {
        const ValueId product = b.Binary(Op::kMul, x, z);
        return b.Concat({z, product, x}, static_cast<int64_t>(axis));
      });
    }
  }
}

TEST_F(Structure, SumsAreCloseToTheInterpreters) {
  for (const Shape& shape : kShapes) {
    for (int64_t axis = -1; axis < static_cast<int64_t>(shape.size()); ++axis) {
      Check(shape, [&](auto& b, ValueId x, ValueId) { return b.Sum(x, axis); }, 1e-14);
    }
  }
  Check({40, 30}, [](auto& b, ValueId x, ValueId) { return b.Sum(x, 0); }, 1e-13);
  Check({40, 30}, [](auto& b, ValueId x, ValueId) { return b.Sum(x, 1); }, 1e-13);
}

TEST_F(Structure, SumTo) {
  for (const Shape& to : {Shape{5, 7}, Shape{1, 7}, Shape{5, 1}, Shape{7}, Shape{1}, Shape{}}) {
    Check({4, 5, 7}, [&](auto& b, ValueId x, ValueId) { return b.SumTo(x, to); }, 1e-13);
  }
}

// Written out once, so that the order is a promise: 8 interleaved sums, folded in halves.
TEST_F(Structure, SumFollowsItsOrder) {
  for (const int64_t n : {1, 2, 3, 5, 8, 9, 15, 16, 40, 1001}) {
    FunctionBuilder b("sum", {{"x", n}}, {{"y", 1}});
    b.Result(b.Sum(b.Input(0, 0, {n})), 0, 0);
    const std::vector<double> x = Random(n);
    std::vector<double> sums;
    for (int64_t i = 0; i < n; ++i) {
      if (i < 8)
        sums.push_back(x[i]);
      else
        sums[i % 8] += x[i];
    }
    for (size_t step : {4, 2, 1}) {
      for (size_t j = 0; j < step && j + step < sums.size(); ++j) sums[j] += sums[j + step];
    }
    EXPECT_EQ(ways_.Run(std::move(b).Build(), {{x}})[0][0][0], sums[0]) << n;
  }
}

}  // namespace
}  // namespace costate
