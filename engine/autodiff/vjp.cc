#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/autodiff/assembly.h"
#include "engine/autodiff/autodiff.h"
#include "engine/autodiff/elementwise_rules.h"
#include "engine/autodiff/regions.h"
#include "engine/autodiff/terms.h"
#include "engine/autodiff/vjp_rules.h"
#include "engine/base/status_macros.h"
#include "engine/model/function_builder.h"

namespace costate {
namespace {

// The derivative without a body.
Function Signature(const Function& f, const std::vector<int>& wrt, bool keep_values) {
  Function derivative;
  derivative.name = absl::StrCat(f.name, "_vjp");
  derivative.inputs = f.inputs;
  for (Buffer& buffer : Prefixed("c_", f.outputs)) derivative.inputs.push_back(std::move(buffer));
  if (keep_values) derivative.outputs = f.outputs;
  std::vector<Buffer> read;
  for (int buffer : wrt) read.push_back(f.inputs[buffer]);
  for (Buffer& buffer : Prefixed("c_", read)) derivative.outputs.push_back(std::move(buffer));
  return derivative;
}

// If a slice takes one range of the flat elements of its operand, where the range begins.
std::optional<int64_t> FlatOffset(const Instruction& slice, const Shape& shape) {
  int64_t offset = 0;
  int64_t stride = 1;
  bool whole = true;  // all axes to the right are taken whole
  for (size_t axis = shape.size(); axis-- > 0;) {
    const int64_t extent = slice.shape[axis];
    if (extent > 1 && (slice.attributes[3 * axis + 2] != 1 || !whole)) return std::nullopt;
    whole = whole && extent == shape[axis];
    offset += slice.attributes[3 * axis] * stride;
    stride *= shape[axis];
  }
  return offset;
}

// The backward sweep: from the last instruction to the first, each gives its cotangent to its
// operands.
class ReverseSweep {
 public:
  ReverseSweep(FunctionBuilder& b, const Function& f, const std::vector<int>& wrt)
      : b_(b),
        f_(f),
        values_(RebuildAll(b, f)),
        varied_(VariedValues(f, wrt)),
        visited_(varied_),
        regions_(f, MarkVisited()),
        parts_(f.instructions.size()),
        input_pieces_(f.inputs.size()) {}

  absl::Status Run() {
    for (const OutputEntry& entry : f_.results) {
      if (!varied_[entry.value]) continue;
      const int buffer = static_cast<int>(f_.inputs.size()) + entry.buffer;
      const Shape& shape = f_.instructions[entry.value].shape;
      parts_[entry.value].whole.push_back(b_.Input(buffer, entry.offset, shape));
    }
    for (size_t i = f_.instructions.size(); i-- > 0;) {
      Visit(static_cast<ValueId>(i));
      RETURN_IF_ERROR(CheckLength(b_));
    }
    b_.set_location({});
    return absl::OkStatus();
  }

  // Cotangents of what was read of an input buffer.
  std::vector<Piece> TakePieces(int buffer) { return std::move(input_pieces_[buffer]); }
  ValueId value(ValueId id) const { return values_[id]; }

 private:
  // What a value has received so far: cotangents of all of it and of ranges of it.
  struct Parts {
    std::vector<ValueId> whole;
    std::vector<Piece> pieces;
  };

  // Values that vary and that a result depends on.
  const std::vector<char>& MarkVisited() {
    std::vector<char> useful(f_.instructions.size(), 0);
    for (const OutputEntry& entry : f_.results) useful[entry.value] = 1;
    for (size_t i = f_.instructions.size(); i-- > 0;) {
      visited_[i] = varied_[i] && useful[i];
      if (!visited_[i]) continue;
      for (ValueId operand : f_.instructions[i].operands) useful[operand] = 1;
    }
    return visited_;
  }

