#include "tests/engine/random_function.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "engine/model/model.h"

namespace costate {
namespace {

constexpr double kBound = 2;  // on the elements of every value kept

class Random {
 public:
  explicit Random(uint64_t seed) : generator_(seed * 0x9e3779b97f4a7c15u + 1) {}
  // In [0, n); the distributions of <random> differ between platforms.
  int64_t Below(int64_t n) { return static_cast<int64_t>(generator_() % static_cast<uint64_t>(n)); }
  double Uniform() { return static_cast<double>(generator_() >> 11) * 0x1p-53; }
  double Between(double lower, double upper) { return lower + (upper - lower) * Uniform(); }

 private:
  std::mt19937_64 generator_;
};

class Generator {
 public:
  Generator(uint64_t seed, const RandomFunctionOptions& options)
      : options_(options), random_(seed) {
    function_.name = "random";
    function_.inputs = {{"t", 1}, {"y", 7}, {"p", 12}};
    function_.outputs = {{"dy", 7}, {"out", 5}};
  }

  Function Run() {
    Keep(Input(0, 0, {}), kBound);
    Keep(Input(1, random_.Below(7), {}), kBound);
    Keep(Input(2, random_.Below(12), {}), kBound);
    if (options_.tensors) Keep(Input(1, 1, {2, 3}), kBound);
    if (options_.tensors) Keep(Input(2, random_.Below(4), {2, 1, 4}), kBound);
    for (int i = 0; i < options_.steps; ++i) Step();
    for (int buffer = 0; buffer < 2; ++buffer) FillOutput(buffer);
    return std::move(function_);
  }

 private:
  // Leaves and single instructions.
  ValueId Append(Op op, std::vector<ValueId> operands, std::vector<int64_t> attributes = {},
                 Shape shape = {}) {
    Instruction instruction;
    instruction.op = op;
    instruction.operands.assign(operands.begin(), operands.end());
    instruction.attributes.assign(attributes.begin(), attributes.end());
    instruction.shape = std::move(shape);
    if (absl::Status status = InferShape(function_, &instruction); !status.ok()) {
      std::fprintf(stderr, "RandomFunction: %s\n", status.ToString().c_str());
      std::abort();
    }
    function_.instructions.push_back(std::move(instruction));
    return static_cast<ValueId>(function_.instructions.size()) - 1;
  }
  ValueId Input(int buffer, int64_t offset, Shape shape) {
    return Append(Op::kInput, {}, {buffer, offset}, std::move(shape));
  }
  ValueId Constant(std::vector<double> elements, Shape shape = {}) {
    function_.constants.push_back(std::move(elements));
    return Append(Op::kConstant, {}, {static_cast<int64_t>(function_.constants.size()) - 1},
                  std::move(shape));
  }
  const Shape& ShapeOf(ValueId id) const { return function_.instructions[id].shape; }
  int64_t SizeOf(ValueId id) const { return NumElements(ShapeOf(id)); }

  // Keeps a value of elements up to `bound` for later steps, scaled down if that is too large.
  void Keep(ValueId id, double bound) {
    if (bound > kBound) id = Append(Op::kMul, {id, Constant({kBound / bound})});
    kept_.push_back(id);
  }
  ValueId Any() { return kept_[random_.Below(static_cast<int64_t>(kept_.size()))]; }
  ValueId AnyScalar() {
    const ValueId id = Any();
    if (ShapeOf(id).empty()) return id;
    const ValueId sum = Append(Op::kSum, {id}, {-1});
    return Append(Op::kMul, {sum, Constant({1.0 / static_cast<double>(SizeOf(id))})});
  }
  // A value of this shape: a kept one, or one made of a scalar and constants.
  ValueId AnyOf(const Shape& wanted) {
    const Shape shape = wanted;
    for (int i = 0; i < 8; ++i) {
      if (const ValueId id = Any(); ShapeOf(id) == shape) return id;
    }
    if (shape.empty()) return AnyScalar();
    std::vector<double> elements(NumElements(shape));
    for (double& element : elements) element = random_.Between(-1, 1);
    return Append(Op::kMul, {Constant(std::move(elements), shape), AnyScalar()});
  }
  // A value that goes with one of this shape in an elementwise op.
  ValueId Partner(const Shape& shape) { return random_.Below(3) == 0 ? AnyScalar() : AnyOf(shape); }

