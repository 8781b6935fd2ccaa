// Which saved values fall into a step.
#ifndef COSTATE_ENGINE_SOLVERS_SAVE_AT_H_
#define COSTATE_ENGINE_SOLVERS_SAVE_AT_H_

#include <cstdint>
#include <vector>

#include "engine/solvers/problem.h"

namespace costate {

// Walks one trajectory's saved values in order. The SaveAt must outlive the cursor.
class SaveCursor {
 public:
  SaveCursor() = default;
  SaveCursor(const SaveAt* save, double t0, double t1) : save_(save), t1_(t1), forward_(t1 >= t0) {}

  // How many values are saved at t0 itself.
  int64_t Begin(double t0);

  // One value saved in a step.
  struct Point {
    double t = 0;
    double theta = 0;  // (t - step start) / h, in (0, 1]; exactly 1 at the end of the step
  };
  // Replaces `points` by those saved in (t, t_next].
  void Step(double t, double t_next, std::vector<Point>* points);

 private:
  const SaveAt* save_ = nullptr;
  double t1_ = 0;
  bool forward_ = true;
  int64_t next_ = 0;   // kTimes: index of the next time
  int64_t steps_ = 0;  // accepted so far
};

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_SAVE_AT_H_
