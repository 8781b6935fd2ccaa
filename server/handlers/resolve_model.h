// From a model as it stands in a request to one that can run.
#ifndef COSTATE_SERVER_HANDLERS_RESOLVE_MODEL_H_
#define COSTATE_SERVER_HANDLERS_RESOLVE_MODEL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "costate/v1/model.pb.h"
#include "engine/model/issue.h"
#include "server/call.h"
#include "server/model_registry.h"

namespace costate {

// A model, or what is wrong with it.
struct ModelOrIssues {
  ModelEntryPtr entry;  // null if there are issues
  std::vector<Issue> issues;
};

// Text or graph; not registered. A status only when it could not be judged.
absl::StatusOr<ModelOrIssues> CompileModel(CallContext& call, const std::string& field,
                                           const v1::ModelSource& source);

// Puts the text or graph of a registered model in place of its name, so that the source means the
// same when the server has forgotten the name. NOT_FOUND for a name that is not registered.
absl::Status InlineModel(Environment& environment, const std::string& field,
                         v1::ModelSource* source);

// A model ready to run, and what its first run costs beyond later ones.
struct ResolvedModel {
  ModelEntryPtr entry;
  double compile_cost = 0;  // element operations
};

// By name, or inline; inline texts are remembered. Notes the model and the time it took in the
// call's record. NOT_FOUND for a name that is not registered; INVALID_ARGUMENT with a ModelIssues
// detail for a wrong model.
absl::StatusOr<ResolvedModel> ResolveModel(CallContext& call, const std::string& field,
                                           const v1::ModelSource& source);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_RESOLVE_MODEL_H_
