#include "server/jobs/checkpoint.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/sha256.h"

namespace costate::jobs {
namespace {

// "CKPT" | version, 4 bytes | length of the state, 8 bytes | SHA-256 | state. Integers are
// little-endian. The hash is over version, length and state.
constexpr std::string_view kMagic = "CKPT";
constexpr size_t kHashBytes = 32;
constexpr size_t kPrefixBytes = 4 + 4 + 8;
constexpr size_t kHeaderBytes = kPrefixBytes + kHashBytes;

void AppendLittleEndian(uint64_t value, int bytes, std::string& out) {
  for (int i = 0; i < bytes; ++i) out.push_back(static_cast<char>((value >> (8 * i)) & 0xff));
}

uint64_t ReadLittleEndian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

}  // namespace

std::string SealCheckpoint(std::string_view state) {
  std::string payload(kMagic);
  payload.reserve(kHeaderBytes + state.size());
  AppendLittleEndian(kCheckpointVersion, 4, payload);
  AppendLittleEndian(state.size(), 8, payload);
  payload += Sha256(payload, state);
  payload += state;
  return payload;
}

absl::StatusOr<std::string> OpenCheckpoint(std::string_view payload) {
  if (payload.size() < kHeaderBytes || payload.substr(0, 4) != kMagic) {
    return absl::DataLossError("checkpoint: not one, or its head is torn");
  }
  const uint64_t version = ReadLittleEndian(payload.substr(4, 4));
  const std::string_view state = payload.substr(kHeaderBytes);
  // The length and the hash stand where they stand in every version, so that a damaged version
  // number is not taken for the future.
  if (ReadLittleEndian(payload.substr(8, 8)) != state.size()) {
    return absl::DataLossError("checkpoint: torn");
  }
  if (Sha256(payload.substr(0, kPrefixBytes), state) != payload.substr(kPrefixBytes, kHashBytes)) {
    return absl::DataLossError("checkpoint: its bytes do not match their hash");
  }
  if (version > kCheckpointVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("checkpoint: version ", version, " is newer than ", kCheckpointVersion));
  }
  return std::string(state);
}

}  // namespace costate::jobs
