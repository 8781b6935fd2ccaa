#include "engine/prepare_loss.h"

#include <algorithm>
#include <string>
#include <utility>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/autodiff/autodiff.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/compose.h"
#include "engine/derived_code.h"
#include "engine/expression_scope.h"
#include "engine/model/model.h"
#include "engine/model_maps.h"
#include "engine/near_names.h"

namespace costate {
namespace {

using Block = CompiledExpression::Block;

// As the model language has names; a word of the language slips through, and cannot be used.
bool IsName(std::string_view name) {
  const auto letter = [](char c) { return absl::ascii_isalpha(c) || c == '_'; };
  return !name.empty() && letter(name[0]) &&
         static_cast<int64_t>(name.size()) <= limits::kMaxIdentifierBytes && name != "t" &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return letter(c) || absl::ascii_isdigit(c); });
}

// An output that only repeats a state or parameter, so that the name means one thing.
bool Repeats(const ModelIr& ir, const TensorInfo& output, const TensorInfo& tensor, int buffer) {
  for (const OutputEntry& entry : ir.output_map.results) {
    if (entry.offset != output.offset) continue;
    const Instruction& value = ir.output_map.instructions[entry.value];
    return value.op == Op::kInput && value.attributes[0] == buffer &&
           value.attributes[1] == tensor.offset && value.shape == tensor.shape;
  }
  return false;
}

// The names of a model: parameters in p, states and outputs in y = {states, outputs}.
ExpressionScope ModelScope(const ModelIr& ir) {
  ExpressionScope scope;
  scope.num_values = ir.num_states() + ir.num_outputs();
  scope.num_params = ir.num_params();
  absl::flat_hash_map<std::string_view, const TensorInfo*> tensors;
  absl::flat_hash_map<std::string_view, size_t> places;
  const auto add = [&](const TensorInfo& tensor, bool in_params, int64_t offset) {
    tensors.emplace(tensor.name, &tensor);
    places.emplace(tensor.name, scope.names.size());
    scope.names.push_back({tensor.name, tensor.shape, in_params, offset, ""});
  };
  for (const TensorInfo& param : ir.params) add(param, true, param.offset);
  for (const TensorInfo& state : ir.states) add(state, false, state.offset);
  for (const TensorInfo& output : ir.outputs) {
    const auto found = places.find(output.name);
    if (found == places.end()) {
      add(output, false, ir.num_states() + output.offset);
      continue;
    }
    ScopeName& other = scope.names[found->second];
    const int buffer = other.in_params ? kParamBuffer : kStateBuffer;
    if (Repeats(ir, output, *tensors[output.name], buffer)) continue;
    other.ambiguous =
        absl::StrCat(QuoteName(output.name), " is a ", other.in_params ? "parameter" : "state",
                     " and an output of the model, with different values");
  }
  return scope;
}

// The same for saved values: y has a leading axis [K], and data lie behind the parameters.
absl::StatusOr<ExpressionScope> SavedScope(const ModelIr& ir, const ExpressionLoss& term,
                                           const std::string& path) {
  ExpressionScope scope = ModelScope(ir);
  const int64_t num_times = static_cast<int64_t>(term.times.size());
  scope.packed = true;
  for (ScopeName& name : scope.names) {
    if (!name.in_params) name.shape.insert(name.shape.begin(), num_times);
  }
  absl::flat_hash_map<std::string_view, bool> taken;  // by the model or by data
  for (const ScopeName& name : scope.names) taken.emplace(name.name, true);
  for (size_t d = 0; d < term.data.size(); ++d) {
    const NamedArray& array = term.data[d];
    const std::string field = absl::StrCat(path, ".data[", d, "].name");
    const auto [entry, inserted] = taken.emplace(array.name, false);
    if (!inserted) {
      return FieldError(field, QuoteName(array.name),
                        entry->second ? "a name that the model does not use" : "each name once");
    }
    if (!IsName(array.name)) {
      return FieldError(field, QuoteName(array.name),
                        "a name as in a model: letters, digits and '_', other than 't'");
    }
    scope.names.push_back(
        {array.name, Shape(array.shape.begin(), array.shape.end()), true, scope.num_params, ""});
    scope.num_params += static_cast<int64_t>(array.values.size());
  }
  scope.time = static_cast<int>(scope.names.size());
  scope.names.push_back({"t", {num_times}, false, 0, ""});
  return scope;
}

absl::StatusOr<ScalarExpression> CompileText(const ModelIr& ir, const ExpressionLoss& term,
                                             const ExpressionScope& scope,
                                             const std::string& path) {
  return CompileScalarExpression(term.text, scope, absl::StrCat(path, ".text"), ir.num_params());
}

