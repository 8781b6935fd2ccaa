#include "server/jobs/job_error.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/strings/cord.h"
#include "absl/strings/string_view.h"

namespace costate::jobs {
namespace {

// Each payload is the length of its name, the name, the length of its bytes, the bytes. Lengths
// have four bytes, little-endian.
void AppendPiece(std::string_view piece, std::string& out) {
  for (int shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<char>((piece.size() >> shift) & 0xff));
  }
  out += piece;
}

std::optional<std::string_view> TakePiece(std::string_view& in) {
  if (in.size() < 4) return std::nullopt;
  uint32_t size = 0;
  for (int i = 3; i >= 0; --i) size = size << 8 | static_cast<unsigned char>(in[i]);
  if (in.size() - 4 < size) return std::nullopt;
  const std::string_view piece = in.substr(4, size);
  in.remove_prefix(4 + size);
  return piece;
}

}  // namespace

void SetJobError(const absl::Status& error, Job& job) {
  job.error_code = static_cast<int>(error.code());
  job.error_message = std::string(error.message());
  job.error_details.clear();
  error.ForEachPayload([&](absl::string_view name, const absl::Cord& bytes) {
    AppendPiece({name.data(), name.size()}, job.error_details);
    AppendPiece(std::string(bytes), job.error_details);
  });
}

absl::Status JobError(const Job& job) {
  absl::Status error(static_cast<absl::StatusCode>(job.error_code), job.error_message);
  std::string_view rest = job.error_details;
  while (!rest.empty()) {
    const std::optional<std::string_view> name = TakePiece(rest);
    const std::optional<std::string_view> bytes = TakePiece(rest);
    if (!name.has_value() || !bytes.has_value()) break;
    error.SetPayload(std::string(*name), absl::Cord(std::string(*bytes)));
  }
  return error;
}

}  // namespace costate::jobs
