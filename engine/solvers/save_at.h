// Which saved values fall into a step.
#ifndef COSTATE_ENGINE_SOLVERS_SAVE_AT_H_
#define COSTATE_ENGINE_SOLVERS_SAVE_AT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/solvers/problem.h"

namespace costate {

// Walks one trajectory's saved values in order. The SaveAt must outlive the cursor.
class SaveCursor {
 public:
  SaveCursor() = default;
  SaveCursor(const SaveAt* save, double t0, double t1);

  // How many values are saved at t0 itself. Call once, before Step.
  int64_t Begin(double t0);

  // One value saved in a step.
  struct Point {
    double t = 0;
    double theta = 0;  // (t - step start) / h, in (0, 1]; exactly 1 at the end of the step
  };
  // At most so many values are handed out at once, so that work between them stays short.
  static constexpr size_t kMaxPoints = 4096;

  // Replaces `points` by those saved in (t, t_next], or the first kMaxPoints of them: true if more
  // are left, to be had by the same call again. To be called for every accepted step.
  bool Step(double t, double t_next, std::vector<Point>* points) {
    points->clear();
    if (forward_ ? t_next < due_ : t_next > due_) return false;
    return Collect(t, t_next, points);
  }

 private:
  bool Collect(double t, double t_next, std::vector<Point>* points);
  double NextDue() const;

  const SaveAt* save_ = nullptr;
  double t1_ = 0;
  bool forward_ = true;
  double due_ = 0;     // a step that ends before it saves nothing
  int64_t next_ = 0;   // kTimes: index of the next time
  int64_t steps_ = 0;  // kSteps: accepted so far
};

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_SAVE_AT_H_
