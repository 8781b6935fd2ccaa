// Losses from the wire.
#ifndef COSTATE_SERVER_CONVERT_LOSS_H_
#define COSTATE_SERVER_CONVERT_LOSS_H_

#include <string>

#include "absl/status/statusor.h"
#include "costate/v1/gradient.pb.h"
#include "engine/engine.h"

namespace costate {

// INVALID_ARGUMENT naming a part of `field` when a channel is no element of the model, or when
// weights do not have the shape [times, elements]. Texts are the engine's to judge.
absl::StatusOr<Loss> LossFromProto(const std::string& field, const v1::Loss& proto,
                                   const ModelIr& ir);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_LOSS_H_
