// A vector whose growth is foreseeable: containers under a budget of bytes.
#ifndef COSTATE_ENGINE_GRADIENTS_COUNTED_VECTOR_H_
#define COSTATE_ENGINE_GRADIENTS_COUNTED_VECTOR_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace costate {

template <typename T>
class CountedVector {
 public:
  // Elements that will never be passed; room for more is not made.
  void set_limit(int64_t limit) { limit_ = limit; }
  void Reserve(int64_t count) { values_.reserve(static_cast<size_t>(count)); }

  int64_t bytes() const { return Bytes(values_.capacity()); }
  // The largest number of bytes held while one more element is added.
  int64_t bytes_to_push() const { return full() ? bytes() + Bytes(NextCapacity()) : bytes(); }

  void push_back(const T& value) {
    if (full()) values_.reserve(NextCapacity());
    values_.push_back(value);
  }
  void resize(size_t size) { values_.resize(size); }
  void ShrinkToFit() { values_.shrink_to_fit(); }

  size_t size() const { return values_.size(); }
  const T* data() const { return values_.data(); }
  T& operator[](size_t i) { return values_[i]; }
  const T& operator[](size_t i) const { return values_[i]; }
  const T& back() const { return values_.back(); }
  T* begin() { return values_.data(); }
  T* end() { return values_.data() + values_.size(); }
  const T* begin() const { return values_.data(); }
  const T* end() const { return values_.data() + values_.size(); }

 private:
  static int64_t Bytes(size_t count) { return static_cast<int64_t>(count * sizeof(T)); }
  bool full() const { return values_.size() == values_.capacity(); }
  size_t NextCapacity() const {
    const size_t more = std::max<size_t>(values_.size() / 2, 8);
    const size_t limit = std::max(static_cast<size_t>(limit_), values_.size() + 1);
    return std::min(values_.size() + more, limit);
  }

  std::vector<T> values_;
  int64_t limit_ = std::numeric_limits<int64_t>::max();
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_COUNTED_VECTOR_H_
