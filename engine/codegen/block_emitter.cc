#include "engine/codegen/block_emitter.h"

#include "absl/strings/str_cat.h"
#include "engine/codegen/runtime_symbols.h"
#include "engine/codegen/strides.h"

namespace costate::codegen {

using llvm::Value;

BlockEmitter::BlockEmitter(ModuleEmitter& module, llvm::Function* function)
    : m_(module),
      fn_(function),
      entry_(llvm::BasicBlock::Create(function->getContext(), "entry", function)),
      b_(llvm::BasicBlock::Create(function->getContext(), "body", function)) {}

void BlockEmitter::Emit(const Block& block) {
  llvm::BasicBlock* body = b_.GetInsertBlock();
  for (const Step& step : block.steps) {
    switch (step.kind) {
      case Step::Kind::kSingle:
        EmitSingle(step.values[0]);
        break;
      case Step::Kind::kLoop:
        EmitLoop(step);
        break;
      case Step::Kind::kBatch:
        EmitBatch(step);
        break;
      case Step::Kind::kStore:
        EmitStores(step);
        break;
    }
  }
  b_.CreateRetVoid();
  entry_.CreateBr(body);
}

llvm::Type* BlockEmitter::LaneType(bool varying) {
  llvm::Type* type = b_.getDoubleTy();
  return varying ? llvm::FixedVectorType::get(type, m_.plan().lanes) : type;
}

// Inputs and the arrays of pointers never change during a call, which frees their loads from
// the order of stores.
llvm::LoadInst* BlockEmitter::Load(llvm::Type* type, Value* pointer, bool invariant) {
  llvm::LoadInst* load = b_.CreateAlignedLoad(type, pointer, llvm::Align(8));
  if (invariant) {
    load->setMetadata(llvm::LLVMContext::MD_invariant_load,
                      llvm::MDNode::get(fn_->getContext(), {}));
  }
  return load;
}

void BlockEmitter::Store(Value* value, Value* pointer) {
  b_.CreateAlignedStore(value, pointer, llvm::Align(8));
}

Value* BlockEmitter::BufferPointer(bool output, int32_t index) {
  Value*& buffer = buffers_[{output, index}];
  if (buffer == nullptr) {
    Value* slot = entry_.CreateConstInBoundsGEP1_64(entry_.getPtrTy(), fn_->getArg(output ? 2 : 1),
                                                    static_cast<uint64_t>(index));
    llvm::LoadInst* load = entry_.CreateAlignedLoad(entry_.getPtrTy(), slot, llvm::Align(8));
    load->setMetadata(llvm::LLVMContext::MD_invariant_load,
                      llvm::MDNode::get(fn_->getContext(), {}));
    buffer = load;
  }
  return buffer;
}

Value* BlockEmitter::OffsetBy(Value* pointer, int64_t doubles) {
  if (doubles == 0) return pointer;
  return b_.CreateConstInBoundsGEP1_64(b_.getDoubleTy(), pointer, static_cast<uint64_t>(doubles));
}

Value* BlockEmitter::Address(ValueId id, int64_t element) {
  const ValuePlan& value = PlanOf(id);
  const Location& location = value.location;
  const int64_t width = value.varying ? m_.plan().lanes : 1;
  switch (location.base) {
    case Location::Base::kInput:
      return OffsetBy(BufferPointer(false, location.index), (location.offset + element) * width);
    case Location::Base::kOutput:
      return OffsetBy(BufferPointer(true, location.index), (location.offset + element) * width);
    case Location::Base::kConstant:
      return OffsetBy(m_.ConstantArray(location.index), location.offset + element);
    case Location::Base::kScratch:
      return OffsetBy(fn_->getArg(3), location.offset + element * width);
    case Location::Base::kNone:
      break;
  }
  llvm_unreachable("value without memory");
}

Value* BlockEmitter::LoadElement(ValueId id, int64_t element) {
  const ValuePlan& value = PlanOf(id);
  if (value.location.base == Location::Base::kConstant) {
    const int64_t index = value.location.offset + element;
    return llvm::ConstantFP::get(b_.getDoubleTy(),
                                 m_.function().constants[value.location.index][index]);
  }
  Value* loaded = Load(LaneType(value.varying), Address(id, element),
                       value.location.base == Location::Base::kInput);
  return FromDouble(loaded, At(id).dtype);
}

Value* BlockEmitter::ToDouble(Value* value) {
  if (!value->getType()->getScalarType()->isIntegerTy(1)) return value;
  llvm::Type* type = b_.getDoubleTy();
  if (const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(value->getType())) {
    type = llvm::FixedVectorType::get(type, vector->getNumElements());
  }
  return b_.CreateUIToFP(value, type);
}

Value* BlockEmitter::FromDouble(Value* value, DType dtype) {
  if (dtype != DType::kBool) return value;
  return b_.CreateFCmpUNE(value, llvm::Constant::getNullValue(value->getType()));
}

Value* BlockEmitter::Splat(Value* value, llvm::Type* like) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(like);
  if (vector == nullptr || value->getType()->isVectorTy()) return value;
  return b_.CreateVectorSplat(vector->getNumElements(), value);
}

