// Arrays between wire and engine. Everything here expects validated messages.
#ifndef COSTATE_SERVER_CONVERT_ARRAY_H_
#define COSTATE_SERVER_CONVERT_ARRAY_H_

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "costate/v1/array.pb.h"

namespace costate {

std::vector<double> ValuesFromProto(const v1::Array& array);

// The shape as given; unset: none for a single element in `values`, else one extent.
std::vector<int64_t> ShapeFromProto(const v1::Array& array);

// Little-endian doubles, appended in one copy.
void AppendDoubles(absl::Span<const double> values, std::string* data);

void ArrayToProto(absl::Span<const double> values, std::initializer_list<int64_t> shape,
                  v1::Array* array);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_ARRAY_H_
