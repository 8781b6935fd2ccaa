// From model text or graph to verified IR, and back.
//
//   ParsedModel parsed = ParseModel(text);
//   if (!parsed.ok()) std::cerr << FormatIssues("sir.ode", text, parsed.issues);
#ifndef COSTATE_ENGINE_MODEL_MODEL_H_
#define COSTATE_ENGINE_MODEL_MODEL_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/model/ir.h"
#include "engine/model/issue.h"

namespace costate {

// `ir` is meaningful only when there are no issues.
struct ParsedModel {
  ModelIr ir;
  std::vector<Issue> issues;
  bool ok() const { return issues.empty(); }
};

// Parses and verifies (parsing always verifies). Bounded in time and memory for any input; see
// grammar.md for the language and base/limits.h for the limits.
ParsedModel ParseModel(std::string_view text);

// Checks every invariant of ir.h. INVALID_ARGUMENT names the function and the instruction.
absl::Status VerifyFunction(const Function& function);
absl::Status VerifyModel(const ModelIr& model);

// Computes dtype and shape of `instruction` from its operands (in `function`), op and
// attributes. For kConstant, kInput, kReshape, kBroadcastTo, kSumTo and kPad the given shape is
// checked, not computed.
absl::Status InferShape(const Function& function, Instruction* instruction);

// Text form of a function and of a whole model, stable, with values in shortest exact decimal.
// Two models with the same canonical text are the same model.
std::string PrintFunction(const Function& function);
std::string CanonicalText(const ModelIr& model);

// "models/" + the first 32 hex digits of SHA-256 of the canonical text.
std::string ModelResourceName(const ModelIr& model);

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_MODEL_H_
