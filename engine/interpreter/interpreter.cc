#include "engine/interpreter/interpreter.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/interpreter/evaluate.h"

namespace costate {
namespace {

// A function with a place in scratch for every value. Values whose last use is over leave their
// place to later ones of the same size.
struct Program {
  Function function;
  KernelSpec spec;
  std::vector<int64_t> places;
  int64_t scratch_size = 0;
};

std::vector<size_t> LastUses(const Function& function) {
  const size_t end = function.instructions.size();
  std::vector<size_t> last(end);
  for (size_t i = 0; i < end; ++i) {
    last[i] = i;
    for (ValueId operand : function.instructions[i].operands) last[operand] = i;
  }
  for (const OutputEntry& entry : function.results) last[entry.value] = end;
  return last;
}

Program MakeProgram(const Function& function, const KernelSpec& spec) {
  Program program{function, spec, {}, 0};
  const std::vector<size_t> last = LastUses(function);
  program.places.resize(function.instructions.size());
  std::map<int64_t, std::vector<int64_t>> free_places;  // by number of elements
  const auto release = [&](ValueId id) {
    free_places[NumElements(function.instructions[id].shape)].push_back(program.places[id]);
  };
  for (size_t i = 0; i < function.instructions.size(); ++i) {
    const Instruction& instruction = function.instructions[i];
    const int64_t size = NumElements(instruction.shape);
    std::vector<int64_t>& same_size = free_places[size];
    if (same_size.empty()) {
      program.places[i] = program.scratch_size;
      program.scratch_size += size;
    } else {
      program.places[i] = same_size.back();
      same_size.pop_back();
    }
    auto operands = instruction.operands;
    std::sort(operands.begin(), operands.end());
    operands.erase(std::unique(operands.begin(), operands.end()), operands.end());
    for (ValueId operand : operands) {
      if (last[operand] == i) release(operand);
    }
    if (last[i] == i) release(static_cast<ValueId>(i));
  }
  return program;
}

bool HasBit(uint64_t mask, int64_t bit) { return (mask >> bit & 1) != 0; }

// One lane through one evaluation.
class LaneRun {
 public:
  LaneRun(const Program& program, int lane, const double* const* inputs, double* const* outputs,
          double* scratch)
      : program_(program), lane_(lane), inputs_(inputs), outputs_(outputs), scratch_(scratch) {}

  void Run() {
    const Function& function = program_.function;
    for (size_t i = 0; i < function.instructions.size(); ++i) Evaluate(static_cast<ValueId>(i));
    for (const OutputEntry& entry : function.results) Store(entry);
  }

 private:
  const Instruction& At(ValueId id) const { return program_.function.instructions[id]; }
  double* Place(ValueId id) const { return scratch_ + program_.places[id]; }
  int64_t Stride(bool uniform) const { return uniform ? 1 : program_.spec.lanes; }

  void Evaluate(ValueId id) {
    const Instruction& instruction = At(id);
    if (instruction.op == Op::kConstant) {
      const auto& elements = program_.function.constants[instruction.attributes[0]];
      std::copy(elements.begin(), elements.end(), Place(id));
      return;
    }
    if (instruction.op == Op::kInput) return Load(instruction, Place(id));
    operands_.clear();
    for (ValueId operand : instruction.operands) {
      operands_.push_back({&At(operand), Place(operand)});
    }
    EvaluateInstruction(instruction, operands_.data(), Place(id));
  }

  void Load(const Instruction& instruction, double* place) const {
    const int64_t buffer = instruction.attributes[0];
    const bool uniform = HasBit(program_.spec.uniform_inputs, buffer);
    const int64_t stride = Stride(uniform);
    const double* first = inputs_[buffer] + instruction.attributes[1] * stride;
    if (!uniform) first += lane_;
    for (int64_t i = 0; i < NumElements(instruction.shape); ++i) place[i] = first[i * stride];
  }

