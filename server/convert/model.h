// Models and their issues to the wire.
#ifndef COSTATE_SERVER_CONVERT_MODEL_H_
#define COSTATE_SERVER_CONVERT_MODEL_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "costate/v1/model.pb.h"
#include "engine/engine.h"
#include "engine/model/issue.h"

namespace costate {

// Without create_time, which the registry knows.
void ModelToProto(const Model& model, bool want_canonical_text, v1::Model* proto);

// All issues, and their formatted text with source lines and carets.
void IssuesToProto(std::string_view text, const std::vector<Issue>& issues, v1::ModelIssues* proto);

// INVALID_ARGUMENT whose message shows the first issue, with a ModelIssues detail of as many as a
// status can carry; `field` is where the model stood in the request. CreateModel with
// validate_only returns them all.
absl::Status ModelIssuesStatus(const std::string& field, std::string_view text,
                               const std::vector<Issue>& issues);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_MODEL_H_
