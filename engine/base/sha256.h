// The hash of names and envelopes: SHA-256 (FIPS 180-4).
#ifndef COSTATE_ENGINE_BASE_SHA256_H_
#define COSTATE_ENGINE_BASE_SHA256_H_

#include <string>
#include <string_view>

namespace costate {

// 32 bytes: the hash of `first` followed by `second`.
std::string Sha256(std::string_view first, std::string_view second = {});

// The same of one text, in 64 lower-case hex digits.
std::string Sha256Hex(std::string_view text);

}  // namespace costate

#endif  // COSTATE_ENGINE_BASE_SHA256_H_