  void Visit(ValueId id) {
    const Instruction& instruction = f_.instructions[id];
    const Parts parts = std::exchange(parts_[id], Parts{});
    if (parts.whole.empty() && parts.pieces.empty()) return;
    b_.set_location(instruction.location);
    std::vector<ValueId> terms = parts.whole;
    if (!parts.pieces.empty()) terms.push_back(AssembleValue(b_, parts.pieces, instruction.shape));
    const ValueId cotangent = SumTerms(b_, std::move(terms));
    if (instruction.op == Op::kInput) {
      input_pieces_[instruction.attributes[0]].push_back({instruction.attributes[1], cotangent});
      return;
    }
    int64_t begin = 0;
    for (size_t k = 0; k < instruction.operands.size(); ++k) {
      const ValueId operand = instruction.operands[k];
      if (varied_[operand]) Give(id, static_cast<int>(k), begin, cotangent);
      if (instruction.op == Op::kConcat) {
        begin += f_.instructions[operand].shape[instruction.attributes[0]];
      }
    }
  }

  void Give(ValueId id, int k, int64_t begin, ValueId cotangent) {
    const Instruction& instruction = f_.instructions[id];
    const ValueId operand = instruction.operands[k];
    const Shape& shape = f_.instructions[operand].shape;
    const Rebuilt at{f_, instruction, Mapped(instruction, values_, &operands_), values_[id]};
    if (instruction.op == Op::kSlice) {
      if (const std::optional<int64_t> offset = FlatOffset(instruction, shape)) {
        const ValueId left = regions_.Leave(b_, values_, id, k, cotangent);
        parts_[operand].pieces.push_back({*offset, left});
        return;
      }
    }
    ValueId given;
    if (!IsElementwise(instruction.op)) {
      given = regions_.Leave(b_, values_, id, k, PullBack(b_, at, k, begin, cotangent));
    } else if (instruction.op == Op::kSelect && regions_.Opens(id)) {
      given = Reduce(b_, regions_.Leave(b_, values_, id, k, cotangent), shape);
    } else {
      given = TimesPartial(b_, at, k, cotangent);
      if (given == kNoValue) return;
      given = Reduce(b_, regions_.Leave(b_, values_, id, k, given), shape);
    }
    parts_[operand].whole.push_back(given);
  }

  FunctionBuilder& b_;
  const Function& f_;
  std::vector<ValueId> values_;
  std::vector<char> varied_;
  std::vector<char> visited_;
  Regions regions_;
  std::vector<Parts> parts_;
  std::vector<std::vector<Piece>> input_pieces_;  // per input buffer of f
  std::vector<ValueId> operands_;
};

}  // namespace

absl::StatusOr<Function> Vjp(const Function& f, const std::vector<int>& wrt,
                             const DerivativeOptions& options) {
  RETURN_IF_ERROR(CheckWrt(f, wrt));
  Function signature = Signature(f, wrt, options.keep_values);
  RETURN_IF_ERROR(CheckBufferCounts(signature));
  FunctionBuilder b(std::move(signature.name), std::move(signature.inputs),
                    std::move(signature.outputs));
  ReverseSweep sweep(b, f, wrt);
  RETURN_IF_ERROR(sweep.Run());
  int output = 0;
  if (options.keep_values) {
    for (const OutputEntry& entry : f.results) {
      b.Result(sweep.value(entry.value), entry.buffer, entry.offset);
    }
    output = static_cast<int>(f.outputs.size());
  }
  for (int buffer : wrt) {
    for (const Segment& segment :
         AssemblePieces(b, sweep.TakePieces(buffer), f.inputs[buffer].size)) {
      if (segment.value == kNoValue) {
        ZeroResult(b, output, segment.offset, segment.size);
      } else {
        b.Result(segment.value, output, segment.offset);
      }
    }
    ++output;
  }
  RETURN_IF_ERROR(CheckLength(b));
  return std::move(b).Build();
}

}  // namespace costate
