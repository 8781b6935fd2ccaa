#include "engine/interpreter/evaluate.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

#include "engine/model/tensor_index.h"

namespace costate {
namespace {

// Powering by squaring, lowest bit first; one over the product for negative exponents.
double PowerBySquaring(double x, int64_t exponent) {
  double product = 1;
  double square = x;
  for (int64_t rest = std::llabs(exponent); rest > 0; rest /= 2) {
    if (rest % 2 == 1) product *= square;
    square *= square;
  }
  return exponent < 0 ? 1 / product : product;
}

double Sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
double Min(double a, double b) { return a <= b || std::isnan(a) ? a : b; }
double Max(double a, double b) { return a >= b || std::isnan(a) ? a : b; }

// operand(i): element i of operand 0, 1 or 2, a scalar repeated.
template <typename F>
void ForEachElement(const Instruction& instruction, const EvaluatedOperand* operands,
                    double* result, F f) {
  const int64_t size = NumElements(instruction.shape);
  int64_t stride[3] = {0, 0, 0};
  const double* elements[3] = {nullptr, nullptr, nullptr};
  for (size_t k = 0; k < instruction.operands.size(); ++k) {
    stride[k] = operands[k].instruction->shape.empty() ? 0 : 1;
    elements[k] = operands[k].elements;
  }
  for (int64_t i = 0; i < size; ++i) {
    result[i] = f([&](int k) { return elements[k][i * stride[k]]; });
  }
}

template <typename F>
void Map(const Instruction& instruction, const EvaluatedOperand* operands, double* result, F f) {
  ForEachElement(instruction, operands, result, [f](auto x) -> double { return f(x(0)); });
}

template <typename F>
void Map2(const Instruction& instruction, const EvaluatedOperand* operands, double* result, F f) {
  ForEachElement(instruction, operands, result, [f](auto x) -> double { return f(x(0), x(1)); });
}

void SumAxis(const Instruction& instruction, const Shape& shape, const double* x, double* result) {
  const int64_t axis = instruction.attributes[0];
  if (axis < 0) {
    result[0] = x[0];
    for (int64_t i = 1; i < NumElements(shape); ++i) result[0] += x[i];
    return;
  }
  int64_t inner = 1;
  for (size_t k = axis + 1; k < shape.size(); ++k) inner *= shape[k];
  const int64_t extent = shape[axis];
  for (int64_t i = 0; i < NumElements(instruction.shape); ++i) {
    const double* first = x + (i / inner) * extent * inner + i % inner;
    result[i] = first[0];
    for (int64_t k = 1; k < extent; ++k) result[i] += first[k * inner];
  }
}

void SumTo(const Instruction& instruction, const Shape& shape, const double* x, double* result) {
  std::vector<bool> seen(NumElements(instruction.shape), false);
  ForEachPlace(shape, BroadcastStrides(instruction.shape, shape), 0, [&](int64_t i, int64_t j) {
    result[j] = seen[j] ? result[j] + x[i] : x[i];
    seen[j] = true;
  });
}

void Concat(const Instruction& instruction, const EvaluatedOperand* operands, double* result) {
  const int64_t axis = instruction.attributes[0];
  int64_t outer = 1;
  for (int64_t k = 0; k < axis; ++k) outer *= instruction.shape[k];
  const int64_t row = NumElements(instruction.shape) / outer;
  int64_t begin = 0;
  for (size_t k = 0; k < instruction.operands.size(); ++k) {
    const int64_t width = NumElements(operands[k].instruction->shape) / outer;
    for (int64_t i = 0; i < outer; ++i) {
      std::copy_n(operands[k].elements + i * width, width, result + i * row + begin);
    }
    begin += width;
  }
}

void Matmul(const Instruction& instruction, const EvaluatedOperand* operands, double* result) {
  const Shape& a = operands[0].instruction->shape;
  const Shape& b = operands[1].instruction->shape;
  // As matrices [rows, inner] and [inner, columns]; vectors are one row, one column.
  const bool transpose_a = instruction.attributes[0] == 1;
  const bool transpose_b = instruction.attributes[1] == 1;
  const int64_t rows = a.size() == 1 ? 1 : a[transpose_a ? 1 : 0];
  const int64_t inner = a.size() == 1 ? a[0] : a[transpose_a ? 0 : 1];
  const int64_t columns = b.size() == 1 ? 1 : b[transpose_b ? 0 : 1];
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (int64_t k = 0; k < inner; ++k) {
        const double x = operands[0].elements[transpose_a ? k * rows + i : i * inner + k];
        const double y = operands[1].elements[transpose_b ? j * inner + k : k * columns + j];
        sum = k == 0 ? x * y : sum + x * y;
      }
      result[i * columns + j] = sum;
    }
  }
}

