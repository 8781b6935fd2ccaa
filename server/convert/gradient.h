// Losses from the wire, gradients and products to it.
#ifndef COSTATE_SERVER_CONVERT_GRADIENT_H_
#define COSTATE_SERVER_CONVERT_GRADIENT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "costate/v1/gradient.pb.h"
#include "engine/engine.h"
#include "server/convert/solve.h"

namespace costate {

// INVALID_ARGUMENT naming a part of `field` when a channel is no element of the model, or when
// weights do not have the shape [times, elements].
absl::StatusOr<Loss> LossFromProto(const std::string& field, const v1::Loss& proto,
                                   const ModelIr& ir);

std::vector<std::string> NamesFromProto(
    const google::protobuf::RepeatedPtrField<std::string>& names);

// Everything but resource name and timing.
void GradientResultToProto(const GradientResult& result, const ModelInWords& words, bool want_saved,
                           v1::ComputeGradientResponse* proto);
void VjpResultToProto(const VjpResult& result, const ModelInWords& words,
                      v1::ComputeVjpResponse* proto);
void JvpResultToProto(const JvpResult& result, const ModelInWords& words,
                      v1::ComputeJvpResponse* proto);
void SensitivityResultToProto(const SensitivityResult& result, const ModelInWords& words,
                              v1::ComputeSensitivitiesResponse* proto);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_GRADIENT_H_
