// Rows of doubles that are added at the end and never move: their memory is what they need, rounded
// up to a chunk of 1 KiB, and never twice that while they grow.
#ifndef COSTATE_ENGINE_GRADIENTS_CHUNKED_ROWS_H_
#define COSTATE_ENGINE_GRADIENTS_CHUNKED_ROWS_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

namespace costate {

// Thread-safety: one thread.
class ChunkedRows {
 public:
  explicit ChunkedRows(int64_t row_size)
      : row_size_(std::max<int64_t>(row_size, 1)),
        rows_per_chunk_(std::max<int64_t>(kChunkDoubles / row_size_, 1)) {}

  int64_t size() const { return size_; }
  const double* row(int64_t i) const {
    return chunks_[i / rows_per_chunk_].get() + i % rows_per_chunk_ * row_size_;
  }

  void Add(const double* row) {
    if (size_ == static_cast<int64_t>(chunks_.size()) * rows_per_chunk_) {
      chunks_.emplace_back(new double[rows_per_chunk_ * row_size_]);
    }
    std::copy_n(row, row_size_, Mutable(size_++));
  }

  // Keeps rows 0, 2, 4, ...
  void KeepEveryOther() {
    const int64_t kept = (size_ + 1) / 2;
    for (int64_t i = 1; i < kept; ++i) std::copy_n(row(2 * i), row_size_, Mutable(i));
    Truncate(kept);
  }
  void Truncate(int64_t rows) {
    size_ = rows;
    chunks_.resize((rows + rows_per_chunk_ - 1) / rows_per_chunk_);
  }

  int64_t bytes() const { return Bytes(size_); }
  // Of that many rows.
  int64_t Bytes(int64_t rows) const {
    const int64_t chunks = (rows + rows_per_chunk_ - 1) / rows_per_chunk_;
    const int64_t chunk_bytes = rows_per_chunk_ * row_size_ * static_cast<int64_t>(sizeof(double));
    return chunks * (chunk_bytes + static_cast<int64_t>(sizeof(double*)));
  }

 private:
  static constexpr int64_t kChunkDoubles = 128;
  double* Mutable(int64_t i) { return const_cast<double*>(row(i)); }

  const int64_t row_size_;
  const int64_t rows_per_chunk_;
  int64_t size_ = 0;
  std::vector<std::unique_ptr<double[]>> chunks_;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_CHUNKED_ROWS_H_
