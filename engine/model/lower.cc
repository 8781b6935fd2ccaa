#include "engine/model/lower.h"

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/model/constant_evaluator.h"
#include "engine/model/expression_lowering.h"
#include "engine/model/text.h"

namespace costate {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr InputBuffers kInitInputs = {.time = 0, .state = -1, .param = 1};
constexpr InputBuffers kRhsInputs = {
    .time = kTimeBuffer, .state = kStateBuffer, .param = kParamBuffer};

std::string ShapeName(const Shape& shape) {
  return shape.empty() ? "is a scalar" : Text("has shape ", ShapeToString(shape));
}

class ModelLowering {
 public:
  ModelLowering(const Syntax& syntax, IssueList* issues)
      : syntax_(syntax),
        issues_(*issues),
        constants_(&syntax, &tensors_, InputBuffers{}, FunctionBuilder("constants", {}, {}),
                   issues),
        evaluator_(&constants_.builder().function()) {}

  ModelIr Run() {
    if (syntax_.model_name >= 0) model_.name = syntax_.names[syntax_.model_name];
    constants_.LowerLetsNeededBy(ConstantRoots());
    DeclareParams();
    DeclareStates();
    LowerInit();
    LowerRhs();
    LowerOutputs();
    return std::move(model_);
  }

 private:
  std::string Quoted(const Declaration& declaration) const {
    return Text("'", syntax_.names[declaration.name], "'");
  }

  std::vector<Expression> ConstantRoots() const {
    std::vector<Expression> roots;
    for (const ParamSyntax& param : syntax_.params) {
      if (param.broken) continue;
      roots.insert(roots.end(), param.extents.begin(), param.extents.end());
      roots.insert(roots.end(), {param.value, param.lower, param.upper});
    }
    for (const StateSyntax& state : syntax_.states) {
      if (!state.broken) roots.insert(roots.end(), state.extents.begin(), state.extents.end());
    }
    return roots;
  }

  // The value of a constant expression and its shape; null after an issue.
  const std::vector<double>* Evaluate(const Expression& expression, Shape* shape) {
    const ValueId id = constants_.Lower(expression);
    if (id == kNoValue) return nullptr;
    if (constants_.tensors().IsBool(id)) {
      issues_.Add(expression.location, "expected a number, got a condition",
                  "a condition becomes a number by: if condition then 1 else 0");
      return nullptr;
    }
    const auto elements = evaluator_.Evaluate(id);
    if (!elements.ok()) {
      issues_.Add(expression.location, std::string(elements.status().message()),
                  "write the value as a number");
      return nullptr;
    }
    *shape = constants_.builder().shape(id);
    return *elements;
  }

  // Reads the extents into `shape`; false after an issue.
  bool EvaluateExtents(const std::vector<Expression>& extents, const Declaration& declaration,
                       Shape* shape) {
    for (const Expression& extent : extents) {
      Shape own;
      const std::vector<double>* value = Evaluate(extent, &own);
      if (value == nullptr) return false;
      const double number = value->front();
      if (!own.empty() || number != std::floor(number) || number < 1 ||
          number > static_cast<double>(limits::kMaxTensorElements)) {
        issues_.Add(extent.location,
                    Text("an extent is an integer from 1 to ", limits::kMaxTensorElements, ", got ",
                         own.empty() ? Text(number) : ShapeToString(own)));
        return false;
      }
      shape->push_back(static_cast<int64_t>(number));
    }
    if (const absl::Status status = CheckShapeLimits(*shape); !status.ok()) {
      issues_.Add(declaration.location, std::string(status.message()));
      return false;
    }
    return true;
  }

  // The place of a tensor of `shape` after the ones before; false past the limit.
  bool Place(const Shape& shape, int64_t limit, const char* what, const Declaration& declaration,
             int64_t* total, int64_t* offset) {
    *offset = *total;
    if (NumElements(shape) > limit - *total) {
      issues_.Add(declaration.location,
                  Text("the ", what, " have more than ", limit, " elements together"));
      return false;
    }
    *total += NumElements(shape);
    return true;
  }

  void DeclareParams() {
    model_.params.reserve(syntax_.params.size());  // tensors_ points into it
    for (const ParamSyntax& param : syntax_.params) {
      tensors_.params.push_back(nullptr);
      if (param.broken) continue;
      TensorInfo info;
      info.name = std::string(syntax_.names[param.name]);
      info.location = param.location;
      if (!EvaluateExtents(param.extents, param, &info.shape) ||
          !Place(info.shape, limits::kMaxParams, "params", param, &num_params_, &info.offset)) {
        continue;
      }
      EvaluateDefault(param, &info);
      EvaluateBounds(param, &info);
      model_.params.push_back(std::move(info));
      tensors_.params.back() = &model_.params.back();
    }
  }

