#include "server/convert/array.h"

#include <bit>
#include <cstring>

namespace costate {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

std::vector<double> ValuesFromProto(const v1::Array& array) {
  if (array.values_size() > 0) return {array.values().begin(), array.values().end()};
  std::vector<double> values(array.data().size() / sizeof(double));
  if (!values.empty()) {
    std::memcpy(values.data(), array.data().data(), values.size() * sizeof(double));
  }
  return values;
}

std::vector<int64_t> ShapeFromProto(const v1::Array& array) {
  if (array.shape_size() > 0) return {array.shape().begin(), array.shape().end()};
  if (array.values_size() == 1) return {};
  if (array.values_size() > 1) return {array.values_size()};
  return {static_cast<int64_t>(array.data().size() / sizeof(double))};
}

void AppendDoubles(absl::Span<const double> values, std::string* data) {
  data->append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(double));
}

void ArrayToProto(absl::Span<const double> values, std::initializer_list<int64_t> shape,
                  v1::Array* array) {
  array->clear_values();
  array->clear_data();
  array->mutable_shape()->Assign(shape.begin(), shape.end());
  AppendDoubles(values, array->mutable_data());
}

}  // namespace costate