  // In [0.5, 2.5].
  ValueId Positive(ValueId id) {
    const ValueId half_square = Append(Op::kMul, {Append(Op::kMul, {id, id}), Constant({0.5})});
    return Append(Op::kAdd, {half_square, Constant({0.5})});
  }
  // In [-0.9, 0.9].
  ValueId Small(ValueId id) { return Append(Op::kMul, {id, Constant({0.45})}); }

  void Step();
  void UnaryStep(Op op);
  void BinaryStep(Op op);
  void SelectStep(Op op);
  void StructureStep(Op op);
  void MatmulStep();
  void SliceStep(bool pad);
  void ConcatStep();
  void FillOutput(int buffer);
  ValueId Condition(Op op);
  ValueId ConditionOf(Op op, const Shape& shape);
  Shape RandomShape();
  bool Allowed(Op op) const;

  RandomFunctionOptions options_;
  Random random_;
  Function function_;
  std::vector<ValueId> kept_;
};

bool Generator::Allowed(Op op) const {
  const OpClass op_class = ClassOf(op);
  const bool kink = op == Op::kAbs || op == Op::kSign || op == Op::kFloor || op == Op::kMin ||
                    op == Op::kMax || op_class == OpClass::Compare || op_class == OpClass::Logic ||
                    op_class == OpClass::Select;
  if (kink && !options_.kinks) return false;
  const bool tensor = op_class == OpClass::Structure || op_class == OpClass::Contract;
  return options_.tensors || !tensor;
}

void Generator::Step() {
  Op op = static_cast<Op>(random_.Below(kNumOps));
  while (!Allowed(op)) op = static_cast<Op>(random_.Below(kNumOps));
  switch (ClassOf(op)) {
    case OpClass::Leaf: {
      const Shape shape = options_.tensors ? RandomShape() : Shape{};
      const int64_t size = NumElements(shape);
      if (op == Op::kInput) {
        const int buffer = size <= 7 && random_.Below(2) == 0 ? 1 : 2;
        return Keep(Input(buffer, random_.Below((buffer == 1 ? 7 : 12) - size + 1), shape), kBound);
      }
      std::vector<double> elements(size);
      for (double& element : elements) element = random_.Between(-kBound, kBound);
      return Keep(Constant(std::move(elements), shape), kBound);
    }
    case OpClass::Unary:
      return UnaryStep(op);
    case OpClass::Binary:
      return BinaryStep(op);
    case OpClass::Compare:
    case OpClass::Logic:
    case OpClass::Select:
      return SelectStep(op);
    case OpClass::Structure:
      return StructureStep(op);
    case OpClass::Contract:
      return MatmulStep();
  }
}

void Generator::UnaryStep(Op op) {
  const ValueId x = Any();
  if (op == Op::kPowi) {
    const int64_t exponent = random_.Below(10) - 4;
    const ValueId base = exponent < 0 ? Positive(x) : x;
    return Keep(Append(op, {base}, {exponent}), std::pow(2, std::llabs(exponent)));
  }
  if (op == Op::kSqrt || op == Op::kLog) return Keep(Append(op, {Positive(x)}), kBound);
  if (op == Op::kLog1p || op == Op::kAsin || op == Op::kAcos || op == Op::kAtanh ||
      op == Op::kTan) {
    return Keep(Append(op, {Small(x)}), 2.8);
  }
  if (op == Op::kAcosh) {
    return Keep(Append(op, {Append(Op::kAdd, {Positive(x), Constant({0.75})})}), kBound);
  }
  Keep(Append(op, {x}), 8);  // exp(2) < 8
}

void Generator::BinaryStep(Op op) {
  ValueId a = Any();
  ValueId b = Partner(ShapeOf(a));
  if (random_.Below(2) == 0 && op != Op::kPow && op != Op::kDiv) std::swap(a, b);
  if (op == Op::kDiv) return Keep(Append(op, {a, Positive(b)}), 2 * kBound);
  if (op == Op::kPow) return Keep(Append(op, {Positive(a), b}), 6.25);
  if (op == Op::kAtan2) {
    // Away from the origin and the cut.
    return Keep(Append(op, {a, Positive(b)}), kBound);
  }
  Keep(Append(op, {a, b}), 4);
}

ValueId Generator::ConditionOf(Op op, const Shape& shape) {
  ValueId a = AnyOf(shape);
  ValueId b = Partner(shape);
  if (op == Op::kEq || op == Op::kNe) {
    a = Append(Op::kFloor, {a});
    b = Append(Op::kFloor, {b});
  }
  return Append(op, {a, b});
}

void Generator::SelectStep(Op op) {
  const Shape shape = ShapeOf(Any());
  const Shape condition_shape = random_.Below(3) == 0 ? Shape{} : shape;
  const Op compares[] = {Op::kLt, Op::kLe, Op::kEq, Op::kNe};
  const auto compare = [&] {
    return ClassOf(op) == OpClass::Compare ? op : compares[random_.Below(4)];
  };
  ValueId condition = ConditionOf(compare(), condition_shape);
  if (op == Op::kNot) condition = Append(op, {condition});
  if (op == Op::kAnd || op == Op::kOr) {
    condition = Append(op, {condition, ConditionOf(compare(), condition_shape)});
  }
  // A branch with a computation of its own now and then.
  ValueId taken = AnyOf(shape);
  if (random_.Below(2) == 0) taken = Append(Op::kSin, {Append(Op::kMul, {taken, AnyOf(shape)})});
  Keep(Append(Op::kSelect, {condition, taken, Partner(shape)}), kBound);
}

Shape Generator::RandomShape() {
  const Shape shapes[] = {{}, {3}, {2, 3}, {3, 2}, {1}, {4}, {1, 3}, {2, 1}, {2, 2}, {2, 1, 3}};
  return shapes[random_.Below(10)];
}

void Generator::StructureStep(Op op) {
  const ValueId x = op == Op::kTranspose ? AnyOf({2, 3}) : Any();
  const Shape shape = ShapeOf(x);
  const auto rank = static_cast<int64_t>(shape.size());
  switch (op) {
    case Op::kSum: {
      const int64_t axis = random_.Below(rank + 1) - 1;
      return Keep(Append(op, {x}, {axis}),
                  kBound * static_cast<double>(axis < 0 ? SizeOf(x) : shape[axis]));
    }
    case Op::kReshape:
      return Keep(
          Append(op, {x}, {}, random_.Below(2) == 0 ? Shape{SizeOf(x)} : Shape{1, SizeOf(x)}),
          kBound);
    case Op::kTranspose:
      return Keep(Append(op, {x}), kBound);
    case Op::kBroadcastTo: {
      Shape larger = shape;
      for (int64_t& extent : larger) extent = extent == 1 ? 1 + random_.Below(3) : extent;
      if (rank < 3 && random_.Below(2) == 0) larger.insert(larger.begin(), 2);
      return Keep(Append(op, {x}, {}, larger), kBound);
    }
    case Op::kSumTo: {
      Shape smaller = shape;
      for (int64_t& extent : smaller) extent = random_.Below(2) == 0 ? 1 : extent;
      if (rank > 0 && random_.Below(2) == 0) smaller.erase(smaller.begin());
      return Keep(Append(op, {x}, {}, smaller), kBound * static_cast<double>(SizeOf(x)));
    }
    case Op::kSlice:
    case Op::kPad:
      return SliceStep(op == Op::kPad);
    case Op::kConcat:
      return ConcatStep();
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_LEAF_OP_LIST(COSTATE_CASE)
      COSTATE_ELEMENTWISE_OP_LIST(COSTATE_CASE)
      COSTATE_CONTRACT_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
      return;
  }
}

void Generator::SliceStep(bool pad) {
  const ValueId x = Any();
  const Shape shape = ShapeOf(x);
  std::vector<int64_t> attributes;
  Shape padded;
  for (int64_t extent : shape) {
    const int64_t step = 1 + random_.Below(2);
    const int64_t start = random_.Below(pad ? 3 : extent);
    attributes.push_back(start);
    if (!pad) attributes.push_back(start + 1 + random_.Below(extent - start));
    attributes.push_back(step);
    padded.push_back(start + (extent - 1) * step + 1 + random_.Below(2));
  }
  if (pad && NumElements(padded) > 64) return;
  Keep(Append(pad ? Op::kPad : Op::kSlice, {x}, attributes, padded), kBound);
}

void Generator::ConcatStep() {
  const ValueId first = Any();
  const Shape shape = ShapeOf(first);
  if (shape.empty() || SizeOf(first) > 24) return;
  const int64_t axis = random_.Below(static_cast<int64_t>(shape.size()));
  std::vector<ValueId> parts = {first};
  for (int64_t more = random_.Below(3); more > 0; --more) {
    Shape other = shape;
    other[axis] = 1 + random_.Below(2);
    parts.push_back(AnyOf(other));
  }
  Keep(Append(Op::kConcat, parts, {axis}), kBound);
}

void Generator::MatmulStep() {
  if (random_.Below(4) == 0) {
    return Keep(Append(Op::kOuter, {AnyOf({3}), AnyOf({1 + random_.Below(4)})}), 4);
  }
  const int64_t inner = 1 + random_.Below(4);
  const int64_t rows = 1 + random_.Below(3);
  const int64_t columns = 1 + random_.Below(3);
  const int64_t kind = random_.Below(6);  // 0: both vectors, 1, 2: one vector, else matrices
  const bool a_matrix = kind != 0 && kind != 1;
  const bool b_matrix = kind != 0 && kind != 2;
  const int64_t transpose_a = a_matrix ? random_.Below(2) : 0;
  const int64_t transpose_b = b_matrix ? random_.Below(2) : 0;
  const Shape a = !a_matrix ? Shape{inner} : transpose_a ? Shape{inner, rows} : Shape{rows, inner};
  const Shape b = !b_matrix     ? Shape{inner}
                  : transpose_b ? Shape{columns, inner}
                                : Shape{inner, columns};
  const ValueId x = AnyOf(a);
  Keep(Append(Op::kMatmul, {x, AnyOf(b)}, {transpose_a, transpose_b}),
       4 * static_cast<double>(inner));
}

// Late values first, so that most of the function is used.
void Generator::FillOutput(int buffer) {
  int64_t offset = 0;
  const int64_t size = function_.outputs[buffer].size;
  while (offset < size) {
    ValueId id = kept_[kept_.size() - 1 - random_.Below(std::min<int64_t>(6, kept_.size()))];
    if (SizeOf(id) > size - offset) id = AnyScalar();
    function_.results.push_back({id, buffer, offset});
    offset += SizeOf(id);
  }
}

}  // namespace

Function RandomFunction(uint64_t seed, const RandomFunctionOptions& options) {
  return Generator(seed, options).Run();
}

std::vector<std::vector<double>> RandomInputs(const Function& function, uint64_t seed) {
  Random random(seed + 1000003);
  std::vector<std::vector<double>> inputs;
  for (const Buffer& buffer : function.inputs) {
    std::vector<double>& elements = inputs.emplace_back(buffer.size);
    for (double& element : elements) element = random.Between(-kBound, kBound);
  }
  return inputs;
}

}  // namespace costate
