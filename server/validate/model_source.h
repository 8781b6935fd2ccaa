// Judges models as they came: presence and sizes. What they say is judged by the parser and the
// verifier.
#ifndef COSTATE_SERVER_VALIDATE_MODEL_SOURCE_H_
#define COSTATE_SERVER_VALIDATE_MODEL_SOURCE_H_

#include <string>

#include "absl/status/status.h"
#include "costate/v1/model.pb.h"

namespace costate {

// INVALID_ARGUMENT unless exactly one source is set, a name has the form of a resource name, and
// text and graph are within the limits.
absl::Status ValidateModelSource(const std::string& field, const v1::ModelSource& source);

// INVALID_ARGUMENT unless `name` is "models/" and 32 hex digits.
absl::Status ValidateModelName(const std::string& field, const std::string& name);

absl::Status ValidateCreateModelRequest(const v1::CreateModelRequest& request);
absl::Status ValidateListModelsRequest(const v1::ListModelsRequest& request);

}  // namespace costate

#endif  // COSTATE_SERVER_VALIDATE_MODEL_SOURCE_H_
