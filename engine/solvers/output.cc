#include "engine/solvers/output.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"

namespace costate {

Output::Output(const SaveAt& save, const VectorField& field, SaveSink* sink)
    : save_(save), field_(field), n_(field.num_states()), sink_(sink), scratch_(n_) {}

absl::Status Output::CountBytes(int64_t bytes) {
  bytes_ += bytes;
  if (bytes_ <= limits::kMaxSavedBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("saved values pass ", limits::kMaxSavedBytes,
                   " bytes; save fewer times, states or trajectories, or stream them"));
}

absl::Status Output::Reserve(int64_t batch) {
  if (sink_ != nullptr || save_.kind == SaveAt::Kind::kSteps) return absl::OkStatus();
  const int64_t rows =
      save_.kind == SaveAt::Kind::kEnd ? 1 : static_cast<int64_t>(save_.times.size());
  const double bytes =
      8.0 * static_cast<double>(batch) * static_cast<double>(rows) * static_cast<double>(n_ + 1);
  if (bytes > static_cast<double>(limits::kMaxSavedBytes)) {
    return CountBytes(limits::kMaxSavedBytes + 1);
  }
  return CountBytes(8 * batch * rows * (n_ + 1));
}

void Output::Begin(Trajectory* trajectory, double t1) {
  if (sink_ != nullptr || save_.kind == SaveAt::Kind::kSteps) return;
  if (save_.kind == SaveAt::Kind::kEnd) {
    trajectory->times = {t1};
  } else {
    trajectory->times = save_.times;
  }
  trajectory->states.assign(trajectory->times.size() * n_,
                            std::numeric_limits<double>::quiet_NaN());
}

double* Output::Row(Trajectory* trajectory, double t, absl::Status* status) {
  if (sink_ != nullptr) return scratch_.data();
  if (save_.kind == SaveAt::Kind::kSteps) {
    absl::Status counted = CountBytes(static_cast<int64_t>(sizeof(double)) * (n_ + 1));
    if (!counted.ok()) {
      *status = std::move(counted);
      return nullptr;
    }
    trajectory->times.push_back(t);
    trajectory->states.resize(trajectory->states.size() + n_);
  }
  return trajectory->states.data() + trajectory->num_reached * n_;
}

absl::Status Output::Commit(Trajectory* trajectory, int64_t index, double t, const double* row) {
  ++trajectory->num_reached;
  if (sink_ == nullptr) return absl::OkStatus();
  return sink_->Save(index, t, absl::MakeConstSpan(row, n_));
}

absl::Status Output::Save(Trajectory* trajectory, int64_t index, double t, const double* y) {
  absl::Status status;
  double* row = Row(trajectory, t, &status);
  if (row == nullptr) return status;
  std::copy_n(y, n_, row);
  return Commit(trajectory, index, t, row);
}

int64_t Output::FirstNonFinite(const double* values) const {
  for (int64_t i = 0; i < n_; ++i) {
    if (!std::isfinite(values[i])) return i;
  }
  return -1;
}

bool Output::CheckStart(const double* y0, Termination* termination) const {
  const int64_t element = FirstNonFinite(y0);
  if (element < 0) return true;
  termination->reason = Termination::Reason::kNonFinite;
  termination->state_index = element;
  termination->detail =
      absl::StrCat("the initial value of ", field_.StateName(element), " is ", y0[element]);
  return false;
}

bool Output::CheckDerivative(const double* derivative, Termination* termination) const {
  const int64_t element = FirstNonFinite(derivative);
  if (element < 0) return true;
  termination->reason = Termination::Reason::kNonFinite;
  termination->state_index = element;
  termination->detail =
      absl::StrCat("the derivative of ", field_.StateName(element), " at t = ", termination->t,
                   " is ", derivative[element], "; check parameters and initial values");
  return false;
}

}  // namespace costate