// What the kernels of a term depend on.
std::string TermKey(const char* what, const ExpressionLoss& term) {
  std::string key = absl::StrCat(what, "\n", term.times.size(), "\n");
  for (const NamedArray& array : term.data) {
    absl::StrAppend(&key, array.name, ShapeToString(Shape(array.shape.begin(), array.shape.end())),
                    "\n");
  }
  return absl::StrCat(key, term.text);
}

std::vector<Block> BlocksOf(const ModelIr& ir, const ExpressionScope& scope,
                            const std::vector<int>& names, size_t num_times) {
  std::vector<Block> blocks;
  for (int index : names) {
    const ScopeName& name = scope.names[index];
    const int64_t size = NumElements(name.shape) / static_cast<int64_t>(num_times);
    Block block = {Block::Kind::kState, name.offset, size};
    if (index == scope.time) {
      block.kind = Block::Kind::kTime;
    } else if (name.offset >= ir.num_states()) {
      block = {Block::Kind::kOutput, name.offset - ir.num_states(), size};
    }
    blocks.push_back(block);
  }
  return blocks;
}

absl::Status PrepareExpression(const Model& model, const std::string& path, ExpressionLoss* term) {
  const ModelIr& ir = model.ir();
  ASSIGN_OR_RETURN(const ExpressionScope scope, SavedScope(ir, *term, path));
  ASSIGN_OR_RETURN(
      term->compiled,
      model.derived().Get<CompiledExpression>(
          TermKey("expression", *term),
          [&](std::shared_ptr<Evaluator> evaluator)
              -> absl::StatusOr<std::shared_ptr<const CompiledExpression>> {
            ASSIGN_OR_RETURN(const ScalarExpression text, CompileText(ir, *term, scope, path));
            auto compiled = std::make_shared<CompiledExpression>();
            compiled->blocks = BlocksOf(ir, scope, text.packed_names, term->times.size());
            compiled->num_values = text.function.inputs[kStateBuffer].size;
            compiled->num_params = ir.num_params();
            compiled->uses_params = text.uses_params;
            ASSIGN_OR_RETURN(const Function vjp, Vjp(text.function, {kStateBuffer, kParamBuffer}));
            ASSIGN_OR_RETURN(compiled->gradient, evaluator->Build(vjp, {.lanes = 1}));
            return compiled;
          }));
  term->flat_data.clear();
  for (const NamedArray& array : term->data) {
    term->flat_data.insert(term->flat_data.end(), array.values.begin(), array.values.end());
  }
  return absl::OkStatus();
}

// An integrand and the field it came in.
struct Integrand {
  const std::string* text;
  std::string field;
};

absl::StatusOr<std::shared_ptr<const Model>> ExtendModel(const Model& model,
                                                         const std::vector<Integrand>& integrands) {
  std::string key = "integral";
  for (const Integrand& integrand : integrands) {
    absl::StrAppend(&key, "\n", integrand.text->size(), "\n", *integrand.text);
  }
  const ModelIr& ir = model.ir();
  return model.derived().Get<Model>(
      key,
      [&](std::shared_ptr<Evaluator> evaluator) -> absl::StatusOr<std::shared_ptr<const Model>> {
        const ExpressionScope scope = ModelScope(ir);
        std::vector<Function> functions;
        for (const Integrand& integrand : integrands) {
          ASSIGN_OR_RETURN(ScalarExpression compiled,
                           CompileScalarExpression(*integrand.text, scope, integrand.field, 0));
          functions.push_back(std::move(compiled.function));
        }
        ModelIr wider = WithRunningLoss(ir, functions);
        if (absl::Status status = VerifyModel(wider); !status.ok()) {
          return FieldStatus(status.code(), integrands[0].field,
                             absl::StrCat("with the running loss: ", status.message()));
        }
        return MakeModel(std::move(wider), model.resource_name(), std::move(evaluator));
      });
}

// [rows, n] as [rows, n + 1], the new column 0.
std::vector<double> WithColumn(const std::vector<double>& values, int64_t n) {
  std::vector<double> wider;
  wider.reserve(values.size() / n * (n + 1));
  for (size_t i = 0; i < values.size(); i += n) {
    wider.insert(wider.end(), values.begin() + i, values.begin() + i + n);
    wider.push_back(0);
  }
  return wider;
}

// Weights over the states as they were become weights over one more; the integrals become its last
// value.
void WidenTerms(int64_t n, Loss* loss) {
  Loss wider;
  for (auto& term : loss->terms) {
    if (std::holds_alternative<IntegralLoss>(term)) continue;
    if (auto* linear = std::get_if<Linear>(&term)) linear->states = WithColumn(linear->states, n);
    if (auto* end = std::get_if<Terminal>(&term)) end->state = WithColumn(end->state, n);
    wider.terms.push_back(std::move(term));
  }
  Terminal running;
  running.state.resize(n + 1);
  running.state[n] = 1;
  wider.terms.emplace_back(std::move(running));
  *loss = std::move(wider);
}

