#include "engine/solvers/save_at.h"

#include <algorithm>
#include <limits>

namespace costate {

SaveCursor::SaveCursor(const SaveAt* save, double t0, double t1)
    : save_(save), t1_(t1), forward_(t1 >= t0) {
  due_ = NextDue();
}

double SaveCursor::NextDue() const {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const double never = forward_ ? kInfinity : -kInfinity;
  switch (save_->kind) {
    case SaveAt::Kind::kEnd:
      return t1_;
    case SaveAt::Kind::kSteps:
      return -never;
    case SaveAt::Kind::kTimes:
      break;
  }
  return next_ < static_cast<int64_t>(save_->times.size()) ? save_->times[next_] : never;
}

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
  due_ = NextDue();
  return next_;
}

bool SaveCursor::Collect(double t, double t_next, std::vector<Point>* points) {
  switch (save_->kind) {
    case SaveAt::Kind::kEnd:
      if (t_next == t1_) points->push_back({t_next, 1});
      return false;
    case SaveAt::Kind::kSteps:
      ++steps_;
      if (t_next == t1_ || steps_ % save_->every == 0) points->push_back({t_next, 1});
      return false;
    case SaveAt::Kind::kTimes:
      break;
  }
  const int64_t count = static_cast<int64_t>(save_->times.size());
  for (; next_ < count; ++next_) {
    const double time = save_->times[next_];
    if (forward_ ? time > t_next : time < t_next) break;
    if (points->size() == kMaxPoints) {
      due_ = time;
      return true;
    }
    // A time just short of the end may round to theta = 1; its value is then that of the end.
    const double theta = time == t_next ? 1 : std::min((time - t) / (t_next - t), 1.0);
    points->push_back({time, theta});
  }
  due_ = NextDue();
  return false;
}

}  // namespace costate
