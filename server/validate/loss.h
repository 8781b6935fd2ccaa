// Judges losses.
#ifndef COSTATE_SERVER_VALIDATE_LOSS_H_
#define COSTATE_SERVER_VALIDATE_LOSS_H_

#include <string>

#include "absl/status/status.h"
#include "costate/v1/gradient.pb.h"

namespace costate {

// INVALID_ARGUMENT for anything missing, not finite or too large. What the texts of integrals and
// expressions say is the engine's to judge.
absl::Status ValidateLoss(const std::string& field, const v1::Loss& loss);

// INVALID_ARGUMENT unless it has 1 to limits::kMaxIdentifierBytes bytes.
absl::Status ValidateName(const std::string& field, const std::string& name);

}  // namespace costate

#endif  // COSTATE_SERVER_VALIDATE_LOSS_H_
