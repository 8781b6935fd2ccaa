// An array by name, as requests carry them.
#ifndef COSTATE_ENGINE_BASE_NAMED_ARRAY_H_
#define COSTATE_ENGINE_BASE_NAMED_ARRAY_H_

#include <cstdint>
#include <string>
#include <vector>

namespace costate {

struct NamedArray {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<double> values;  // row-major, finite unless said otherwise
};

}  // namespace costate

#endif  // COSTATE_ENGINE_BASE_NAMED_ARRAY_H_