  void Store(const OutputEntry& entry) const {
    const bool uniform = HasBit(program_.spec.uniform_outputs, entry.buffer);
    const int64_t stride = Stride(uniform);
    double* first = outputs_[entry.buffer] + entry.offset * stride;
    if (!uniform) first += lane_;
    const double* elements = Place(entry.value);
    for (int64_t i = 0; i < NumElements(At(entry.value).shape); ++i) {
      first[i * stride] = elements[i];
    }
  }

  const Program& program_;
  const int lane_;
  const double* const* inputs_;
  double* const* outputs_;
  double* scratch_;
  std::vector<EvaluatedOperand> operands_;
};

void RunProgram(const void* context, const double* const* inputs, double* const* outputs,
                double* scratch) {
  const Program& program = *static_cast<const Program*>(context);
  for (int lane = 0; lane < program.spec.lanes; ++lane) {
    LaneRun(program, lane, inputs, outputs, scratch).Run();
  }
}

// Refuses a uniform output that would differ between lanes.
absl::Status CheckUniformOutputs(const Function& function, const KernelSpec& spec) {
  std::vector<char> varying(function.instructions.size(), 0);
  for (size_t i = 0; i < function.instructions.size(); ++i) {
    const Instruction& instruction = function.instructions[i];
    varying[i] =
        instruction.op == Op::kInput && !HasBit(spec.uniform_inputs, instruction.attributes[0]);
    for (ValueId operand : instruction.operands) varying[i] |= varying[operand];
  }
  for (const OutputEntry& entry : function.results) {
    if (varying[entry.value] && HasBit(spec.uniform_outputs, entry.buffer)) {
      return absl::InvalidArgumentError(absl::StrCat(function.name, ": uniform output '",
                                                     function.outputs[entry.buffer].name,
                                                     "' depends on a varying input"));
    }
  }
  return absl::OkStatus();
}

class Interpreter : public Evaluator {
 public:
  std::string_view name() const override { return "interpreter"; }
  int simd_lanes() const override { return kMaxLanes; }

  absl::StatusOr<Kernel> Build(const Function& function, const KernelSpec& spec) override {
    if (spec.lanes != 1 && spec.lanes != 2 && spec.lanes != 4 && spec.lanes != 8) {
      return absl::InvalidArgumentError(absl::StrCat("no kernel with ", spec.lanes, " lanes"));
    }
    if (spec.lanes > 1) RETURN_IF_ERROR(CheckUniformOutputs(function, spec));
    auto program = std::make_shared<const Program>(MakeProgram(function, spec));
    if (program->scratch_size > limits::kMaxScratchElements) {
      return absl::ResourceExhaustedError(absl::StrCat(
          function.name, ": needs ", program->scratch_size, " intermediate elements, at most ",
          limits::kMaxScratchElements, " are allowed"));
    }
    const Program* context = program.get();
    const int64_t scratch_size = context->scratch_size;
    return Kernel(&RunProgram, context, std::move(program), spec.lanes, scratch_size);
  }
};

}  // namespace

std::unique_ptr<Evaluator> MakeInterpreter() { return std::make_unique<Interpreter>(); }

std::vector<std::vector<double>> Interpret(const Function& function,
                                           const std::vector<std::vector<double>>& inputs) {
  const Program program = MakeProgram(function, KernelSpec{});
  std::vector<std::vector<double>> outputs;
  std::vector<const double*> input_pointers;
  std::vector<double*> output_pointers;
  for (const std::vector<double>& input : inputs) input_pointers.push_back(input.data());
  for (const Buffer& output : function.outputs) outputs.emplace_back(output.size);
  for (std::vector<double>& output : outputs) output_pointers.push_back(output.data());
  std::vector<double> scratch(program.scratch_size);
  RunProgram(&program, input_pointers.data(), output_pointers.data(), scratch.data());
  return outputs;
}

}  // namespace costate
