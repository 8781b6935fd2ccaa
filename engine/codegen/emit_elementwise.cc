#include <cstdlib>

#include "engine/codegen/block_emitter.h"
#include "llvm/IR/Intrinsics.h"
#include "llvm/IR/PatternMatch.h"

namespace costate::codegen {

using llvm::Value;

// Lowest bit first, as the interpreter does it.
Value* BlockEmitter::Powi(Value* x, int64_t exponent) {
  Value* product = nullptr;
  Value* square = x;
  for (int64_t rest = std::llabs(exponent); rest > 0; rest /= 2) {
    if (rest % 2 == 1) product = product == nullptr ? square : b_.CreateFMul(product, square);
    if (rest > 1) square = b_.CreateFMul(square, square);
  }
  Value* one = llvm::ConstantFP::get(x->getType(), 1);
  if (product == nullptr) return one;
  return exponent < 0 ? b_.CreateFDiv(one, product) : product;
}

// Signs are taken out, which is exact, so that products that differ in sign only are shared.
Value* BlockEmitter::Product(Op op, Value* a, Value* b) {
  bool negative = false;
  for (Value** factor : {&a, &b}) {
    Value* opposite;
    if (llvm::PatternMatch::match(
            *factor, llvm::PatternMatch::m_FNeg(llvm::PatternMatch::m_Value(opposite)))) {
      *factor = opposite;
      negative = !negative;
    }
  }
  Value* product = op == Op::kMul ? b_.CreateFMul(a, b) : b_.CreateFDiv(a, b);
  return negative ? b_.CreateFNeg(product) : product;
}

Value* BlockEmitter::ApplyUnary(const Instruction& instruction, Value* x) {
  switch (instruction.op) {
    case Op::kNeg:
      return b_.CreateFNeg(x);
    case Op::kAbs:
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
    case Op::kSign: {  // zeros and NaN stay as they are
      Value* zero = llvm::ConstantFP::get(x->getType(), 0);
      Value* negative =
          b_.CreateSelect(b_.CreateFCmpOLT(x, zero), llvm::ConstantFP::get(x->getType(), -1), x);
      return b_.CreateSelect(b_.CreateFCmpOGT(x, zero), llvm::ConstantFP::get(x->getType(), 1),
                             negative);
    }
    case Op::kFloor:
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::floor, x);
    case Op::kSqrt:
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x);
    case Op::kPowi:
      return Powi(x, instruction.attributes[0]);
    case Op::kExp:
    case Op::kExpm1:
    case Op::kLog:
    case Op::kLog1p:
    case Op::kSin:
    case Op::kCos:
    case Op::kTan:
    case Op::kAsin:
    case Op::kAcos:
    case Op::kAtan:
    case Op::kSinh:
    case Op::kCosh:
    case Op::kTanh:
    case Op::kAsinh:
    case Op::kAcosh:
    case Op::kAtanh:
    case Op::kSigmoid:
    case Op::kErf:
      return m_.MathCall(b_, instruction.op, {x});
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_LEAF_OP_LIST(COSTATE_CASE)
      COSTATE_BINARY_OP_LIST(COSTATE_CASE)
      COSTATE_COMPARE_OP_LIST(COSTATE_CASE)
      COSTATE_LOGIC_OP_LIST(COSTATE_CASE)
      COSTATE_SELECT_OP_LIST(COSTATE_CASE)
      COSTATE_STRUCTURE_OP_LIST(COSTATE_CASE)
      COSTATE_CONTRACT_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
      break;
  }
  llvm_unreachable("not a unary op");
}

