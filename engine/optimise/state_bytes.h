// State as bytes: little-endian, each value as it is in memory, so that what is read back is the
// same to the bit on every machine. No schema: whoever writes begins with a version.
#ifndef COSTATE_ENGINE_OPTIMISE_STATE_BYTES_H_
#define COSTATE_ENGINE_OPTIMISE_STATE_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace costate::optimise {

class StateWriter {
 public:
  void Int(int64_t value);
  void Double(double value);
  void Doubles(absl::Span<const double> values);
  void Ints(absl::Span<const int64_t> values);
  void Bytes(std::string_view bytes);
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// After a read past the end, or of a length that cannot be, ok() is false and values are 0 or
// empty; nothing is allocated beyond the size of the input.
class StateReader {
 public:
  explicit StateReader(std::string_view bytes) : bytes_(bytes) {}
  int64_t Int();
  double Double();
  std::vector<double> Doubles();
  std::vector<int64_t> Ints();
  std::string Bytes();
  bool ok() const { return ok_; }
  bool at_end() const { return bytes_.empty(); }

 private:
  int64_t Length(size_t size);

  std::string_view bytes_;
  bool ok_ = true;
};

}  // namespace costate::optimise

#endif  // COSTATE_ENGINE_OPTIMISE_STATE_BYTES_H_
