// How large error ratios were over the steps of a solve, in bounded memory.
#ifndef COSTATE_ENGINE_GRADIENTS_ERROR_RATIOS_H_
#define COSTATE_ENGINE_GRADIENTS_ERROR_RATIOS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

namespace costate {

// Thread-safety: one thread.
class ErrorRatios {
 public:
  // Kept for the quantile: all ratios, or past `most_kept` >= 2 every 2nd, 4th, ... in order.
  explicit ErrorRatios(int64_t most_kept = kMostKept) : most_kept_(most_kept) {}

  void Add(double ratio) {
    max_ = std::max(max_, ratio);
    if (ratio > 1) ++above_one_;
    if (count_++ % stride_ != 0) return;
    if (static_cast<int64_t>(kept_.size()) == most_kept_) {
      Thin();
      if ((count_ - 1) % stride_ != 0) return;
    }
    kept_.push_back(ratio);
  }

  int64_t count() const { return count_; }
  double max() const { return max_; }
  double share_above_one() const {
    return count_ == 0 ? 0 : static_cast<double>(above_one_) / static_cast<double>(count_);
  }

  // The 90 % quantile; under 50 ratios the maximum.
  double Quantile90() const {
    if (count_ < kFew) return max_;
    std::vector<double> values = kept_;
    const auto at = values.begin() + static_cast<int64_t>(values.size()) * 9 / 10;
    std::nth_element(values.begin(), at, values.end());
    return *at;
  }

 private:
  static constexpr int64_t kMostKept = 1 << 20;
  static constexpr int64_t kFew = 50;

  void Thin() {
    stride_ *= 2;
    for (size_t i = 1; 2 * i < kept_.size(); ++i) kept_[i] = kept_[2 * i];
    kept_.resize((kept_.size() + 1) / 2);
  }

  const int64_t most_kept_;
  int64_t stride_ = 1;
  int64_t count_ = 0, above_one_ = 0;
  double max_ = 0;
  std::vector<double> kept_;  // numbers 0, stride, 2 stride, ...
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_ERROR_RATIOS_H_
