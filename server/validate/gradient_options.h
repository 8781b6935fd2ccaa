// Judges how derivatives are asked for.
#ifndef COSTATE_SERVER_VALIDATE_GRADIENT_OPTIONS_H_
#define COSTATE_SERVER_VALIDATE_GRADIENT_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "costate/v1/gradient.pb.h"

namespace costate {

// INVALID_ARGUMENT for what is out of range and for values of enums this server does not know;
// UNIMPLEMENTED for a method that is not built. Field paths start with "gradient.". Which choices
// fit the method in force is the engine's to judge, but for those it cannot see: a tangent control
// or memory budget that was asked for.
absl::Status ValidateGradientOptions(const v1::GradientOptions& options);

absl::Status ValidateTangentControl(const std::string& field, v1::TangentControl control);

// The methods that a check compares: those asked for, or the default.
std::vector<v1::GradientMethod> MethodsToCheck(const v1::CheckGradientRequest& request);

// Of CheckGradient, whose methods each take what they have a use for.
absl::Status ValidateCheckedMethods(const std::vector<v1::GradientMethod>& methods,
                                    const v1::GradientOptions& options);

}  // namespace costate

#endif  // COSTATE_SERVER_VALIDATE_GRADIENT_OPTIONS_H_
