#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/codegen/block_emitter.h"
#include "engine/codegen/library_math.h"
#include "engine/codegen/math_functions.h"
#include "llvm/IR/Intrinsics.h"

namespace costate::codegen {
namespace {

using llvm::Value;

int WidthOf(llvm::Type* type) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
  return vector == nullptr ? 1 : static_cast<int>(vector->getNumElements());
}

llvm::Constant* C(Value* like, double x) { return llvm::ConstantFP::get(like->getType(), x); }

bool HasLimitedRange(Op op) {
  return op == Op::kSinh || op == Op::kCosh || op == Op::kAsinh || op == Op::kAcosh;
}

Value* HalfOf(llvm::IRBuilder<>& b, Value* x, int first, int count) {
  if (count == 1) return b.CreateExtractElement(x, static_cast<uint64_t>(first));
  llvm::SmallVector<int, 8> mask(count);
  for (int i = 0; i < count; ++i) mask[i] = first + i;
  return b.CreateShuffleVector(x, mask);
}

Value* Join(llvm::IRBuilder<>& b, llvm::Type* type, Value* low, Value* high) {
  const int width = WidthOf(type);
  if (width == 2) {
    Value* pair = b.CreateInsertElement(llvm::PoisonValue::get(type), low, uint64_t{0});
    return b.CreateInsertElement(pair, high, uint64_t{1});
  }
  llvm::SmallVector<int, 8> mask(width);
  for (int i = 0; i < width; ++i) mask[i] = i;
  return b.CreateShuffleVector(low, high, mask);
}

// x where |x| <= limit, elsewhere 1: keeps a library function away from arguments it is not
// made for, whose results are replaced.
Value* Within(llvm::IRBuilder<>& b, Value* too_large, Value* x) {
  return b.CreateSelect(too_large, C(x, 1), x);
}

}  // namespace

ModuleEmitter::ModuleEmitter(const Function& function, const Plan& plan, const HostTarget& host,
                             llvm::Module& module)
    : function_(function), plan_(plan), host_(host), module_(module) {}

void ModuleEmitter::SetAttributes(llvm::Function* f) {
  f->addFnAttr(llvm::Attribute::NoUnwind);
  f->addFnAttr("target-cpu", host_.cpu);
  if (!host_.features.empty()) f->addFnAttr("target-features", host_.features);
  f->addFnAttr("prefer-vector-width", "512");
  f->addFnAttr("min-legal-vector-width", "512");
}

llvm::Function* ModuleEmitter::DeclareEntry(const std::string& name) {
  llvm::LLVMContext& context = module_.getContext();
  llvm::Type* pointer = llvm::PointerType::getUnqual(context);
  auto* type = llvm::FunctionType::get(llvm::Type::getVoidTy(context),
                                       {pointer, pointer, pointer, pointer}, false);
  auto* f = llvm::Function::Create(type, llvm::Function::ExternalLinkage, name, module_);
  SetAttributes(f);
  f->getArg(3)->addAttr(llvm::Attribute::NoAlias);  // scratch
  return f;
}

llvm::Constant* ModuleEmitter::ConstantArray(int32_t index) {
  llvm::Constant*& array = constant_arrays_[index];
  if (array == nullptr) {
    llvm::Constant* data = llvm::ConstantDataArray::get(
        module_.getContext(), llvm::ArrayRef<double>(function_.constants[index]));
    array = new llvm::GlobalVariable(module_, data->getType(), true,
                                     llvm::GlobalValue::PrivateLinkage, data);
  }
  return array;
}

llvm::Constant* ModuleEmitter::IntegerArray(absl::Span<const int64_t> values) {
  const std::vector<uint64_t> words(values.begin(), values.end());
  llvm::Constant* data =
      llvm::ConstantDataArray::get(module_.getContext(), llvm::ArrayRef<uint64_t>(words));
  return new llvm::GlobalVariable(module_, data->getType(), true, llvm::GlobalValue::PrivateLinkage,
                                  data);
}

std::optional<double> ModuleEmitter::SplatConstant(int32_t index) {
  const auto [it, inserted] = splat_constants_.try_emplace(index);
  if (!inserted) return it->second;
  const std::vector<double>& elements = function_.constants[index];
  const auto same_bits = [&](double x) {
    return std::memcmp(&x, elements.data(), sizeof(double)) == 0;
  };
  if (std::all_of(elements.begin(), elements.end(), same_bits)) it->second = elements[0];
  return it->second;
}