  void EvaluateDefault(const ParamSyntax& param, TensorInfo* info) {
    const int64_t size = NumElements(info->shape);
    if (param.value.empty()) {
      info->defaults.assign(size, 0.0);
      return;
    }
    Shape shape;
    const std::vector<double>* value = Evaluate(param.value, &shape);
    if (value == nullptr) return;
    if (shape.empty()) {
      info->defaults.assign(size, value->front());
    } else if (shape == info->shape) {
      info->defaults = *value;
    } else {
      issues_.Add(param.value.location,
                  Text("the default of ", Quoted(param), " ", ShapeName(shape), ", but ",
                       Quoted(param), " ", ShapeName(info->shape)),
                  DeclarationHint("param", param, shape, info->shape));
      return;
    }
    for (double element : info->defaults) {
      if (std::isfinite(element)) continue;
      issues_.Add(param.value.location,
                  Text("the default of ", Quoted(param), " is not finite: ", element));
      return;
    }
  }

  std::string DeclarationHint(std::string_view word, const Declaration& declaration,
                              const Shape& given, const Shape& declared) const {
    if (!declared.empty()) return "give that shape, or a scalar for every element";
    return Text("declare it as: ", word, " ", syntax_.names[declaration.name],
                ShapeToString(given));
  }

  double EvaluateBound(const Expression& bound, double unset) {
    if (bound.empty()) return unset;
    Shape shape;
    const std::vector<double>* value = Evaluate(bound, &shape);
    if (value == nullptr) return unset;
    if (!shape.empty() || std::isnan(value->front())) {
      issues_.Add(bound.location, Text("a bound is one number, got ",
                                       shape.empty() ? "nan" : ShapeToString(shape)));
      return unset;
    }
    return value->front();
  }

  void EvaluateBounds(const ParamSyntax& param, TensorInfo* info) {
    info->lower = EvaluateBound(param.lower, -kInfinity);
    info->upper = EvaluateBound(param.upper, kInfinity);
    if (info->lower > info->upper) {
      issues_.Add(
          param.lower.location,
          Text("the bounds of ", Quoted(param), " are crossed: ", info->lower, " > ", info->upper),
          "write: in [lower, upper]");
      return;
    }
    for (double element : info->defaults) {
      if (element >= info->lower && element <= info->upper) continue;
      const bool given = !param.value.empty();
      issues_.Add(given ? param.value.location : param.location,
                  Text("the default ", element, " of ", Quoted(param), " is outside its bounds [",
                       info->lower, ", ", info->upper, "]"),
                  given ? "" : "without a default the value is 0");
      return;
    }
  }

  void DeclareStates() {
    model_.states.reserve(syntax_.states.size());
    for (const StateSyntax& state : syntax_.states) {
      tensors_.states.push_back(nullptr);
      if (state.broken && state.value.empty() && state.extents.empty()) continue;
      TensorInfo info;
      info.name = std::string(syntax_.names[state.name]);
      info.location = state.location;
      if (state.broken || !EvaluateExtents(state.extents, state, &info.shape) ||
          !Place(info.shape, limits::kMaxStates, "states", state, &num_states_, &info.offset)) {
        continue;
      }
      model_.states.push_back(std::move(info));
      tensors_.states.back() = &model_.states.back();
    }
  }

  // `value` as a result of shape `shape`; kNoValue after an issue.
  ValueId Fit(ExpressionLowering* lowering, ValueId value, const Expression& expression,
              const Shape& shape, const std::string& what, const std::string& owner,
              const std::string& hint) {
    if (value == kNoValue) return kNoValue;
    if (lowering->tensors().IsBool(value)) {
      issues_.Add(expression.location, Text(what, " is a condition, expected a number"),
                  "a condition becomes a number by: if condition then 1 else 0");
      return kNoValue;
    }
    const Shape own = lowering->builder().shape(value);
    if (own == shape) return value;
    if (own.empty()) return lowering->builder().BroadcastTo(value, shape);
    issues_.Add(expression.location,
                Text(what, " ", ShapeName(own), ", but ", owner, " ", ShapeName(shape)), hint);
    return kNoValue;
  }

