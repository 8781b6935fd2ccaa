#include "server/validate/loss.h"

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "server/limits.h"
#include "server/validate/array.h"

namespace costate {
namespace {

absl::Status Missing(const std::string& field) {
  return FieldStatus(absl::StatusCode::kInvalidArgument, field, "missing");
}

absl::Status ValidateLeastSquares(const std::string& field, const v1::LeastSquares& term) {
  switch (term.channel_case()) {
    case v1::LeastSquares::CHANNEL_NOT_SET:
      return FieldStatus(absl::StatusCode::kInvalidArgument, field + ".channel",
                         "missing; set output or state");
    case v1::LeastSquares::kOutput:
      if (term.output().empty()) return Missing(field + ".output");
      break;
    case v1::LeastSquares::kState:
      if (term.state().empty()) return Missing(field + ".state");
      break;
  }
  if (NumElements(term.times()) == 0) return Missing(field + ".times");
  RETURN_IF_ERROR(ValidateVector(field + ".times", term.times(), Elements::kFinite));
  RETURN_IF_ERROR(ValidateVector(field + ".values", term.values(), Elements::kFiniteOrNan));
  if (NumElements(term.values()) != NumElements(term.times())) {
    return FieldError(field + ".values", absl::StrCat(NumElements(term.values()), " elements"),
                      absl::StrCat(NumElements(term.times()), ", one per time"));
  }
  return ValidateVector(field + ".sigma", term.sigma(), Elements::kFinite);
}

absl::Status ValidateLinear(const std::string& field, const v1::Linear& term) {
  if (NumElements(term.times()) == 0) return Missing(field + ".times");
  RETURN_IF_ERROR(ValidateVector(field + ".times", term.times(), Elements::kFinite));
  RETURN_IF_ERROR(ValidateArray(field + ".state_weights", term.state_weights(), Elements::kFinite));
  return ValidateArray(field + ".output_weights", term.output_weights(), Elements::kFinite);
}

absl::Status ValidateTerminal(const std::string& field, const v1::Terminal& term) {
  RETURN_IF_ERROR(
      ValidateVector(field + ".state_weights", term.state_weights(), Elements::kFinite));
  return ValidateVector(field + ".output_weights", term.output_weights(), Elements::kFinite);
}

absl::Status ValidateText(const std::string& field, const std::string& text) {
  if (text.empty()) return Missing(field);
  const int64_t length = static_cast<int64_t>(text.size());
  if (length <= limits::kMaxModelTextBytes) return absl::OkStatus();
  return FieldError(field, absl::StrCat(length, " bytes"),
                    absl::StrCat("at most ", limits::kMaxModelTextBytes));
}

absl::Status ValidateExpression(const std::string& field, const v1::Expression& term) {
  RETURN_IF_ERROR(ValidateText(field + ".text", term.text()));
  if (NumElements(term.times()) == 0) return Missing(field + ".times");
  RETURN_IF_ERROR(ValidateVector(field + ".times", term.times(), Elements::kFinite));
  RETURN_IF_ERROR(ValidateCount(field + ".data", term.data_size(), limits::kMaxNamedArrays));
  for (int i = 0; i < term.data_size(); ++i) {
    const std::string entry = absl::StrCat(field, ".data[", i, "]");
    RETURN_IF_ERROR(ValidateName(entry + ".name", term.data(i).name()));
    if (NumElements(term.data(i).array()) == 0) return Missing(entry + ".array");
    RETURN_IF_ERROR(ValidateArray(entry + ".array", term.data(i).array(), Elements::kFiniteOrNan));
  }
  return absl::OkStatus();
}

absl::Status ValidateTerm(const std::string& field, const v1::LossTerm& term) {
  switch (term.term_case()) {
    case v1::LossTerm::TERM_NOT_SET:
      return FieldStatus(absl::StatusCode::kInvalidArgument, field,
                         "missing; set least_squares, linear, terminal, integral or expression");
    case v1::LossTerm::kLeastSquares:
      return ValidateLeastSquares(field + ".least_squares", term.least_squares());
    case v1::LossTerm::kLinear:
      return ValidateLinear(field + ".linear", term.linear());
    case v1::LossTerm::kTerminal:
      return ValidateTerminal(field + ".terminal", term.terminal());
    case v1::LossTerm::kIntegral:
      return ValidateText(field + ".integral.integrand", term.integral().integrand());
    case v1::LossTerm::kExpression:
      return ValidateExpression(field + ".expression", term.expression());
  }
  return absl::InternalError("unknown loss term");
}

}  // namespace

absl::Status ValidateName(const std::string& field, const std::string& name) {
  const int64_t length = static_cast<int64_t>(name.size());
  if (length >= 1 && length <= limits::kMaxIdentifierBytes) return absl::OkStatus();
  return FieldError(field, absl::StrCat(length, " bytes"),
                    absl::StrCat("a name of 1 to ", limits::kMaxIdentifierBytes, " bytes"));
}

absl::Status ValidateLoss(const std::string& field, const v1::Loss& loss) {
  if (loss.terms().empty()) return Missing(field + ".terms");
  RETURN_IF_ERROR(ValidateCount(field + ".terms", loss.terms_size(), limits::kMaxLossTerms));
  for (int i = 0; i < loss.terms_size(); ++i) {
    RETURN_IF_ERROR(ValidateTerm(absl::StrCat(field, ".terms[", i, "]"), loss.terms(i)));
  }
  return absl::OkStatus();
}

}  // namespace costate