llvm::FunctionCallee ModuleEmitter::RuntimeKernel(const std::string& name, int num_pointers) {
  llvm::LLVMContext& context = module_.getContext();
  const std::vector<llvm::Type*> pointers(num_pointers, llvm::PointerType::getUnqual(context));
  llvm::FunctionCallee callee = module_.getOrInsertFunction(
      name, llvm::FunctionType::get(llvm::Type::getVoidTy(context), pointers, false));
  llvm::cast<llvm::Function>(callee.getCallee())->addFnAttr(llvm::Attribute::NoUnwind);
  return callee;
}

Value* ModuleEmitter::MathCall(llvm::IRBuilder<>& builder, Op op, absl::Span<Value* const> x) {
  const bool few = plan_.num_math_calls <= kMaxInlineMathCalls;
  if (IsEmittedMath(op) && few) return EmitMathFunction(builder, host_, op, x[0]);
  if (!IsEmittedMath(op) && !HasLimitedRange(op)) return LibraryCall(builder, op, x);
  llvm::Function* shared = SharedMathFunction(op, x[0]->getType(), x.size());
  return builder.CreateCall(shared, llvm::ArrayRef<Value*>(x.data(), x.size()));
}

llvm::Function* ModuleEmitter::SharedMathFunction(Op op, llvm::Type* type, size_t num_operands) {
  const std::string name = absl::StrCat("math_", std::string(OpName(op)), WidthOf(type));
  if (llvm::Function* existing = module_.getFunction(name)) return existing;
  const std::vector<llvm::Type*> operands(num_operands, type);
  auto* f = llvm::Function::Create(llvm::FunctionType::get(type, operands, false),
                                   llvm::Function::InternalLinkage, name, module_);
  SetAttributes(f);
  f->addFnAttr(llvm::Attribute::NoInline);
  f->setDoesNotAccessMemory();
  f->setWillReturn();
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(module_.getContext(), "", f));
  std::vector<Value*> x;
  for (llvm::Argument& argument : f->args()) x.push_back(&argument);
  builder.CreateRet(IsEmittedMath(op) ? EmitMathFunction(builder, host_, op, x[0])
                                      : LibraryFunctionBody(builder, op, x));
  return f;
}

// SLEEF's functions of limited range overflow before their results do; those arguments are treated
// here: sinh and cosh as (e^(|x|/2) / 2) e^(|x|/2), asinh and acosh as log |x| + log 2.
Value* ModuleEmitter::LibraryFunctionBody(llvm::IRBuilder<>& b, Op op, absl::Span<Value* const> x) {
  if (host_.instruction_set == InstructionSet::kPortable) return LibraryCall(b, op, x);
  const bool by_exp = op == Op::kSinh || op == Op::kCosh;
  Value* magnitude = b.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x[0]);
  Value* large =
      b.CreateFCmpOGT(op == Op::kAcosh ? x[0] : magnitude, C(x[0], by_exp ? 700 : 0x1p40));
  Value* usual = LibraryCall(b, op, {Within(b, large, x[0])});
  Value* replaced;
  if (by_exp) {
    Value* root = EmitMathFunction(b, host_, Op::kExp, b.CreateFMul(magnitude, C(x[0], 0.5)));
    replaced = b.CreateFMul(b.CreateFMul(root, C(x[0], 0.5)), root);
  } else {
    constexpr double kLn2 = 0x1.62e42fefa39efp-1;
    replaced = b.CreateFAdd(EmitMathFunction(b, host_, Op::kLog, magnitude), C(x[0], kLn2));
  }
  if (op == Op::kSinh || op == Op::kAsinh) {
    replaced = b.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, replaced, x[0]);
  }
  return b.CreateSelect(large, replaced, usual);
}

Value* ModuleEmitter::LibraryCall(llvm::IRBuilder<>& b, Op op, absl::Span<Value* const> x) {
  llvm::Type* type = x[0]->getType();
  const int width = WidthOf(type);
  const std::string symbol = LibrarySymbol(host_.instruction_set, op, width);
  if (symbol.empty()) {
    std::vector<Value*> low, high;
    for (Value* operand : x) {
      low.push_back(HalfOf(b, operand, 0, width / 2));
      high.push_back(HalfOf(b, operand, width / 2, width / 2));
    }
    Value* low_result = LibraryCall(b, op, low);
    return Join(b, type, low_result, LibraryCall(b, op, high));
  }
  const std::vector<llvm::Type*> operands(x.size(), type);
  llvm::FunctionCallee callee =
      module_.getOrInsertFunction(symbol, llvm::FunctionType::get(type, operands, false));
  auto* f = llvm::cast<llvm::Function>(callee.getCallee());
  f->addFnAttr(llvm::Attribute::NoUnwind);
  f->addFnAttr(llvm::Attribute::NoBuiltin);
  f->setDoesNotAccessMemory();
  return b.CreateCall(callee, llvm::ArrayRef<Value*>(x.data(), x.size()));
}

}  // namespace costate::codegen
