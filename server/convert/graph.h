// Models given as instructions.
#ifndef COSTATE_SERVER_CONVERT_GRAPH_H_
#define COSTATE_SERVER_CONVERT_GRAPH_H_

#include <string>

#include "absl/status/statusor.h"
#include "costate/v1/model.pb.h"
#include "engine/model/ir.h"

namespace costate {

// Names, shapes and instructions as IR, shapes inferred. INVALID_ARGUMENT naming the part of
// `field` at fault: unknown ops, operands that are not earlier instructions, shapes that do not
// follow. What remains is checked by Engine::Compile.
absl::StatusOr<ModelIr> GraphFromProto(const std::string& field, const v1::Graph& graph);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_GRAPH_H_
