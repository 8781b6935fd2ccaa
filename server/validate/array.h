// Judges arrays as they came: shape against data, before anything is allocated from either.
#ifndef COSTATE_SERVER_VALIDATE_ARRAY_H_
#define COSTATE_SERVER_VALIDATE_ARRAY_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "costate/v1/array.pb.h"

namespace costate {

// Which elements an array may hold.
enum class Elements {
  kFinite,       // neither NaN nor infinite
  kFiniteOrNan,  // NaN marks a missing value
};

// INVALID_ARGUMENT, naming `field` or a part of it, unless
//   at most one of `data` and `values` is used, `data` is a multiple of 8 bytes long,
//   each extent is >= 0, their product does not overflow and is the number of elements,
//   the rank is at most limits::kMaxArrayRank, and the elements are as asked for.
absl::Status ValidateArray(const std::string& field, const v1::Array& array, Elements elements);

// The same, and rank at most one.
absl::Status ValidateVector(const std::string& field, const v1::Array& array, Elements elements);

// Elements of the data part. O(1); for any array.
int64_t NumElements(const v1::Array& array);

// Element `i` of the data part.
double ElementAt(const v1::Array& array, int64_t i);

// INVALID_ARGUMENT with "<field>: got <count> entries, at most <max> are allowed".
absl::Status ValidateCount(const std::string& field, int64_t count, int64_t max);

}  // namespace costate

#endif  // COSTATE_SERVER_VALIDATE_ARRAY_H_
