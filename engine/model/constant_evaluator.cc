#include "engine/model/constant_evaluator.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "engine/base/status_macros.h"
#include "engine/model/tensor_index.h"
#include "engine/model/text.h"

namespace costate {
namespace {

double PowerBySquaring(double x, int64_t exponent) {
  double product = 1;
  for (int64_t rest = std::llabs(exponent); rest > 0; rest /= 2) {
    if (rest % 2 == 1) product *= x;
    x *= x;
  }
  return exponent < 0 ? 1 / product : product;
}

// One element of an elementwise op.
double Apply(const Instruction& instruction, double a, double b, double c) {
  switch (instruction.op) {
    case Op::kNeg:
      return -a;
    case Op::kAbs:
      return std::fabs(a);
    case Op::kSign:
      return a > 0 ? 1 : a < 0 ? -1 : a;
    case Op::kFloor:
      return std::floor(a);
    case Op::kSqrt:
      return std::sqrt(a);
    case Op::kExp:
      return std::exp(a);
    case Op::kExpm1:
      return std::expm1(a);
    case Op::kLog:
      return std::log(a);
    case Op::kLog1p:
      return std::log1p(a);
    case Op::kSin:
      return std::sin(a);
    case Op::kCos:
      return std::cos(a);
    case Op::kTan:
      return std::tan(a);
    case Op::kAsin:
      return std::asin(a);
    case Op::kAcos:
      return std::acos(a);
    case Op::kAtan:
      return std::atan(a);
    case Op::kSinh:
      return std::sinh(a);
    case Op::kCosh:
      return std::cosh(a);
    case Op::kTanh:
      return std::tanh(a);
    case Op::kAsinh:
      return std::asinh(a);
    case Op::kAcosh:
      return std::acosh(a);
    case Op::kAtanh:
      return std::atanh(a);
    case Op::kSigmoid:
      return 1 / (1 + std::exp(-a));
    case Op::kErf:
      return std::erf(a);
    case Op::kPowi:
      return PowerBySquaring(a, instruction.attributes[0]);
    case Op::kAdd:
      return a + b;
    case Op::kSub:
      return a - b;
    case Op::kMul:
      return a * b;
    case Op::kDiv:
      return a / b;
    case Op::kPow:
      return std::pow(a, b);
    case Op::kAtan2:
      return std::atan2(a, b);
    case Op::kMin:
      return a <= b || std::isnan(a) ? a : b;
    case Op::kMax:
      return a >= b || std::isnan(a) ? a : b;
    case Op::kLt:
      return a < b;
    case Op::kLe:
      return a <= b;
    case Op::kEq:
      return a == b;
    case Op::kNe:
      return a != b;
    case Op::kAnd:
      return a != 0 && b != 0;
    case Op::kOr:
      return a != 0 || b != 0;
    case Op::kNot:
      return a == 0;
    case Op::kSelect:
      return a != 0 ? b : c;
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_LEAF_OP_LIST(COSTATE_CASE)
      COSTATE_STRUCTURE_OP_LIST(COSTATE_CASE)
      COSTATE_CONTRACT_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
      break;
  }
  return std::nan("");
}

std::vector<double> Join(const Instruction& instruction,
                         const std::vector<const std::vector<double>*>& parts) {
  int64_t outer = 1;
  for (int64_t k = 0; k < instruction.attributes[0]; ++k) outer *= instruction.shape[k];
  std::vector<double> joined;
  joined.reserve(NumElements(instruction.shape));
  for (int64_t i = 0; i < outer; ++i) {
    for (const std::vector<double>* part : parts) {
      const auto width = static_cast<int64_t>(part->size()) / outer;
      joined.insert(joined.end(), part->begin() + i * width, part->begin() + (i + 1) * width);
    }
  }
  return joined;
}

}  // namespace

const std::vector<double>& ConstantEvaluator::Elements(ValueId id) const {
  const Instruction& instruction = function_.instructions[id];
  if (instruction.op == Op::kConstant) return function_.constants[instruction.attributes[0]];
  return values_.at(id);
}

absl::StatusOr<const std::vector<double>*> ConstantEvaluator::Evaluate(ValueId id) {
  std::vector<ValueId> open = {id};
  while (!open.empty()) {
    const ValueId next = open.back();
    const Instruction& instruction = function_.instructions[next];
    if (instruction.op == Op::kConstant || values_.contains(next)) {
      open.pop_back();
      continue;
    }
    const size_t before = open.size();
    for (ValueId operand : instruction.operands) {
      const bool known =
          function_.instructions[operand].op == Op::kConstant || values_.contains(operand);
      if (!known) open.push_back(operand);
    }
    if (open.size() > before) continue;
    RETURN_IF_ERROR(EvaluateOne(next));
    open.pop_back();
  }
  return &Elements(id);
}

absl::Status ConstantEvaluator::EvaluateOne(ValueId id) {
  const Instruction& instruction = function_.instructions[id];
  std::vector<const std::vector<double>*> operands;
  for (ValueId operand : instruction.operands) operands.push_back(&Elements(operand));
  const int64_t size = NumElements(instruction.shape);
  std::vector<double> result(size);
  const auto copy = [&](int64_t i, int64_t j) { result[i] = (*operands[0])[j]; };
  const auto element = [&](size_t k, int64_t i) {
    if (k >= operands.size()) return 0.0;
    return (*operands[k])[operands[k]->size() == 1 ? 0 : i];
  };
  if (IsElementwise(instruction.op)) {
    for (int64_t i = 0; i < size; ++i) {
      result[i] = Apply(instruction, element(0, i), element(1, i), element(2, i));
    }
  } else if (instruction.op == Op::kReshape) {
    result = *operands[0];
  } else if (instruction.op == Op::kBroadcastTo) {
    const Shape& from = function_.instructions[instruction.operands[0]].shape;
    ForEachPlace(instruction.shape, BroadcastStrides(from, instruction.shape), 0, copy);
  } else if (instruction.op == Op::kTranspose) {
    ForEachPlace(instruction.shape, {1, instruction.shape[0]}, 0, copy);
  } else if (instruction.op == Op::kSlice) {
    const Shape& from = function_.instructions[instruction.operands[0]].shape;
    ForEachSliced(instruction, instruction.shape, from, copy);
  } else if (instruction.op == Op::kConcat) {
    result = Join(instruction, operands);
  } else if (instruction.op == Op::kSum && instruction.attributes[0] < 0) {
    for (double x : *operands[0]) result[0] += x;
  } else {
    return absl::InvalidArgumentError(
        Text("'", OpName(instruction.op), "' is not available in a constant expression"));
  }
  values_.emplace(id, std::move(result));
  return absl::OkStatus();
}

}  // namespace costate