Value* BlockEmitter::Apply(const Instruction& instruction, absl::Span<Value* const> x) {
  switch (instruction.op) {
    case Op::kAdd:
      return b_.CreateFAdd(x[0], x[1]);
    case Op::kSub:
      return b_.CreateFSub(x[0], x[1]);
    case Op::kMul:
    case Op::kDiv:
      return Product(instruction.op, x[0], x[1]);
    case Op::kPow:
    case Op::kAtan2:
      return m_.MathCall(b_, instruction.op, x);
    case Op::kMin:
      return b_.CreateSelect(
          b_.CreateOr(b_.CreateFCmpOLE(x[0], x[1]), b_.CreateFCmpUNO(x[0], x[0])), x[0], x[1]);
    case Op::kMax:
      return b_.CreateSelect(
          b_.CreateOr(b_.CreateFCmpOGE(x[0], x[1]), b_.CreateFCmpUNO(x[0], x[0])), x[0], x[1]);
    case Op::kLt:
      return b_.CreateFCmpOLT(x[0], x[1]);
    case Op::kLe:
      return b_.CreateFCmpOLE(x[0], x[1]);
    case Op::kEq:
      return b_.CreateFCmpOEQ(x[0], x[1]);
    case Op::kNe:
      return b_.CreateFCmpUNE(x[0], x[1]);
    case Op::kAnd:
      return b_.CreateAnd(x[0], x[1]);
    case Op::kOr:
      return b_.CreateOr(x[0], x[1]);
    case Op::kNot:
      return b_.CreateNot(x[0]);
    case Op::kSelect:
      return b_.CreateSelect(x[0], x[1], x[2]);
    case Op::kBroadcastTo:  // of a scalar, in a loop
      return x[0];
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_UNARY_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
      return ApplyUnary(instruction, x[0]);
#define COSTATE_CASE(op, ...) case Op::op:
      COSTATE_LEAF_OP_LIST(COSTATE_CASE)
      COSTATE_CONTRACT_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
    case Op::kSum:
    case Op::kReshape:
    case Op::kTranspose:
    case Op::kSumTo:
    case Op::kSlice:
    case Op::kPad:
    case Op::kConcat:
      break;
  }
  llvm_unreachable("not an elementwise op");
}

void BlockEmitter::EmitElementwise(ValueId id) {
  const Instruction& instruction = At(id);
  const ValuePlan& value = PlanOf(id);
  Elements results;
  for (int64_t i = 0; i < value.num_elements; ++i) {
    llvm::SmallVector<Value*, 3> x;
    for (ValueId operand : instruction.operands) x.push_back(ElementAs(operand, i, value.varying));
    results.push_back(Apply(instruction, x));
  }
  Define(id, std::move(results));
}

// Spare lanes repeat the first member, so that no lane meets a slow path of its own.
void BlockEmitter::EmitBatch(const Step& step) {
  const Instruction& instruction = At(step.members[0].value);
  size_t width = 1;
  while (width < step.members.size()) width *= 2;
  llvm::SmallVector<Value*, 2> x;
  for (size_t k = 0; k < instruction.operands.size(); ++k) {
    Value* packed = nullptr;
    for (size_t lane = 0; lane < step.members.size(); ++lane) {
      const BatchMember& member = step.members[lane];
      Value* element = ElementAs(At(member.value).operands[k], member.element, false);
      if (width == 1) {
        packed = element;
      } else if (lane == 0) {
        packed = b_.CreateVectorSplat(width, element);
      } else {
        packed = b_.CreateInsertElement(packed, element, lane);
      }
    }
    x.push_back(packed);
  }
  Value* results = Apply(instruction, x);
  for (size_t lane = 0; lane < step.members.size(); ++lane) {
    const BatchMember& member = step.members[lane];
    Elements& elements = batched_[member.value];
    elements.push_back(width == 1 ? results : b_.CreateExtractElement(results, lane));
    if (static_cast<int64_t>(elements.size()) == PlanOf(member.value).num_elements) {
      Define(member.value, std::move(elements));
      batched_.erase(member.value);
    }
  }
}

// A varying loop takes one element of all lanes a turn, a uniform one as many elements as a
// register holds.
struct BlockEmitter::Loop {
  bool varying = false;
  llvm::Type* type = nullptr;                    // of a value in the loop
  absl::flat_hash_map<ValueId, Value*> scalars;  // operands that do not change
  absl::flat_hash_map<ValueId, Value*> bases;    // memory of operands and results
  absl::flat_hash_map<ValueId, Value*> current;  // of this turn
  Value* index = nullptr;                        // first element of this turn
  Value* mask = nullptr;                         // in the last, partial turn of a uniform loop
};

Value* BlockEmitter::LoopOperand(Loop& loop, ValueId id) {
  if (const auto it = loop.scalars.find(id); it != loop.scalars.end()) return it->second;
  const ValuePlan& value = PlanOf(id);
  const bool whole =
      value.root_offset == 0 && value.num_elements == PlanOf(value.root).num_elements;
  if (const auto it = loop.current.find(whole ? value.root : id); it != loop.current.end()) {
    return it->second;
  }
  const bool invariant = value.location.base == Location::Base::kInput;
  Value* base = loop.bases.at(id);
  Value* loaded;
  if (loop.mask != nullptr) {
    Value* pointer = b_.CreateInBoundsGEP(b_.getDoubleTy(), base, loop.index);
    loaded = b_.CreateMaskedLoad(loop.type, pointer, llvm::Align(8), loop.mask,
                                 llvm::Constant::getNullValue(loop.type));
  } else {
    llvm::Type* type = loop.varying ? LaneType(value.varying) : loop.type;
    llvm::Type* stride = loop.varying ? type : b_.getDoubleTy();
    loaded = Load(type, b_.CreateInBoundsGEP(stride, base, loop.index), invariant);
    loaded = Splat(loaded, loop.type);
  }
  loaded = FromDouble(loaded, At(id).dtype);
  return loop.current[whole ? value.root : id] = loaded;
}