void RemoveLastColumn(int64_t n, std::vector<double>* values) {
  const size_t rows = values->size() / (n + 1);
  for (size_t row = 1; row < rows; ++row) {
    std::copy_n(values->begin() + row * (n + 1), n, values->begin() + row * n);
  }
  values->resize(rows * n);
}

}  // namespace

void PreparedLoss::Hide(SavedValues* saved) const {
  if (model == nullptr) return;
  RemoveLastColumn(num_states, &saved->states);
  RemoveLastColumn(num_states, &saved->terminal_state);
}

void PreparedLoss::Hide(Termination* termination) const {
  if (model != nullptr && termination->state_index >= num_states) termination->state_index = -1;
}

void ExtendStates(std::shared_ptr<const Model> model, int64_t added, BoundSimulation* bound) {
  const int64_t rows = bound->num_trajectories;
  const int64_t n = static_cast<int64_t>(bound->y0.size()) / rows;
  std::vector<double> y0(rows * (n + added));
  for (int64_t row = 0; row < rows; ++row) {
    std::copy_n(bound->y0.begin() + row * n, n, y0.begin() + row * (n + added));
  }
  bound->y0 = std::move(y0);
  bound->given.resize(n + added, false);
  bound->model = model.get();
}

absl::StatusOr<PreparedLoss> PrepareLoss(const Loss& loss, BoundSimulation* bound,
                                         SolveOptions* options, std::string_view path) {
  const absl::Time start = absl::Now();
  PreparedLoss prepared;
  prepared.loss = loss;
  prepared.num_states = bound->model->ir().num_states();
  std::vector<Integrand> integrands;
  for (size_t i = 0; i < prepared.loss.terms.size(); ++i) {
    const std::string field = absl::StrCat(std::string(path), ".terms[", i, "]");
    auto& term = prepared.loss.terms[i];
    if (auto* expression = std::get_if<ExpressionLoss>(&term)) {
      RETURN_IF_ERROR(
          PrepareExpression(*bound->model, absl::StrCat(field, ".expression"), expression));
    } else if (const auto* integral = std::get_if<IntegralLoss>(&loss.terms[i])) {
      integrands.push_back({&integral->integrand, absl::StrCat(field, ".integral.integrand")});
    }
  }
  if (!integrands.empty()) {
    ASSIGN_OR_RETURN(prepared.model, ExtendModel(*bound->model, integrands));
    WidenTerms(prepared.num_states, &prepared.loss);
    ExtendStates(prepared.model, 1, bound);
    std::vector<double>& atol = options->control.atol;
    if (atol.size() > 1) atol.push_back(*std::min_element(atol.begin(), atol.end()));
  }
  prepared.compile = absl::Now() - start;
  return prepared;
}

absl::StatusOr<CurvatureKernels> PrepareCurvature(const Model& model, const PreparedLoss& prepared,
                                                  absl::Duration* compile) {
  const absl::Time start = absl::Now();
  CurvatureKernels kernels(prepared.loss.terms.size());
  for (size_t i = 0; i < kernels.size(); ++i) {
    const auto* term = std::get_if<ExpressionLoss>(&prepared.loss.terms[i]);
    if (term == nullptr) continue;
    ASSIGN_OR_RETURN(
        const std::shared_ptr<const Kernel> kernel,
        model.derived().Get<Kernel>(
            TermKey("curvature", *term),
            [&](std::shared_ptr<Evaluator> evaluator)
                -> absl::StatusOr<std::shared_ptr<const Kernel>> {
              ASSIGN_OR_RETURN(const ExpressionScope scope, SavedScope(model.ir(), *term, ""));
              ASSIGN_OR_RETURN(const ScalarExpression text,
                               CompileText(model.ir(), *term, scope, ""));
              const std::vector<int> wrt = {kStateBuffer, kParamBuffer};
              ASSIGN_OR_RETURN(const Function gradient,
                               Vjp(text.function, wrt, {.keep_values = false}));
              ASSIGN_OR_RETURN(const Function curvature, Jvp(gradient, wrt));
              ASSIGN_OR_RETURN(Kernel built, evaluator->Build(curvature, {.lanes = 1}));
              return std::make_shared<const Kernel>(std::move(built));
            }));
    kernels[i] = *kernel;
  }
  *compile += absl::Now() - start;
  return kernels;
}

}  // namespace costate