  void LowerInit() {
    std::vector<Expression> roots;
    for (const StateSyntax& state : syntax_.states) roots.push_back(state.value);
    ExpressionLowering lowering(
        &syntax_, &tensors_, kInitInputs,
        FunctionBuilder("init", {{"t", 1}, {"p", num_params_}}, {{"y", num_states_}}), &issues_);
    lowering.LowerLetsNeededBy(roots);
    for (size_t i = 0; i < syntax_.states.size(); ++i) {
      const StateSyntax& state = syntax_.states[i];
      if (state.broken || tensors_.states[i] == nullptr) continue;
      const Shape& shape = tensors_.states[i]->shape;
      const ValueId value = lowering.Lower(state.value);
      const std::string hint =
          value == kNoValue
              ? ""
              : DeclarationHint("state", state, lowering.builder().shape(value), shape);
      const ValueId fitted = Fit(&lowering, value, state.value, shape,
                                 Text("the initial value of ", Quoted(state)), Quoted(state), hint);
      if (fitted != kNoValue) lowering.builder().Result(fitted, 0, tensors_.states[i]->offset);
    }
    model_.init = std::move(lowering.builder()).Build();
  }

  FunctionBuilder MakeBuilder(const char* name, const char* output, int64_t size) const {
    return FunctionBuilder(name, {{"t", 1}, {"y", num_states_}, {"p", num_params_}},
                           {{output, size}});
  }

  void LowerRhs() {
    std::vector<Expression> roots;
    for (const StateSyntax& state : syntax_.states) {
      if (state.equation >= 0) roots.push_back(syntax_.equations[state.equation].value);
    }
    ExpressionLowering lowering(&syntax_, &tensors_, kRhsInputs,
                                MakeBuilder("rhs", "dy", num_states_), &issues_);
    lowering.LowerLetsNeededBy(roots);
    for (size_t i = 0; i < syntax_.states.size(); ++i) {
      const StateSyntax& state = syntax_.states[i];
      if (state.equation < 0) continue;
      const EquationSyntax& equation = syntax_.equations[state.equation];
      if (equation.broken) continue;
      const ValueId value = lowering.Lower(equation.value);
      if (tensors_.states[i] == nullptr) continue;
      const ValueId fitted = Fit(&lowering, value, equation.value, tensors_.states[i]->shape,
                                 Text("the right-hand side of ", syntax_.names[state.name], "'"),
                                 Text("state ", Quoted(state)), "");
      if (fitted != kNoValue) lowering.builder().Result(fitted, 0, tensors_.states[i]->offset);
    }
    // Lets no equation needs are lowered last, for the issues they may have.
    std::vector<Expression> lets;
    for (const LetSyntax& let : syntax_.lets) lets.push_back(let.value);
    lowering.LowerLetsNeededBy(lets);
    lowering.LowerRemainingLets();
    model_.rhs = std::move(lowering.builder()).Build();
  }

  void LowerOutputs() {
    std::vector<Expression> roots;
    for (const OutputSyntax& output : syntax_.outputs) roots.push_back(output.value);
    ExpressionLowering lowering(&syntax_, &tensors_, kRhsInputs, MakeBuilder("outputs", "out", 0),
                                &issues_);
    lowering.LowerLetsNeededBy(roots);
    int64_t size = 0;
    for (const OutputSyntax& output : syntax_.outputs) {
      if (output.broken) continue;
      const ValueId value = lowering.Lower(output.value);
      if (value == kNoValue) continue;
      TensorInfo info;
      info.name = std::string(syntax_.names[output.name]);
      info.location = output.location;
      info.shape = lowering.builder().shape(value);
      const ValueId fitted =
          Fit(&lowering, value, output.value, info.shape, Text("output ", Quoted(output)), "", "");
      if (fitted == kNoValue ||
          !Place(info.shape, limits::kMaxTensorElements, "outputs", output, &size, &info.offset)) {
        continue;
      }
      lowering.builder().Result(fitted, 0, info.offset);
      model_.outputs.push_back(std::move(info));
    }
    model_.output_map = std::move(lowering.builder()).Build();
    model_.output_map.outputs[0].size = size;
  }

  const Syntax& syntax_;
  IssueList& issues_;
  ModelIr model_;
  TensorTable tensors_;
  ExpressionLowering constants_;
  ConstantEvaluator evaluator_;
  int64_t num_params_ = 0;
  int64_t num_states_ = 0;
};

}  // namespace

ModelIr LowerModel(const Syntax& syntax, IssueList* issues) {
  return ModelLowering(syntax, issues).Run();
}

}  // namespace costate
