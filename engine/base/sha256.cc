#include "engine/base/sha256.h"

#include <openssl/evp.h>

#include <cstdlib>

#include "absl/strings/escaping.h"

namespace costate {

std::string Sha256(std::string_view first, std::string_view second) {
  std::string hash(32, '\0');
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  const bool done =
      context != nullptr && EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1 &&
      EVP_DigestUpdate(context, first.data(), first.size()) == 1 &&
      EVP_DigestUpdate(context, second.data(), second.size()) == 1 &&
      EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(hash.data()), nullptr) == 1;
  EVP_MD_CTX_free(context);
  if (!done) std::abort();  // out of memory, or a library without SHA-256
  return hash;
}

std::string Sha256Hex(std::string_view text) { return absl::BytesToHexString(Sha256(text)); }

}  // namespace costate
