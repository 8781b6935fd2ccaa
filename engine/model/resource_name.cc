#include <openssl/evp.h>

#include <cstdlib>
#include <string>

#include "absl/strings/escaping.h"
#include "engine/model/model.h"
#include "engine/model/text.h"

namespace costate {

std::string ModelResourceName(const ModelIr& model) {
  constexpr size_t kHexDigits = 32;
  const std::string text = CanonicalText(model);
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr) != 1) {
    std::abort();  // only without memory
  }
  const std::string bytes(reinterpret_cast<const char*>(digest), size);
  return Text("models/", absl::BytesToHexString(bytes).substr(0, kHexDigits));
}

}  // namespace costate
