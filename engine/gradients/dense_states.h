// y(t) anywhere along a solve, from step times and few stored states.
//
// A step is named exactly by its two times, so a step taken again has the bits it had: only every
// k-th state is kept, and the states between are recomputed, one window of k steps at a time.
// Inside a step the value is the method's dense output.
#ifndef COSTATE_ENGINE_GRADIENTS_DENSE_STATES_H_
#define COSTATE_ENGINE_GRADIENTS_DENSE_STATES_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradients/chunked_rows.h"
#include "engine/solvers/integrate.h"
#include "engine/solvers/stepper.h"

namespace costate {

// Rides along with the solve; Begin starts anew. Thread-safety: one thread.
class DenseStates : public StepCompanion {
 public:
  struct Options {
    int64_t every = 0;      // k; 0: as few windows as max_bytes asks for, 1 if all states fit
    int64_t max_bytes = 0;  // of step times, states, windows and step buffers
  };

  // `field` and `params` outlive the object.
  static absl::StatusOr<std::unique_ptr<DenseStates>> Create(Method method,
                                                             const VectorField& field,
                                                             absl::Span<const double> params,
                                                             const Options& options);

  absl::Status Begin(double t0, const double* y0) override;
  double TrialError(const StepRecord& /*step*/, const double* /*y_new*/) override { return 0; }
  // RESOURCE_EXHAUSTED past max_bytes, with what would fit.
  absl::Status Accept(const StepRecord& step, const double* y_new,
                      absl::Span<const double> saved_theta) override;

  int64_t num_steps() const { return times_.size() - 1; }  // N
  double time(int64_t i) const { return *times_.row(i); }  // 0 <= i <= N, t0 first
  absl::Span<const double> last_state() const { return last_; }

  // y(t), [n], for t between the ends of the solve. Fast when t moves little between calls.
  void Evaluate(double t, double* y);

  // The step that holds t.
  int64_t StepAt(double t);

  // Calls visit(from, to) for the pieces of [a, b] between step times, a later than b in the
  // direction of the solve, in order from a to b.
  template <typename Visit>
  void ForEachPiece(double a, double b, const Visit& visit) {
    double from = a;
    for (int64_t i = num_steps() > 0 ? StepAt(a) : -1; from != b; --i) {
      const double to = i >= 0 && After(time(i), b) ? time(i) : b;
      if (to != from) visit(from, to);
      from = to;
    }
  }

  int64_t bytes() const { return Bytes(every_, num_steps()); }
  int64_t recomputed_steps() const { return recomputed_steps_; }
  int64_t rhs_evaluations() const;

 private:
  struct Window {
    int64_t index = -1;          // of states index * k + 1 .. index * k + k - 1
    std::vector<double> states;  // [k - 1, n]
  };
  struct LoadedStep {
    int64_t step = -1;
    int64_t last_use = 0;
    std::unique_ptr<Stepper> stepper;  // has tried the step
  };
  static constexpr int kLoadedSteps = 4;

  DenseStates(Method method, const VectorField& field, absl::Span<const double> params,
              const Options& options);
  bool After(double a, double b) const { return backwards_ ? a < b : a > b; }
  int64_t Bytes(int64_t every, int64_t steps) const;
  int64_t FewestBytes(int64_t steps, int64_t* every) const;
  absl::Status Thin(double t);
  absl::Status Refuse(double t) const;
  Stepper& Load(int64_t step);
  const double* State(int64_t i);
  const Window& FillWindow(int64_t index);

  const int64_t n_;
  const int64_t step_doubles_;  // held by the steppers
  const absl::Span<const double> params_;
  const Options options_;
  bool backwards_ = false;
  int64_t every_ = 1;         // k
  ChunkedRows times_;         // [N + 1]
  ChunkedRows states_;        // [N / k + 1, n]
  std::vector<double> last_;  // [n]
  std::array<LoadedStep, kLoadedSteps> loaded_;
  std::array<Window, 2> windows_;  // the one used last first
  std::unique_ptr<Stepper> runner_;
  int64_t position_ = 0;  // of the last StepAt
  int64_t uses_ = 0;
  int64_t recomputed_steps_ = 0;
  int64_t rhs_evaluations_ = 0;  // of steps no longer loaded
};

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_DENSE_STATES_H_
