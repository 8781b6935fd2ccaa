#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/solvers/integrate.h"

namespace costate {

StepRecord Recording::step(int64_t i) const {
  const int64_t stride = GetMethodInfo(scheme).stages * num_states;
  return {.t = times[i],
          .h = times[i + 1] - times[i],
          .t_next = times[i + 1],
          .y = states.data() + i * CarriedSize(scheme, num_states),
          .stages = stages.data() + i * stride};
}

int64_t Recording::bytes() const {
  return static_cast<int64_t>((times.size() + states.size() + stages.size()) * sizeof(double));
}

Recorder::Recorder(const Scheme& scheme, int64_t num_states, int64_t max_bytes)
    : max_bytes_(max_bytes) {
  recording_.scheme = scheme;
  recording_.num_states = num_states;
}

absl::Status Recorder::Begin(double t0, const double* y0) {
  recording_.times.push_back(t0);
  recording_.states.assign(y0, y0 + CarriedSize(recording_.scheme, recording_.num_states));
  return absl::OkStatus();
}

double Recorder::TrialError(const StepRecord& /*step*/, const double* /*y_new*/) { return 0; }

absl::Status Recorder::Accept(const StepRecord& step, const double* y_new,
                              absl::Span<const double> /*saved_theta*/) {
  return AcceptLane(
      {.t = step.t, .t_next = step.t_next, .y = step.y, .y_new = y_new, .stages = step.stages});
}

absl::Status Recorder::AcceptLane(const LaneStep& step) {
  const int64_t n = CarriedSize(recording_.scheme, recording_.num_states);
  const int64_t stage_values = GetMethodInfo(recording_.scheme).stages * recording_.num_states;
  const int64_t more = static_cast<int64_t>(sizeof(double)) * (1 + n + stage_values);
  if (recording_.bytes() + more > max_bytes_) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "the recorded trajectory passes ", max_bytes_, " bytes at t = ", step.t, ", step ",
        recording_.num_steps(),
        "; raise the memory budget, or use checkpointed, which keeps few of the steps"));
  }
  recording_.times.push_back(step.t_next);
  const auto append = [&step](const double* from, int64_t count, std::vector<double>* to) {
    if (step.lanes == 1) {
      to->insert(to->end(), from, from + count);
    } else {
      for (int64_t i = 0; i < count; ++i) to->push_back(from[i * step.lanes]);
    }
  };
  append(step.y_new, n, &recording_.states);
  append(step.stages, stage_values, &recording_.stages);
  return absl::OkStatus();
}

Recording Recorder::Take() && { return std::move(recording_); }

}  // namespace costate