void EvaluateStructure(const Instruction& instruction, const EvaluatedOperand* operands,
                       double* result) {
  const Shape& shape = operands[0].instruction->shape;
  const double* x = operands[0].elements;
  const auto copy = [&](int64_t i, int64_t j) { result[i] = x[j]; };
  switch (instruction.op) {
    case Op::kSum:
      return SumAxis(instruction, shape, x, result);
    case Op::kReshape:
      std::copy_n(x, NumElements(shape), result);
      return;
    case Op::kTranspose:
      return ForEachPlace(instruction.shape, {1, shape[1]}, 0, copy);
    case Op::kBroadcastTo:
      return ForEachPlace(instruction.shape, BroadcastStrides(shape, instruction.shape), 0, copy);
    case Op::kSumTo:
      return SumTo(instruction, shape, x, result);
    case Op::kSlice:
      return ForEachSliced(instruction, instruction.shape, shape, copy);
    case Op::kPad:
      std::fill_n(result, NumElements(instruction.shape), 0.0);
      return ForEachSliced(instruction, shape, instruction.shape,
                           [&](int64_t i, int64_t j) { result[j] = x[i]; });
    case Op::kConcat:
      return Concat(instruction, operands, result);
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_LEAF_OP_LIST(COSTATE_CASE)
      COSTATE_ELEMENTWISE_OP_LIST(COSTATE_CASE)
      COSTATE_CONTRACT_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
      return;
  }
}

}  // namespace

void EvaluateInstruction(const Instruction& instruction, const EvaluatedOperand* operands,
                         double* result) {
  const auto map = [&](auto f) { Map(instruction, operands, result, f); };
  const auto map2 = [&](auto f) { Map2(instruction, operands, result, f); };
  switch (instruction.op) {
      // clang-format off
    case Op::kNeg: return map([](double x) { return -x; });
    case Op::kAbs: return map([](double x) { return std::fabs(x); });
    case Op::kSign: return map(Sign);
    case Op::kFloor: return map([](double x) { return std::floor(x); });
    case Op::kSqrt: return map([](double x) { return std::sqrt(x); });
    case Op::kExp: return map([](double x) { return std::exp(x); });
    case Op::kExpm1: return map([](double x) { return std::expm1(x); });
    case Op::kLog: return map([](double x) { return std::log(x); });
    case Op::kLog1p: return map([](double x) { return std::log1p(x); });
    case Op::kSin: return map([](double x) { return std::sin(x); });
    case Op::kCos: return map([](double x) { return std::cos(x); });
    case Op::kTan: return map([](double x) { return std::tan(x); });
    case Op::kAsin: return map([](double x) { return std::asin(x); });
    case Op::kAcos: return map([](double x) { return std::acos(x); });
    case Op::kAtan: return map([](double x) { return std::atan(x); });
    case Op::kSinh: return map([](double x) { return std::sinh(x); });
    case Op::kCosh: return map([](double x) { return std::cosh(x); });
    case Op::kTanh: return map([](double x) { return std::tanh(x); });
    case Op::kAsinh: return map([](double x) { return std::asinh(x); });
    case Op::kAcosh: return map([](double x) { return std::acosh(x); });
    case Op::kAtanh: return map([](double x) { return std::atanh(x); });
    case Op::kSigmoid: return map([](double x) { return 1 / (1 + std::exp(-x)); });
    case Op::kErf: return map([](double x) { return std::erf(x); });
    case Op::kPowi: {
      const int64_t exponent = instruction.attributes[0];
      return map([exponent](double x) { return PowerBySquaring(x, exponent); });
    }
    case Op::kAdd: return map2([](double a, double b) { return a + b; });
    case Op::kSub: return map2([](double a, double b) { return a - b; });
    case Op::kMul: return map2([](double a, double b) { return a * b; });
    case Op::kDiv: return map2([](double a, double b) { return a / b; });
    case Op::kPow: return map2([](double a, double b) { return std::pow(a, b); });
    case Op::kAtan2: return map2([](double a, double b) { return std::atan2(a, b); });
    case Op::kMin: return map2(Min);
    case Op::kMax: return map2(Max);
    case Op::kLt: return map2([](double a, double b) { return a < b; });
    case Op::kLe: return map2([](double a, double b) { return a <= b; });
    case Op::kEq: return map2([](double a, double b) { return a == b; });
    case Op::kNe: return map2([](double a, double b) { return a != b; });
    case Op::kAnd: return map2([](double a, double b) { return a != 0 && b != 0; });
    case Op::kOr: return map2([](double a, double b) { return a != 0 || b != 0; });
    case Op::kNot: return map([](double a) { return a == 0; });
    case Op::kSelect:
      return ForEachElement(instruction, operands, result,
                            [](auto x) { return x(0) != 0 ? x(1) : x(2); });
    // clang-format on
    case Op::kMatmul:
      return Matmul(instruction, operands, result);
    case Op::kOuter: {
      const int64_t columns = instruction.shape[1];
      for (int64_t i = 0; i < NumElements(instruction.shape); ++i) {
        result[i] = operands[0].elements[i / columns] * operands[1].elements[i % columns];
      }
      return;
    }
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_LEAF_OP_LIST(COSTATE_CASE)
      COSTATE_STRUCTURE_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
      return EvaluateStructure(instruction, operands, result);
  }
}

}  // namespace costate
