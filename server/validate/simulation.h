// Judges the parts every request that integrates has in common.
#ifndef COSTATE_SERVER_VALIDATE_SIMULATION_H_
#define COSTATE_SERVER_VALIDATE_SIMULATION_H_

#include <string>

#include "absl/status/status.h"
#include "costate/v1/solve.pb.h"

namespace costate {

// INVALID_ARGUMENT, naming the field, for anything missing, out of range or too large. What
// depends on the model (names, shapes, save times within the span) is the engine's to judge.
absl::Status ValidateSimulation(const std::string& field, const v1::Simulation& simulation);
absl::Status ValidateSolveOptions(const std::string& field, const v1::SolveOptions& options);

// Names and finite values.
absl::Status ValidateNamedArrays(const std::string& field,
                                 const google::protobuf::RepeatedPtrField<v1::NamedArray>& arrays);

absl::Status ValidatePositiveDuration(const std::string& field,
                                      const google::protobuf::Duration& duration);

absl::Status ValidateSolveRequest(const v1::SolveRequest& request);
absl::Status ValidateStreamSolveRequest(const v1::StreamSolveRequest& request);

}  // namespace costate

#endif  // COSTATE_SERVER_VALIDATE_SIMULATION_H_
