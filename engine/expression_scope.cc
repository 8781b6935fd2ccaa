#include "engine/expression_scope.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/model/expression_lowering.h"
#include "engine/model/expression_parser.h"
#include "engine/model/issue.h"
#include "engine/model/issue_list.h"
#include "engine/model/model.h"
#include "engine/model/resolver.h"
#include "engine/model/scanner.h"
#include "engine/model/syntax.h"
#include "engine/model/tensor_builder.h"
#include "engine/model/text.h"
#include "engine/model/token_stream.h"

namespace costate {
namespace {

constexpr char kFileName[] = "expression";
constexpr char kKnownNames[] =
    "names here are those of states, outputs, parameters and data, and t; "
    "make a let of the model known by an output";

class Compilation {
 public:
  Compilation(std::string_view text, const ExpressionScope& scope) : text_(text), scope_(scope) {}

  // No value if there are issues.
  absl::StatusOr<ScalarExpression> Run(int64_t num_own_params) {
    Parse();
    if (!issues_.empty()) return ScalarExpression{};
    Declare();
    ResolveNames(&syntax_, &issues_);
    if (!issues_.empty()) return ScalarExpression{};
    FindUses(num_own_params);
    RETURN_IF_ERROR(PlaceTensors());
    Lower();
    return std::move(result_);
  }

  std::vector<Issue> TakeIssues() {
    std::vector<Issue> issues = issues_.Take();
    for (Issue& issue : issues) {
      if (absl::StartsWith(issue.hint, "declare it")) issue.hint = kKnownNames;
      if (absl::StrContains(issue.hint, "'let'")) issue.hint.clear();
    }
    return issues;
  }

 private:
  void Parse() {
    TokenStream tokens(text_, SplitStatements(ScanModel(text_, &issues_)));
    ExpressionParser parser(&tokens, &syntax_, &issues_);
    while (tokens.At(TokenKind::kNewline)) tokens.Next();
    if (tokens.At(TokenKind::kEnd)) {
      if (issues_.empty()) issues_.Add({1, 1, 1}, "the expression is empty");
      return;
    }
    expression_ = parser.Parse();
    while (tokens.At(TokenKind::kNewline)) tokens.Next();
    if (tokens.At(TokenKind::kSemicolon)) {
      parser.Fail(tokens.Peek(), "more than one expression",
                  "sum the parts, or make terms of them");
    } else if (!tokens.At(TokenKind::kEnd)) {
      parser.FailAtRest();
    }
  }

  // Every name of the scope as a parameter without a value, the expression as an output: what the
  // resolver needs to know of them. 't' it knows.
  void Declare() {
    absl::flat_hash_map<std::string_view, NameId> ids;
    for (size_t i = 0; i < syntax_.names.size(); ++i) {
      ids.emplace(syntax_.names[i], static_cast<NameId>(i));
    }
    const auto intern = [&](std::string_view name) {
      const auto [entry, inserted] = ids.emplace(name, static_cast<NameId>(syntax_.names.size()));
      if (inserted) syntax_.names.push_back(name);
      return entry->second;
    };
    for (size_t i = 0; i < scope_.names.size(); ++i) {
      if (static_cast<int>(i) == scope_.time) continue;
      ParamSyntax param;
      param.name = intern(scope_.names[i].name);
      syntax_.params.push_back(std::move(param));
      declared_.push_back(static_cast<int>(i));
    }
    OutputSyntax output;
    output.name = intern("(expression)");
    output.value = expression_;
    syntax_.outputs.push_back(std::move(output));
    syntax_.lost_declarations = true;  // there are no states, and that is fine
  }

  // Points the names that are used at their tensors.
  void FindUses(int64_t num_own_params) {
    std::vector<int> uses(scope_.names.size(), 0);
    for (Node& node : syntax_.nodes) {
      int name = -1;
      if (node.ref == RefKind::kTime) name = scope_.time;
      if (node.ref == RefKind::kParam) name = declared_[node.target];
      if (name < 0) continue;
      const ScopeName& meant = scope_.names[name];
      if (uses[name]++ == 0 && !meant.ambiguous.empty()) {
        issues_.Add(node.location, meant.ambiguous, "rename one of them in the model");
      }
      node.ref = meant.in_params ? RefKind::kParam : RefKind::kState;
      node.target = name;
      if (meant.in_params && meant.offset < num_own_params) result_.uses_params = true;
    }
    for (size_t i = 0; i < uses.size(); ++i) {
      if (uses[i] > 0) used_.push_back(static_cast<int>(i));
    }
  }

