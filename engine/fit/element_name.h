// Names of tensors and of their elements, as requests write them.
#ifndef COSTATE_ENGINE_FIT_ELEMENT_NAME_H_
#define COSTATE_ENGINE_FIT_ELEMENT_NAME_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/ir.h"
#include "engine/tensor_index.h"

namespace costate::fit {

// Elements of the flat vector of a kind of tensors.
struct NamedElements {
  const TensorInfo* tensor = nullptr;  // null: there is no tensor of that name
  int64_t offset = 0;                  // of the first
  int64_t size = 1;
};

// "b", "W" (all elements) or "W[0,2]". INVALID_ARGUMENT at `field` for indices that the tensor does
// not have.
absl::StatusOr<NamedElements> FindElements(const TensorIndex& tensors, std::string_view name,
                                           std::string_view field);

std::vector<std::string_view> TensorNames(const std::vector<TensorInfo>& tensors);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_ELEMENT_NAME_H_