void BlockEmitter::EmitLoopBody(Loop& loop, const Step& step) {
  loop.current.clear();
  for (ValueId id : step.values) {
    llvm::SmallVector<Value*, 3> x;
    for (ValueId operand : At(id).operands) x.push_back(LoopOperand(loop, operand));
    Value* result = Apply(At(id), x);
    loop.current[id] = result;
    const auto it = loop.bases.find(id);
    if (it == loop.bases.end()) continue;
    Value* stored = ToDouble(result);
    llvm::Type* stride = loop.varying ? loop.type : b_.getDoubleTy();
    Value* pointer = b_.CreateInBoundsGEP(stride, it->second, loop.index);
    if (loop.mask != nullptr) {
      b_.CreateMaskedStore(stored, pointer, llvm::Align(8), loop.mask);
    } else {
      Store(stored, pointer);
    }
  }
}

void BlockEmitter::EmitLoop(const Step& step) {
  const ValuePlan& first = PlanOf(step.values[0]);
  Loop loop;
  loop.varying = first.varying;
  const int width = loop.varying ? m_.plan().lanes : m_.host().simd_lanes;
  loop.type = llvm::FixedVectorType::get(b_.getDoubleTy(), width);
  PrepareLoopOperands(loop, step);

  const int64_t n = first.num_elements;
  const int64_t turn = loop.varying ? 1 : width;
  const int64_t whole = n - n % turn;
  if (whole > turn) {
    llvm::BasicBlock* before = b_.GetInsertBlock();
    llvm::BasicBlock* body = llvm::BasicBlock::Create(fn_->getContext(), "loop", fn_);
    llvm::BasicBlock* after = llvm::BasicBlock::Create(fn_->getContext(), "next", fn_);
    b_.CreateBr(body);
    b_.SetInsertPoint(body);
    llvm::PHINode* index = b_.CreatePHI(b_.getInt64Ty(), 2);
    index->addIncoming(b_.getInt64(0), before);
    loop.index = index;
    EmitLoopBody(loop, step);
    Value* next = b_.CreateNUWAdd(index, b_.getInt64(turn));
    index->addIncoming(next, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpULT(next, b_.getInt64(whole)), body, after);
    b_.SetInsertPoint(after);
  } else if (whole > 0) {
    loop.index = b_.getInt64(0);
    EmitLoopBody(loop, step);
  }
  if (whole < n) EmitRestOfLoop(step, whole, n - whole);
}

// The last elements of a uniform loop, in the narrowest vector that holds them: long operations
// such as division take their time by width.
void BlockEmitter::EmitRestOfLoop(const Step& step, int64_t first, int64_t count) {
  int width = 2;
  while (width < count) width *= 2;
  Loop rest;
  rest.type = llvm::FixedVectorType::get(b_.getDoubleTy(), width);
  rest.index = b_.getInt64(first);
  PrepareLoopOperands(rest, step);
  if (width > count) {
    llvm::SmallVector<llvm::Constant*, 8> lanes;
    for (int lane = 0; lane < width; ++lane) lanes.push_back(b_.getInt1(lane < count));
    rest.mask = llvm::ConstantVector::get(lanes);
  }
  EmitLoopBody(rest, step);
}

// Everything the loop reads or writes from outside, computed ahead of it.
void BlockEmitter::PrepareLoopOperands(Loop& loop, const Step& step) {
  for (ValueId id : step.values) {
    for (ValueId operand : At(id).operands) {
      const ValuePlan& value = PlanOf(operand);
      std::optional<double> splat;
      if (value.location.base == Location::Base::kConstant) {
        splat = m_.SplatConstant(value.location.index);
      }
      if (splat.has_value()) {
        loop.scalars[operand] = llvm::ConstantFP::get(loop.type, *splat);
      } else if (value.num_elements == 1) {
        loop.scalars[operand] = Splat(ElementsOf(operand)[0], loop.type);
      } else if (value.location.exists()) {
        loop.bases[operand] = Address(operand);
      }
    }
    if (PlanOf(id).location.exists()) loop.bases[id] = Address(id);
  }
}

}  // namespace costate::codegen