  // Tables by index in the scope; unused names have no entry.
  absl::Status PlaceTensors() {
    infos_.reserve(used_.size());  // the table points into it
    table_.params.assign(scope_.names.size(), nullptr);
    table_.states.assign(scope_.names.size(), nullptr);
    num_values_ = scope_.packed ? 0 : scope_.num_values;
    for (int index : used_) {
      const ScopeName& name = scope_.names[index];
      if (absl::Status status = CheckShapeLimits(name.shape); !status.ok()) {
        return absl::ResourceExhaustedError(absl::StrCat(
            "'", name.name, name.in_params ? "': " : "' at all times: ", status.message()));
      }
      TensorInfo info;
      info.name = name.name;
      info.shape = name.shape;
      info.offset = name.offset;
      if (scope_.packed && !name.in_params) {
        info.offset = num_values_;
        num_values_ += NumElements(name.shape);
        result_.packed_names.push_back(index);
      }
      infos_.push_back(std::move(info));
      (name.in_params ? table_.params : table_.states)[index] = &infos_.back();
    }
    if (num_values_ <= limits::kMaxTensorElements) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat("the values it reads are ", num_values_,
                                                     ", more than ", limits::kMaxTensorElements));
  }

  void Lower() {
    const InputBuffers inputs = {.time = kTimeBuffer, .state = kStateBuffer, .param = kParamBuffer};
    ExpressionLowering lowering(
        &syntax_, &table_, inputs,
        FunctionBuilder("expression", {{"t", 1}, {"y", num_values_}, {"p", scope_.num_params}},
                        {{"value", 1}}),
        &issues_);
    const ValueId value = lowering.Lower(expression_);
    if (value == kNoValue) return;
    const SourceLocation& place = syntax_.nodes[expression_.root].location;
    if (lowering.tensors().IsBool(value)) {
      issues_.Add(place, "expected a number, got a condition",
                  "a condition becomes a number by: if condition then 1 else 0");
      return;
    }
    const Shape shape = lowering.builder().shape(value);
    if (!shape.empty()) {
      issues_.Add(place,
                  Text("the value has shape ", ShapeToString(shape), ", expected one number"),
                  "sum(...) makes one of it, an index takes one out");
      return;
    }
    lowering.builder().Result(value, 0, 0);
    result_.function = std::move(lowering.builder()).Build();
  }

  const std::string_view text_;
  const ExpressionScope& scope_;
  IssueList issues_;
  Syntax syntax_;
  Expression expression_;
  std::vector<int> declared_;  // per ParamSyntax, its name in the scope
  std::vector<int> used_;
  std::vector<TensorInfo> infos_;
  TensorTable table_;
  int64_t num_values_ = 0;
  ScalarExpression result_;
};

}  // namespace

absl::StatusOr<ScalarExpression> CompileScalarExpression(std::string_view text,
                                                         const ExpressionScope& scope,
                                                         std::string_view field,
                                                         int64_t num_own_params) {
  if (static_cast<int64_t>(text.size()) > limits::kMaxModelTextBytes) {
    return FieldError(field, absl::StrCat(text.size(), " bytes"),
                      absl::StrCat("at most ", limits::kMaxModelTextBytes));
  }
  Compilation compilation(text, scope);
  absl::StatusOr<ScalarExpression> expression = compilation.Run(num_own_params);
  if (!expression.ok()) {
    return FieldStatus(expression.status().code(), field,
                       std::string(expression.status().message()));
  }
  const std::vector<Issue> issues = compilation.TakeIssues();
  if (!issues.empty()) {
    std::string formatted = FormatIssues(kFileName, text, issues);
    while (!formatted.empty() && formatted.back() == '\n') formatted.pop_back();
    return FieldStatus(absl::StatusCode::kInvalidArgument, field, formatted);
  }
  if (absl::Status status = VerifyFunction(expression->function); !status.ok()) {
    return FieldStatus(status.code(), field, std::string(status.message()));
  }
  return expression;
}

}  // namespace costate
