// Names of tensors and of their elements.
#ifndef COSTATE_SERVER_CONVERT_LAYOUT_H_
#define COSTATE_SERVER_CONVERT_LAYOUT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "costate/v1/array.pb.h"
#include "engine/engine.h"
#include "engine/model/ir.h"
#include "engine/tensor_index.h"

namespace costate {

using LayoutList = google::protobuf::RepeatedPtrField<v1::TensorLayout>;

void LayoutToProto(const std::vector<TensorInfo>& tensors, LayoutList* layout);
// Offsets in the vector of all columns.
void WrtLayoutToProto(const std::vector<WrtEntry>& wrt, LayoutList* layout);

// The inverse of ElementName; INVALID_ARGUMENT naming `field` when there is no such element, or
// when a tensor that is not a scalar is named without indices.
absl::StatusOr<int64_t> FindElement(const std::string& field, const TensorIndex& tensors,
                                    const std::string& name);

// The equation of a state as it stands in the model text, from its name to the end of the
// statement, without comments; empty if it is not found.
std::string EquationOf(std::string_view text, std::string_view state);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_LAYOUT_H_
