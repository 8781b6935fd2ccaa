// The variational equations of a model as a vector field of their own, so that a solve with forward
// tangents is a plain solve: many trajectories in lanes, each with the tangents of its own point.
//
// State and parameters of the model are extended to
//   Y = {y, Z_1, ..., Z_C}       [n + C n], Z_q = scale_q dy/dq
//   P = {p, scale_1, ..., scale_C}
// with Z_q' = f_y Z_q + scale_q f_p[j] for a column that is parameter j, without the last term for
// one that is an initial value (Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations
// I", I.14). A Runge-Kutta step of this field is the tangent of the step of the model, and so is
// its dense output: derivatives are those of the discrete solution on the steps taken.
//
// With scale_q = |q|, or 1 where that is 0, the error weight atol + rtol |Z_q| is the customary one
// of tangents, scale_q (atol / scale_q + rtol |S_q|) (CVODES guide, "Sensitivity tolerances").
#ifndef COSTATE_ENGINE_FIT_TANGENT_FIELD_H_
#define COSTATE_ENGINE_FIT_TANGENT_FIELD_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/solvers/problem.h"
#include "engine/solvers/vector_field.h"

namespace costate::fit {

// What a column is the derivative by.
struct TangentColumn {
  enum class Kind { kParam, kInitialState };
  Kind kind = Kind::kParam;
  int64_t index = 0;  // in p or y

  friend bool operator==(const TangentColumn&, const TangentColumn&) = default;
};

// Has kernels of kind kValue alone. In lanes of trajectories, columns are taken one by one; in one
// lane, columns run in lanes, with the same bits.
// Thread-safety: all members may be called from any thread.
class TangentField : public VectorField {
 public:
  // `model` must outlive the field and its kernels.
  TangentField(const VectorField& model, std::vector<TangentColumn> columns);

  int64_t num_columns() const { return static_cast<int64_t>(columns_.size()); }
  int64_t num_states() const override;
  int64_t num_params() const override;
  int64_t num_values() const override { return num_states(); }
  int simd_lanes() const override { return model_.simd_lanes(); }
  absl::StatusOr<Kernel> Get(MapKernel kind, int lanes) const override;
  std::string StateName(int64_t state) const override;

 private:
  struct Slot {
    absl::Mutex mutex;
    Kernel kernel ABSL_GUARDED_BY(mutex);
  };
  absl::StatusOr<Kernel> BuildForTrajectories(int lanes) const;
  absl::StatusOr<Kernel> BuildForColumns() const;

  const VectorField& model_;
  const std::vector<TangentColumn> columns_;
  mutable std::array<Slot, 2> slots_;  // [lanes > 1]
};

// Options of a solve of a TangentField that keeps y and every column within the tolerances of
// `options`, which are those of the model: the mean over all elements of squared scaled errors is
// at most 1 / (1 + C), so that of y, and that of each column, is at most 1.
SolveOptions WithTangentControl(SolveOptions options, int64_t num_columns);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_TANGENT_FIELD_H_
