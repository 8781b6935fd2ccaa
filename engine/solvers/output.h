// Where saved values go: into trajectories, or to a sink.
#ifndef COSTATE_ENGINE_SOLVERS_OUTPUT_H_
#define COSTATE_ENGINE_SOLVERS_OUTPUT_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "engine/solvers/problem.h"
#include "engine/solvers/vector_field.h"

namespace costate {

// Thread-safety: one thread.
class Output {
 public:
  // `save` and `field` must outlive the object; `sink` may be null.
  Output(const SaveAt& save, const VectorField& field, SaveSink* sink);

  // RESOURCE_EXHAUSTED if the values of `batch` trajectories would pass limits::kMaxSavedBytes.
  absl::Status Reserve(int64_t batch);

  // Lays out a trajectory: NaN for every value not reached yet. Without a sink only.
  void Begin(Trajectory* trajectory, double t1);

  // Where the next saved value of the trajectory is to be written, [n], to be followed by Commit.
  // Null with *status set when memory is spent; *status is left alone otherwise.
  double* Row(Trajectory* trajectory, double t, absl::Status* status);
  absl::Status Commit(Trajectory* trajectory, int64_t index, double t, const double* row);

  // Row and Commit of a value that is at hand.
  absl::Status Save(Trajectory* trajectory, int64_t index, double t, const double* y);

  // Accounts for memory of the result that is not a saved value.
  absl::Status CountBytes(int64_t bytes);

  // False, with the termination's reason, element and detail, if a value is not finite.
  bool CheckStart(const double* y0, Termination* termination) const;
  bool CheckDerivative(const double* derivative, Termination* termination) const;

 private:
  int64_t FirstNonFinite(const double* values) const;

  const SaveAt& save_;
  const VectorField& field_;
  const int64_t n_;
  SaveSink* const sink_;
  int64_t bytes_ = 0;
  std::vector<double> scratch_;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_OUTPUT_H_
