#include "server/validate/array.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "server/limits.h"

namespace costate {
namespace {

constexpr uint64_t kExponentBits = 0x7ff0000000000000;
constexpr uint64_t kMagnitudeBits = 0x7fffffffffffffff;

absl::Status ValidateShape(const std::string& field, const v1::Array& array) {
  const int64_t size = NumElements(array);
  if (array.shape_size() > limits::kMaxArrayRank) {
    return FieldError(field + ".shape", absl::StrCat(array.shape_size(), " extents"),
                      absl::StrCat("at most ", limits::kMaxArrayRank));
  }
  int64_t product = 1;
  bool overflow = false;
  for (int i = 0; i < array.shape_size(); ++i) {
    const int64_t extent = array.shape(i);
    if (extent < 0) {
      return FieldError(absl::StrCat(field, ".shape[", i, "]"), absl::StrCat(extent),
                        "an extent >= 0");
    }
    overflow = __builtin_mul_overflow(product, extent, &product) || overflow;
  }
  if (array.shape_size() == 0) return absl::OkStatus();
  if (overflow || product != size) {
    const std::string declared = overflow ? "more than 2^63" : absl::StrCat(product);
    return FieldStatus(
        absl::StatusCode::kInvalidArgument, field,
        absl::StrCat("the shape declares ", declared, " elements, the data has ", size));
  }
  return absl::OkStatus();
}

uint64_t BitsAt(const v1::Array& array, int64_t i) {
  if (array.values_size() > 0) return std::bit_cast<uint64_t>(array.values(static_cast<int>(i)));
  uint64_t bits;
  std::memcpy(&bits, array.data().data() + i * sizeof(double), sizeof(bits));
  return bits;
}

bool IsAllowed(uint64_t bits, Elements elements) {
  if ((bits & kExponentBits) != kExponentBits) return true;
  const bool is_nan = (bits & kMagnitudeBits) != kExponentBits;
  return is_nan && elements == Elements::kFiniteOrNan;
}

absl::Status ValidateElements(const std::string& field, const v1::Array& array, Elements elements) {
  const int64_t size = NumElements(array);
  for (int64_t i = 0; i < size; ++i) {
    const uint64_t bits = BitsAt(array, i);
    if (IsAllowed(bits, elements)) continue;
    const char* part = array.values_size() > 0 ? ".values[" : ".data[";
    return FieldError(absl::StrCat(field, part, i, "]"), absl::StrCat(std::bit_cast<double>(bits)),
                      elements == Elements::kFinite ? "a finite number" : "a finite number or NaN");
  }
  return absl::OkStatus();
}

}  // namespace

int64_t NumElements(const v1::Array& array) {
  if (array.values_size() > 0) return array.values_size();
  return static_cast<int64_t>(array.data().size() / sizeof(double));
}

double ElementAt(const v1::Array& array, int64_t i) {
  return std::bit_cast<double>(BitsAt(array, i));
}

absl::Status ValidateArray(const std::string& field, const v1::Array& array, Elements elements) {
  static_assert(std::endian::native == std::endian::little, "the wire is little-endian");
  if (!array.data().empty() && array.values_size() > 0) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, field,
                       "both data and values are set; set one");
  }
  if (array.data().size() % sizeof(double) != 0) {
    return FieldError(field + ".data", absl::StrCat(array.data().size(), " bytes"),
                      "a multiple of 8 (little-endian doubles)");
  }
  RETURN_IF_ERROR(ValidateShape(field, array));
  return ValidateElements(field, array, elements);
}

absl::Status ValidateVector(const std::string& field, const v1::Array& array, Elements elements) {
  if (array.shape_size() > 1) {
    return FieldError(field + ".shape", absl::StrCat(array.shape_size(), " extents"),
                      "at most one (a vector)");
  }
  return ValidateArray(field, array, elements);
}

absl::Status ValidateCount(const std::string& field, int64_t count, int64_t max) {
  if (count <= max) return absl::OkStatus();
  return FieldError(field, absl::StrCat(count, " entries"), absl::StrCat("at most ", max));
}

}  // namespace costate
