#include "engine/compose.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/autodiff/autodiff.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"

namespace costate {
namespace {

constexpr int kInitParams = 1;  // buffer of ModelIr::init

// Where the elements of an input buffer lie in the function under construction.
struct InputPlace {
  int buffer = 0;
  int64_t offset = 0;
};

// Copies `f`, whose input buffers lie at `places`.
std::vector<ValueId> InlineAt(FunctionBuilder& b, const Function& f,
                              const std::vector<InputPlace>& places) {
  return InlineBody(b, f, [&](const Instruction& input) {
    const InputPlace& place = places[input.attributes[0]];
    return b.Input(place.buffer, place.offset + input.attributes[1], input.shape);
  });
}

std::vector<InputPlace> SamePlaces(const Function& f) {
  std::vector<InputPlace> places;
  for (size_t i = 0; i < f.inputs.size(); ++i) places.push_back({static_cast<int>(i), 0});
  return places;
}

// Output buffer i of `f` goes to elements from offsets[i] of the one output.
void CopyResults(FunctionBuilder& b, const Function& f, const std::vector<ValueId>& values,
                 const std::array<int64_t, 2>& offsets) {
  for (const OutputEntry& entry : f.results) {
    b.Result(values[entry.value], 0, offsets[entry.buffer] + entry.offset);
  }
}

// `f` over wider inputs and outputs; the new elements lie behind.
FunctionBuilder Widened(const Function& f, const std::vector<int64_t>& input_sizes, int64_t output,
                        std::vector<ValueId>* values) {
  std::vector<Buffer> inputs = f.inputs;
  for (size_t i = 0; i < inputs.size(); ++i) inputs[i].size = input_sizes[i];
  FunctionBuilder b(f.name, std::move(inputs), {{f.outputs[0].name, output}});
  *values = InlineAt(b, f, SamePlaces(f));
  CopyResults(b, f, *values, {0, 0});
  return b;
}

// One integrand in the builder of a right-hand side; z = {y, outputs}.
ValueId InlineIntegrand(FunctionBuilder& b, const Function& integrand, const Function& outputs,
                        const std::vector<ValueId>& output_values, int64_t num_states) {
  const std::vector<ValueId> values = InlineBody(b, integrand, [&](const Instruction& input) {
    const int buffer = static_cast<int>(input.attributes[0]);
    const int64_t offset = input.attributes[1];
    if (buffer != kStateBuffer || offset < num_states) {
      return b.Input(buffer, offset, input.shape);
    }
    return ReadResult(b, outputs, output_values, 0, offset - num_states, input.shape);
  });
  return ReadResult(b, integrand, values, 0, 0, {});
}

// The tensors twice, the second time as directions.
std::vector<TensorInfo> WithDirections(const ModelIr& model, const std::vector<TensorInfo>& tensors,
                                       int64_t total) {
  std::vector<TensorInfo> twice = tensors;
  TensorInfo directions;
  directions.name = UnusedName(model, "direction");
  directions.shape = {total};
  directions.offset = total;
  directions.lower = -std::numeric_limits<double>::infinity();
  directions.upper = std::numeric_limits<double>::infinity();
  directions.defaults.assign(total, 0.0);
  if (total > 0) twice.push_back(std::move(directions));
  return twice;
}

// `f` and its derivative as one function: inputs `wrt` and the output doubled.
absl::StatusOr<Function> Doubled(const Function& f, const std::vector<int>& wrt) {
  ASSIGN_OR_RETURN(const Function jvp, Jvp(f, wrt));
  std::vector<Buffer> inputs = f.inputs;
  std::vector<InputPlace> places = SamePlaces(f);
  for (int buffer : wrt) {
    places.push_back({buffer, inputs[buffer].size});
    inputs[buffer].size *= 2;
  }
  const int64_t size = f.outputs[0].size;
  FunctionBuilder b(f.name, std::move(inputs), {{f.outputs[0].name, 2 * size}});
  const std::vector<ValueId> values = InlineAt(b, jvp, places);
  CopyResults(b, jvp, values, {0, size});
  return std::move(b).Build();
}

}  // namespace

std::vector<ValueId> InlineBody(FunctionBuilder& b, const Function& f,
                                absl::FunctionRef<ValueId(const Instruction& input)> input) {
  std::vector<ValueId> values(f.instructions.size());
  std::vector<ValueId> operands;
  for (size_t i = 0; i < f.instructions.size(); ++i) {
    const Instruction& instruction = f.instructions[i];
    if (instruction.op == Op::kInput) {
      b.set_location(instruction.location);
      values[i] = input(instruction);
      continue;
    }
    operands.clear();
    for (ValueId operand : instruction.operands) operands.push_back(values[operand]);
    values[i] = b.Copy(f, instruction, operands);
  }
  return values;
}

ValueId ReadResult(FunctionBuilder& b, const Function& f, const std::vector<ValueId>& values,
                   int buffer, int64_t offset, const Shape& shape) {
  const int64_t end = offset + NumElements(shape);
  std::vector<OutputEntry> entries;
  for (const OutputEntry& entry : f.results) {
    const int64_t size = NumElements(f.instructions[entry.value].shape);
    if (entry.buffer == buffer && entry.offset < end && entry.offset + size > offset) {
      entries.push_back(entry);
    }
  }
  std::sort(entries.begin(), entries.end(),
            [](const OutputEntry& x, const OutputEntry& y) { return x.offset < y.offset; });
  std::vector<ValueId> parts;
  for (const OutputEntry& entry : entries) {
    const ValueId value = values[entry.value];
    const int64_t size = NumElements(b.shape(value));
    const int64_t first = std::max<int64_t>(0, offset - entry.offset);
    const int64_t last = std::min<int64_t>(size, end - entry.offset);
    const ValueId flat = b.Reshape(value, {size});
    parts.push_back(first == 0 && last == size ? flat : b.Slice(flat, {first, last, 1}));
  }
  const ValueId all = parts.size() == 1 ? parts[0] : b.Concat(std::move(parts), 0);
  return b.Reshape(all, shape);
}

std::string UnusedName(const ModelIr& model, std::string_view base) {
  const auto used = [&](const std::string& name) {
    const auto same = [&](const TensorInfo& tensor) { return tensor.name == name; };
    return std::any_of(model.params.begin(), model.params.end(), same) ||
           std::any_of(model.states.begin(), model.states.end(), same) ||
           std::any_of(model.outputs.begin(), model.outputs.end(), same);
  };
  std::string name(base);
  for (int i = 1; used(name); ++i) name = absl::StrCat(std::string(base), "_", i);
  return name;
}

ModelIr WithRunningLoss(const ModelIr& model, const std::vector<Function>& integrands) {
  const int64_t n = model.num_states();
  const int64_t m = model.num_params();
  ModelIr wider = model;
  TensorInfo loss;
  loss.name = UnusedName(model, "running_loss");
  loss.offset = n;
  wider.states.push_back(std::move(loss));

  std::vector<ValueId> values;
  FunctionBuilder init = Widened(model.init, {1, m}, n + 1, &values);
  init.Result(init.Constant(0), 0, n);
  wider.init = std::move(init).Build();

  FunctionBuilder rhs = Widened(model.rhs, {1, n + 1, m}, n + 1, &values);
  const std::vector<ValueId> outputs =
      InlineAt(rhs, model.output_map, SamePlaces(model.output_map));
  ValueId sum = kNoValue;
  for (const Function& integrand : integrands) {
    const ValueId value = InlineIntegrand(rhs, integrand, model.output_map, outputs, n);
    sum = sum == kNoValue ? value : rhs.Binary(Op::kAdd, sum, value);
  }
  rhs.Result(sum, 0, n);
  wider.rhs = std::move(rhs).Build();

  wider.output_map = Widened(model.output_map, {1, n + 1, m}, model.num_outputs(), &values).Build();
  return wider;
}

absl::StatusOr<ModelIr> WithTangents(const ModelIr& model) {
  const int64_t n = model.num_states();
  const int64_t m = model.num_params();
  if (2 * n > limits::kMaxStates || 2 * m > limits::kMaxParams) {
    return absl::ResourceExhaustedError(
        absl::StrCat("second derivatives double ", n, " states and ", m,
                     " parameters, which passes the limits of ", limits::kMaxStates, " and ",
                     limits::kMaxParams));
  }
  ModelIr twice;
  twice.name = model.name;
  twice.params = WithDirections(model, model.params, m);
  twice.states = WithDirections(model, model.states, n);
  twice.outputs = WithDirections(model, model.outputs, model.num_outputs());
  if (m > 0) twice.states.back().name = UnusedName(twice, "tangent");
  ASSIGN_OR_RETURN(twice.init, Doubled(model.init, {kInitParams}));
  ASSIGN_OR_RETURN(twice.rhs, Doubled(model.rhs, {kStateBuffer, kParamBuffer}));
  ASSIGN_OR_RETURN(twice.output_map, Doubled(model.output_map, {kStateBuffer, kParamBuffer}));
  return twice;
}

}  // namespace costate
