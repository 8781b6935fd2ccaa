#include "server/validate/model_source.h"

#include <algorithm>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "server/limits.h"
#include "server/validate/array.h"

namespace costate {
namespace {

constexpr std::string_view kModelPrefix = "models/";
constexpr size_t kModelDigits = 32;

// Long names are cut in messages.
std::string Quoted(const std::string& text) {
  constexpr size_t kShown = 64;
  return absl::StrCat("\"", text.substr(0, kShown), text.size() > kShown ? "...\"" : "\"");
}

absl::Status ValidateGraphFunction(const std::string& field, const v1::GraphFunction& function) {
  RETURN_IF_ERROR(ValidateCount(field + ".instructions", function.instructions_size(),
                                limits::kMaxInstructions));
  RETURN_IF_ERROR(
      ValidateCount(field + ".results", function.results_size(), limits::kMaxInstructions));
  RETURN_IF_ERROR(
      ValidateCount(field + ".constants", function.constants_size(), limits::kMaxInstructions));
  for (int i = 0; i < function.constants_size(); ++i) {
    RETURN_IF_ERROR(ValidateArray(absl::StrCat(field, ".constants[", i, "]"), function.constants(i),
                                  Elements::kFinite));
  }
  for (int i = 0; i < function.instructions_size(); ++i) {
    const v1::Instruction& instruction = function.instructions(i);
    const int longest = std::max(
        {instruction.shape_size(), instruction.operands_size(), instruction.attributes_size()});
    if (longest <= limits::kMaxArrayRank) continue;
    RETURN_IF_ERROR(ValidateCount(absl::StrCat(field, ".instructions[", i, "]"), longest,
                                  limits::kMaxOperands));
  }
  return absl::OkStatus();
}

template <typename Declarations>
absl::Status ValidateDeclarations(const std::string& field, const Declarations& declarations) {
  RETURN_IF_ERROR(ValidateCount(field, declarations.size(), limits::kMaxNamedArrays));
  for (int i = 0; i < declarations.size(); ++i) {
    const std::string path = absl::StrCat(field, "[", i, "]");
    const std::string& name = declarations[i].name();
    if (name.empty() || static_cast<int64_t>(name.size()) > limits::kMaxIdentifierBytes) {
      return FieldError(path + ".name", Quoted(name),
                        absl::StrCat("1 to ", limits::kMaxIdentifierBytes, " bytes"));
    }
    RETURN_IF_ERROR(
        ValidateCount(path + ".shape", declarations[i].shape_size(), limits::kMaxTensorRank));
  }
  return absl::OkStatus();
}

absl::Status ValidateGraph(const std::string& field, const v1::Graph& graph) {
  RETURN_IF_ERROR(ValidateDeclarations(field + ".params", graph.params()));
  RETURN_IF_ERROR(ValidateDeclarations(field + ".states", graph.states()));
  RETURN_IF_ERROR(ValidateDeclarations(field + ".outputs", graph.outputs()));
  for (int i = 0; i < graph.params_size(); ++i) {
    RETURN_IF_ERROR(ValidateArray(absl::StrCat(field, ".params[", i, "].default_value"),
                                  graph.params(i).default_value(), Elements::kFinite));
  }
  RETURN_IF_ERROR(ValidateGraphFunction(field + ".init", graph.init()));
  RETURN_IF_ERROR(ValidateGraphFunction(field + ".rhs", graph.rhs()));
  return ValidateGraphFunction(field + ".output_map", graph.output_map());
}

}  // namespace

absl::Status ValidateModelName(const std::string& field, const std::string& name) {
  const bool right = name.size() == kModelPrefix.size() + kModelDigits &&
                     name.compare(0, kModelPrefix.size(), kModelPrefix) == 0 &&
                     std::all_of(name.begin() + kModelPrefix.size(), name.end(), [](char c) {
                       return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
                     });
  if (right) return absl::OkStatus();
  return FieldError(field, Quoted(name), "\"models/\" and 32 lower-case hex digits");
}

absl::Status ValidateModelSource(const std::string& field, const v1::ModelSource& source) {
  switch (source.source_case()) {
    case v1::ModelSource::SOURCE_NOT_SET:
      return FieldStatus(absl::StatusCode::kInvalidArgument, field,
                         "missing; set name, text or graph");
    case v1::ModelSource::kName:
      return ValidateModelName(field + ".name", source.name());
    case v1::ModelSource::kText:
      if (static_cast<int64_t>(source.text().size()) > limits::kMaxModelTextBytes) {
        return FieldError(field + ".text", absl::StrCat(source.text().size(), " bytes"),
                          absl::StrCat("at most ", limits::kMaxModelTextBytes));
      }
      return absl::OkStatus();
    case v1::ModelSource::kGraph:
      return ValidateGraph(field + ".graph", source.graph());
  }
  return absl::InternalError("unknown model source");
}

absl::Status ValidateCreateModelRequest(const v1::CreateModelRequest& request) {
  if (request.source().has_name()) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, "source.name",
                       "a name cannot create a model; send text or graph");
  }
  return ValidateModelSource("source", request.source());
}

absl::Status ValidateListModelsRequest(const v1::ListModelsRequest& request) {
  if (request.page_size() < 0 || request.page_size() > limits::kMaxPageSize) {
    return FieldError("page_size", absl::StrCat(request.page_size()),
                      absl::StrCat("1 to ", limits::kMaxPageSize));
  }
  if (request.page_token().empty()) return absl::OkStatus();
  return ValidateModelName("page_token", request.page_token());
}

}  // namespace costate
