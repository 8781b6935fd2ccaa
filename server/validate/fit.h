// Judges fits and profiles as they came.
#ifndef COSTATE_SERVER_VALIDATE_FIT_H_
#define COSTATE_SERVER_VALIDATE_FIT_H_

#include <string>

#include "absl/status/status.h"
#include "costate/v1/fit.pb.h"

namespace costate {

// INVALID_ARGUMENT, naming a part of `field`, for anything missing, out of range or too large. What
// depends on the model (names, shapes, spans, bounds taken from it) is the fit's to judge, as are
// settings of optimisers.
absl::Status ValidateFitRequest(const std::string& field, const v1::FitRequest& request);

// Likewise; the starts of the fit are not looked at.
absl::Status ValidateProfileRequest(const std::string& field, const v1::ProfileRequest& request);

}  // namespace costate

#endif  // COSTATE_SERVER_VALIDATE_FIT_H_
