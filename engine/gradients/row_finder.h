// Rows of saved values by their time.
#ifndef COSTATE_ENGINE_GRADIENTS_ROW_FINDER_H_
#define COSTATE_ENGINE_GRADIENTS_ROW_FINDER_H_

#include <algorithm>
#include <cstddef>
#include <vector>

#include "engine/gradients/loss.h"

namespace costate {

// Refers to the saved values. Thread-safety: none.
class RowFinder {
 public:
  explicit RowFinder(const SavedValues& saved)
      : num_rows(saved.times.size()),
        num_states(num_rows == 0 ? saved.terminal_state.size() : saved.states.size() / num_rows),
        num_outputs(num_rows == 0 ? saved.terminal_output.size() : saved.outputs.size() / num_rows),
        times_(saved.times),
        descending_(num_rows > 1 && saved.times.back() < saved.times.front()) {}

  // The row of saved time t, which exists. Terms usually ask in order: the next row is tried first.
  size_t Find(double t) {
    if (row_ < num_rows && times_[row_] == t) return row_;
    if (row_ + 1 < num_rows && times_[row_ + 1] == t) return ++row_;
    const auto before = [this](double a, double b) { return descending_ ? a > b : a < b; };
    row_ = std::lower_bound(times_.begin(), times_.end(), t, before) - times_.begin();
    return row_;
  }

  const size_t num_rows;     // K
  const size_t num_states;   // n
  const size_t num_outputs;  // k

 private:
  const std::vector<double>& times_;
  const bool descending_;
  size_t row_ = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_ROW_FINDER_H_
