#include "engine/model_maps.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "engine/autodiff/autodiff.h"
#include "engine/base/status_macros.h"
#include "engine/derived_code.h"
#include "engine/tensor_index.h"

namespace costate {
namespace {

// Bits of the buffers t, y and p.
constexpr uint64_t kPointIsUniform = 1u << kTimeBuffer | 1u << kStateBuffer | 1u << kParamBuffer;

const std::vector<int>& AllInputs() {
  static const auto& inputs = *new std::vector<int>{kTimeBuffer, kStateBuffer, kParamBuffer};
  return inputs;
}

// {t, p} -> {y} as {t, y[0], p} -> {y}, the signature of all maps.
Function WithEmptyState(Function init) {
  init.inputs.insert(init.inputs.begin() + kStateBuffer, Buffer{"y", 0});
  for (Instruction& instruction : init.instructions) {
    if (instruction.op == Op::kInput && instruction.attributes[0] >= kStateBuffer) {
      ++instruction.attributes[0];
    }
  }
  return init;
}

class ModelImpl : public Model {
 public:
  ModelImpl(ModelIr ir, std::string resource_name, std::shared_ptr<Evaluator> evaluator)
      : ir_(std::move(ir)),
        resource_name_(std::move(resource_name)),
        rhs_(ir_.rhs, evaluator, &ir_.states),
        init_(WithEmptyState(ir_.init), evaluator),
        outputs_(ir_.output_map, evaluator),
        derived_(std::move(evaluator)) {}

  const ModelIr& ir() const override { return ir_; }
  const std::string& resource_name() const override { return resource_name_; }
  const VectorField& rhs() const override { return rhs_; }
  const DifferentiableMap& init() const override { return init_; }
  const DifferentiableMap& outputs() const override { return outputs_; }
  const DerivedCode& derived() const override { return derived_; }

 private:
  const ModelIr ir_;
  const std::string resource_name_;
  const FunctionMap rhs_;
  const FunctionMap init_;
  const FunctionMap outputs_;
  const DerivedCode derived_;
};

}  // namespace

FunctionMap::FunctionMap(Function function, std::shared_ptr<Evaluator> evaluator,
                         const std::vector<TensorInfo>* states)
    : function_(std::move(function)),
      num_states_(function_.inputs[kStateBuffer].size),
      num_params_(function_.inputs[kParamBuffer].size),
      num_values_(function_.outputs[0].size),
      evaluator_(std::move(evaluator)),
      states_(states) {}

std::string FunctionMap::StateName(int64_t state) const {
  const std::string name = states_ == nullptr ? "" : ElementName(*states_, state);
  return name.empty() ? DifferentiableMap::StateName(state) : absl::StrCat("state ", name);
}

absl::StatusOr<Kernel> FunctionMap::Get(MapKernel kind, int lanes) const {
  if (lanes != 1 && lanes != simd_lanes()) {
    return absl::InvalidArgumentError(
        absl::StrCat("kernels have 1 or ", simd_lanes(), " lanes, not ", lanes));
  }
  Slot& slot = slots_[static_cast<size_t>(kind)][lanes > 1 ? 1 : 0];
  absl::MutexLock lock(&slot.mutex);
  if (!slot.kernel) {
    ASSIGN_OR_RETURN(slot.kernel, Build(kind, lanes));
  }
  return slot.kernel;
}

absl::StatusOr<Kernel> FunctionMap::Build(MapKernel kind, int lanes) const {
  const DerivativeOptions derivative_only{.keep_values = false};
  switch (kind) {
    case MapKernel::kValue:
      return evaluator_->Build(function_, {.lanes = lanes});
    case MapKernel::kJvp:
    case MapKernel::kTangentBlock: {
      ASSIGN_OR_RETURN(const Function jvp, Jvp(function_, AllInputs(), derivative_only));
      const uint64_t uniform = kind == MapKernel::kTangentBlock ? kPointIsUniform : 0;
      return evaluator_->Build(jvp, {.lanes = lanes, .uniform_inputs = uniform});
    }
    case MapKernel::kVjp:
    case MapKernel::kCotangentBlock: {
      ASSIGN_OR_RETURN(const Function vjp, Vjp(function_, AllInputs(), derivative_only));
      const uint64_t uniform = kind == MapKernel::kCotangentBlock ? kPointIsUniform : 0;
      return evaluator_->Build(vjp, {.lanes = lanes, .uniform_inputs = uniform});
    }
  }
  return absl::InternalError("unknown kind of kernel");
}

std::shared_ptr<const Model> MakeModel(ModelIr ir, std::string resource_name,
                                       std::shared_ptr<Evaluator> evaluator) {
  return std::make_shared<ModelImpl>(std::move(ir), std::move(resource_name), std::move(evaluator));
}

}  // namespace costate
