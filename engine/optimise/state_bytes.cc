#include "engine/optimise/state_bytes.h"

#include <bit>

namespace costate::optimise {
namespace {

constexpr size_t kWord = 8;  // bytes of every number

uint64_t ReadWord(std::string_view bytes) {
  uint64_t word = 0;
  for (size_t i = 0; i < kWord; ++i) {
    word |= static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])) << (8 * i);
  }
  return word;
}

}  // namespace

void StateWriter::Int(int64_t value) {
  const auto word = static_cast<uint64_t>(value);
  for (size_t i = 0; i < kWord; ++i) bytes_.push_back(static_cast<char>(word >> (8 * i) & 0xff));
}

void StateWriter::Double(double value) { Int(std::bit_cast<int64_t>(value)); }

void StateWriter::Doubles(absl::Span<const double> values) {
  Int(static_cast<int64_t>(values.size()));
  for (const double value : values) Double(value);
}

void StateWriter::Ints(absl::Span<const int64_t> values) {
  Int(static_cast<int64_t>(values.size()));
  for (const int64_t value : values) Int(value);
}

void StateWriter::Bytes(std::string_view bytes) {
  Int(static_cast<int64_t>(bytes.size()));
  bytes_.append(bytes);
}

int64_t StateReader::Int() {
  if (!ok_ || bytes_.size() < kWord) {
    ok_ = false;
    return 0;
  }
  const uint64_t word = ReadWord(bytes_);
  bytes_.remove_prefix(kWord);
  return static_cast<int64_t>(word);
}

double StateReader::Double() { return std::bit_cast<double>(Int()); }

// The number of elements of `size` bytes that follow; 0 where so many are not there.
int64_t StateReader::Length(size_t size) {
  const int64_t length = Int();
  if (length < 0 || static_cast<uint64_t>(length) > bytes_.size() / size) {
    ok_ = false;
    return 0;
  }
  return length;
}

std::vector<double> StateReader::Doubles() {
  std::vector<double> values(Length(kWord));
  for (double& value : values) value = Double();
  return values;
}

std::vector<int64_t> StateReader::Ints() {
  std::vector<int64_t> values(Length(kWord));
  for (int64_t& value : values) value = Int();
  return values;
}

std::string StateReader::Bytes() {
  const int64_t length = Length(1);
  std::string bytes(bytes_.substr(0, length));
  bytes_.remove_prefix(length);
  return bytes;
}

}  // namespace costate::optimise
