#include "engine/solvers/save_at.h"

#include <algorithm>

namespace costate {

int64_t SaveCursor::Begin(double t0) {
  switch (save_->kind) {
    case SaveAt::Kind::kEnd:
      return t0 == t1_ ? 1 : 0;
    case SaveAt::Kind::kSteps:
      return 1;
    case SaveAt::Kind::kTimes:
      break;
  }
  const int64_t count = static_cast<int64_t>(save_->times.size());
  while (next_ < count && save_->times[next_] == t0) ++next_;
  return next_;
}

void SaveCursor::Step(double t, double t_next, std::vector<Point>* points) {
  points->clear();
  ++steps_;
  switch (save_->kind) {
    case SaveAt::Kind::kEnd:
      if (t_next == t1_) points->push_back({t_next, 1});
      return;
    case SaveAt::Kind::kSteps:
      if (t_next == t1_ || steps_ % save_->every == 0) points->push_back({t_next, 1});
      return;
    case SaveAt::Kind::kTimes:
      break;
  }
  const int64_t count = static_cast<int64_t>(save_->times.size());
  for (; next_ < count; ++next_) {
    const double time = save_->times[next_];
    if (forward_ ? time > t_next : time < t_next) return;
    // A time just short of the end may round to theta = 1; its value is then that of the end.
    const double theta = time == t_next ? 1 : std::min((time - t) / (t_next - t), 1.0);
    points->push_back({time, theta});
  }
}

}  // namespace costate
