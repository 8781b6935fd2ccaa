#include <string>

#include "engine/base/sha256.h"
#include "engine/model/model.h"
#include "engine/model/text.h"

namespace costate {

std::string ModelResourceName(const ModelIr& model) {
  constexpr size_t kHexDigits = 32;
  return Text("models/", Sha256Hex(CanonicalText(model)).substr(0, kHexDigits));
}

}  // namespace costate