const BlockEmitter::Elements& BlockEmitter::ElementsOf(ValueId id) {
  if (const auto it = values_.find(id); it != values_.end()) return it->second;
  Elements elements;
  for (int64_t i = 0; i < PlanOf(id).num_elements; ++i) elements.push_back(LoadElement(id, i));
  return values_[id] = std::move(elements);
}

// An element, a scalar one repeated for every lane if `varying`. Values of one element serve
// every element of a tensor.
Value* BlockEmitter::ElementAs(ValueId id, int64_t element, bool varying) {
  const Elements& elements = ElementsOf(id);
  return Splat(elements[elements.size() == 1 ? 0 : element], LaneType(varying));
}

void BlockEmitter::Define(ValueId id, Elements elements) {
  if (PlanOf(id).location.exists()) {
    for (size_t i = 0; i < elements.size(); ++i) {
      Store(ToDouble(elements[i]), Address(id, static_cast<int64_t>(i)));
    }
  }
  values_[id] = std::move(elements);
}

void BlockEmitter::EmitSingle(ValueId id) {
  switch (ClassOf(At(id).op)) {
    case OpClass::Unary:
    case OpClass::Binary:
    case OpClass::Compare:
    case OpClass::Logic:
    case OpClass::Select:
      return EmitElementwise(id);
    case OpClass::Structure:
      return EmitStructure(id);
    case OpClass::Contract:
      return EmitContract(id);
    case OpClass::Leaf:
      return;
  }
}

void BlockEmitter::EmitStores(const Step& step) {
  for (int64_t result : step.results) StoreResult(m_.function().results[result]);
}

void BlockEmitter::StoreResult(const OutputEntry& entry) {
  const ValuePlan& value = PlanOf(entry.value);
  const int lanes = m_.plan().lanes;
  const bool varying = lanes > 1 && !m_.plan().IsUniformOutput(entry.buffer);
  const int64_t width = varying ? lanes : 1;
  Value* base = OffsetBy(BufferPointer(true, entry.buffer), entry.offset * width);
  if (value.small) {
    for (int64_t i = 0; i < value.num_elements; ++i) {
      Store(ElementAs(entry.value, i, varying), OffsetBy(base, i * width));
    }
    return;
  }
  if (varying == value.varying) {
    b_.CreateMemCpy(base, llvm::Align(8), Address(entry.value), llvm::Align(8),
                    static_cast<uint64_t>(value.num_elements * width) * sizeof(double));
    return;
  }
  const CopyShape shape = {{1, 1, 1, value.num_elements}, {1, 1, 1, 1}, {1, 1, 1, 1}};
  CallRuntime("copy", "uv", {base, Address(entry.value)}, ShapeSpan(shape));
}

void BlockEmitter::CallRuntime(const char* operation, const std::string& suffix,
                               std::initializer_list<Value*> pointers,
                               absl::Span<const int64_t> shape) {
  const bool varying = suffix.find('v') != std::string::npos;
  const std::string name =
      TensorKernelName(operation, suffix.c_str(), varying ? m_.plan().lanes : 1);
  llvm::SmallVector<Value*, 4> arguments(pointers);
  arguments.push_back(m_.IntegerArray(shape));
  b_.CreateCall(m_.RuntimeKernel(name, static_cast<int>(arguments.size())), arguments);
}

const char* BlockEmitter::LayoutSuffix(ValueId a, ValueId b) const {
  if (PlanOf(a).varying) return PlanOf(b).varying ? "vv" : "vu";
  return PlanOf(b).varying ? "uv" : "uu";
}

}  // namespace costate::codegen
