#include "engine/autodiff/terms.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/limits.h"

namespace costate {
namespace {

// One bit of a KernelSpec mask per buffer.
constexpr size_t kMaxBuffers = 64;

bool HasZeroDerivative(const Instruction& instruction) {
  return instruction.dtype == DType::kBool || instruction.op == Op::kFloor ||
         instruction.op == Op::kSign ||
         (instruction.op == Op::kPowi && instruction.attributes[0] == 0);
}

}  // namespace

ValueId AddTerms(FunctionBuilder& b, ValueId x, ValueId y) {
  if (x == kNoValue) return y;
  if (y == kNoValue) return x;
  return b.Binary(Op::kAdd, x, y);
}

ValueId SumTerms(FunctionBuilder& b, std::vector<ValueId> terms) {
  if (terms.empty()) return kNoValue;
  while (terms.size() > 1) {
    size_t kept = 0;
    for (size_t i = 0; i + 1 < terms.size(); i += 2) {
      terms[kept++] = b.Binary(Op::kAdd, terms[i], terms[i + 1]);
    }
    if (terms.size() % 2 == 1) terms[kept++] = terms.back();
    terms.resize(kept);
  }
  return terms[0];
}

ValueId Zeros(FunctionBuilder& b, Shape shape) {
  const ValueId zero = b.Constant(0);
  return FullShape(b, zero, std::move(shape));
}

ValueId FullShape(FunctionBuilder& b, ValueId x, Shape shape) {
  return b.shape(x) == shape ? x : b.BroadcastTo(x, std::move(shape));
}

void ZeroResult(FunctionBuilder& b, int buffer, int64_t offset, int64_t size) {
  for (int64_t done = 0; done < size;) {
    const int64_t count = std::min(size - done, limits::kMaxTensorElements);
    b.Result(Zeros(b, count == 1 ? Shape{} : Shape{count}), buffer, offset + done);
    done += count;
  }
}

std::vector<ValueId> RebuildAll(FunctionBuilder& b, const Function& f) {
  std::vector<ValueId> values(f.instructions.size());
  std::vector<ValueId> storage;
  for (size_t i = 0; i < f.instructions.size(); ++i) {
    const Instruction& instruction = f.instructions[i];
    values[i] = b.Copy(f, instruction, Mapped(instruction, values, &storage));
  }
  return values;
}

absl::Span<const ValueId> Mapped(const Instruction& instruction, absl::Span<const ValueId> values,
                                 std::vector<ValueId>* storage) {
  storage->clear();
  for (ValueId operand : instruction.operands) storage->push_back(values[operand]);
  return *storage;
}

std::vector<char> VariedValues(const Function& f, const std::vector<int>& wrt) {
  std::vector<char> varied(f.instructions.size(), 0);
  for (size_t i = 0; i < f.instructions.size(); ++i) {
    const Instruction& instruction = f.instructions[i];
    if (instruction.op == Op::kInput) {
      varied[i] = std::count(wrt.begin(), wrt.end(), instruction.attributes[0]) > 0;
    } else if (!HasZeroDerivative(instruction)) {
      for (ValueId operand : instruction.operands) varied[i] |= varied[operand];
    }
  }
  return varied;
}

std::vector<Buffer> Prefixed(std::string_view prefix, const std::vector<Buffer>& buffers) {
  std::vector<Buffer> renamed;
  for (const Buffer& buffer : buffers) {
    renamed.push_back({absl::StrCat(std::string(prefix), buffer.name), buffer.size});
  }
  return renamed;
}

absl::Status CheckWrt(const Function& f, const std::vector<int>& wrt) {
  std::set<int> seen;
  for (int buffer : wrt) {
    if (buffer < 0 || buffer >= static_cast<int>(f.inputs.size())) {
      return absl::InvalidArgumentError(
          absl::StrCat(f.name, ": input buffer ", buffer, " does not exist"));
    }
    if (!seen.insert(buffer).second) {
      return absl::InvalidArgumentError(
          absl::StrCat(f.name, ": derivative with respect to buffer ", buffer, " asked for twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckBufferCounts(const Function& derivative) {
  if (derivative.inputs.size() <= kMaxBuffers && derivative.outputs.size() <= kMaxBuffers) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(derivative.name, ": has more than ", kMaxBuffers, " buffers"));
}

absl::Status CheckLength(const FunctionBuilder& b) {
  const auto length = static_cast<int64_t>(b.function().instructions.size());
  if (length <= limits::kMaxInstructions) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(b.function().name, ": needs more than ",
                                                   limits::kMaxInstructions, " instructions"));
}

}  // namespace costate
