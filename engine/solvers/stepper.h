// One step of a method, forwards in lanes, and replayed for its derivatives.
//
// The driver (integrate.h) owns time, acceptance and what is saved; a Stepper knows one step and
// its error; a StepReplay differentiates a step that was recorded. Gradient methods use the
// latter and the Recording, never the driver's insides.
//
// Adding an explicit method:
//   1. a table in rk/<name>.h and its instance in rk/<name>.cc   2. Method in problem.h
//   3. method.cc: the switch the compiler then points at, and the list of AllMethods()
//   4. METHOD_<NAME> in proto solve.proto, server/convert, the client's names
//   5. nothing for the order conditions and suites: the tests run over RungeKuttaMethods()
// A reversible method of one evaluation is a table in reversible/one_evaluation.cc instead.
#ifndef COSTATE_ENGINE_SOLVERS_STEPPER_H_
#define COSTATE_ENGINE_SOLVERS_STEPPER_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/solvers/problem.h"

namespace costate {

// Whether a step can be taken back from its end.
enum class Reversal {
  kNone,
  kNear,   // a step of -h undoes it up to a power of h far above the order
  kExact,  // up to rounding
};

struct MethodInfo {
  Method method;
  std::string_view name;  // "tsit5"
  std::string_view citation;
  int order;         // of the solution that is propagated
  int error_order;   // of the embedded one; 0: none, fixed steps or grids only
  int dense_order;   // of the dense output: error O(h^(dense_order + 1)) in one step
  int stages;        // kept vectors of a step: derivatives k_1 .. k_s and the like
  int extra_stages;  // further ones its dense output needs
  bool fsal;         // last stage is the first of the next step
  // Vectors [n] that a step carries on: y alone, or y followed by others.
  int carried = 1;
  Reversal reversal = Reversal::kNone;
  int evaluations = 0;  // of the right-hand side in a step, that of FSAL not counted
};
// Of the method as the scheme runs it.
const MethodInfo& GetMethodInfo(const Scheme& scheme);
// Of what a step carries, in doubles.
inline int64_t CarriedSize(const Scheme& scheme, int64_t num_states) {
  return GetMethodInfo(scheme).carried * num_states;
}
// Those with a table (rk/), and all; none is coupled.
absl::Span<const Method> RungeKuttaMethods();
absl::Span<const Method> AllMethods();
// INVALID_ARGUMENT at "coupling" or "eta" for a scheme there is not.
absl::Status ValidateScheme(const Scheme& scheme);

// Steps W trajectories at once. Arrays are [element][lane]. All state lives in the object.
// Lanes are independent: a lane's values never influence another's, and its bits do not depend
// on W. Thread-safety: one thread.
class Stepper {
 public:
  virtual ~Stepper() = default;

  virtual int lanes() const = 0;

  // Starts lane `lane` at (t, y) with parameters p, all copied. `derivative` is f(t, y, p) [n] if
  // known; null: evaluated with the next Step.
  virtual void Reset(int lane, double t, const double* y, const double* p,
                     const double* derivative) = 0;

  // The same from all vectors a step carries, [carried][n] as y() gave them.
  virtual void Resume(int lane, double t, const double* carried, const double* p) {
    Reset(lane, t, carried, p, nullptr);
  }

  // Every lane goes to a time and to what it carries there, parameters and counts as they are: t
  // [W], `carried` [carried][n][lane].
  virtual void MoveTo(const double* t, const double* carried) = 0;

  // Tries a step from every lane's current time t to t_next[lane] (t itself for an idle lane).
  // The step size is h = t_next - t as rounded, so a step is named by its two times exactly.
  virtual void Step(const double* t_next) = 0;

  // For the tried step, per lane, out[W]: the mean over elements of (error / weight)^2, where the
  // weight of element i is atol[i] + rtol * max(|y_i|, |y_new_i|); at most 1 is within tolerance.
  // (Squared, so that no root delays the next step.) Infinite or NaN where the error or the new
  // state is not finite; 0 for methods without estimate and a finite new state. atol is [n].
  // Returns out[0], so that a single lane need not go through memory.
  virtual double SquaredError(const double* atol, double rtol, double* out) const = 0;

  // Per lane, out[W]: 0 where the new state of the tried step is finite, else NaN.
  virtual void CheckFinite(double* out) const = 0;

  // The element at fault for a refused step of a lane: the first that is not finite in the earliest
  // stage where any is, else the one with the largest scaled error. In [0, n).
  virtual int64_t WorstElement(int lane, const double* atol, double rtol) const = 0;

  // Moves the lanes with accept[lane] to the end of the tried step.
  virtual void Advance(const bool* accept) = 0;

  // Dense output inside the tried step, before Advance: y(t + theta h), theta in [0, 1], [n].
  // theta = 0 and 1 give y and y_new exactly.
  virtual void Interpolate(int lane, double theta, double* y) = 0;

  // What is carried at the current point and at the tried end point, [carried][n][lane], y first;
  // kept vectors of the tried step, [stage][n][lane]. Valid until the next call of a non-const
  // member.
  virtual const double* y() const = 0;
  virtual const double* y_new() const = 0;
  virtual const double* stages() const = 0;

  // Of the lane since Reset, as if it ran alone.
  virtual int64_t rhs_evaluations(int lane) const = 0;
};

// `field` must outlive the stepper. INVALID_ARGUMENT unless `lanes` is 1 or field.simd_lanes().
absl::StatusOr<std::unique_ptr<Stepper>> MakeStepper(const Scheme& scheme, const VectorField& field,
                                                     int lanes);

// A step as it was taken: what it carried at t and the vectors it kept. Pointers into a Recording
// or a Stepper with W = 1.
struct StepRecord {
  double t = 0;
  double h = 0;  // t_next - t, rounded
  double t_next = 0;
  const double* y = nullptr;       // [carried][n] at t, y first
  const double* stages = nullptr;  // [stages][n]; null: recomputed, with the same bits
};

// Takes steps back, in W lanes: trajectories with steps and parameters of their own. Arrays are
// [element][lane]; a lane's bits do not depend on W. Thread-safety: one thread.
class StepInverse {
 public:
  virtual ~StepInverse() = default;

  virtual int lanes() const = 0;

  // Of a lane, `params` [m], copied; before Undo.
  virtual void SetParams(int lane, const double* params) = 0;

  // From what is carried at t_next, [carried][n][W], to what was carried at t, up to rounding
  // (nearly, for Reversal::kNear). `end` is read before `start` and `stages` are written to.
  // `stages` receives the vectors [stages][n][W] that the step kept, up to rounding; false: it does
  // not.
  virtual bool Undo(const double* t, const double* t_next, const double* end, double* start,
                    double* stages) = 0;

  // Of each lane, since it was made.
  virtual int64_t rhs_evaluations() const = 0;
};

// `field` must outlive the inverse. INVALID_ARGUMENT for a method that cannot go back, and unless
// `lanes` is 1 or field.simd_lanes().
absl::StatusOr<std::unique_ptr<StepInverse>> MakeStepInverse(const Scheme& scheme,
                                                             const VectorField& field,
                                                             int lanes = 1);

// Derivatives of single recorded steps of y1 = Phi(t, h, y, p) and of their dense output.
// Discrete derivatives: exact for the arithmetic of the step, step sizes taken as given. t and h
// are independent here: the step's end moves by d_t + d_h.
// Thread-safety: one thread.
class StepReplay {
 public:
  virtual ~StepReplay() = default;

  virtual int64_t num_states() const = 0;
  virtual int block() const = 0;  // W: tangents or cotangents handled at once

  // What a step carries beside y is started from (t0, y0): derivatives of that start. Without
  // effect where y alone is carried.
  //
  // Tangents in blocks: d_carried [carried][n][W] holds those of y0 in its first n rows, and
  // receives the others; d_t [W], d_p [m][W].
  virtual void StartJvp(double /*t0*/, const double* /*y0*/, const double* /*params*/,
                        const double* /*d_t*/, const double* /*d_p*/, double* /*d_carried*/) {}
  // Cotangents c_carried [carried][n], or [carried][n][W] with `blocks`: adds those through the
  // start to its first n rows, to c_p [m] and *c_t (with blocks [m][W] and [W]).
  virtual void StartVjp(double /*t0*/, const double* /*y0*/, const double* /*params*/,
                        bool /*blocks*/, double* /*c_carried*/, double* /*c_p*/, double* /*c_t*/) {}

  // Tangents, in blocks of W columns. d_t and d_h are [W], d_p is [m][W], d_y and d_y1
  // [carried][n][W]. d_y1 receives dPhi. d_error, if not null, receives the tangent of the embedded
  // error [n][W].
  //
  // FSAL methods (MethodInfo::fsal) can save one evaluation per step: d_k_end, if not null,
  // receives the tangent of the last stage [n][W], and is the d_k_first of the next step when that
  // starts where this one ends, with d_t + d_h, d_y1 and the same d_p. Null for other methods.
  virtual void Jvp(const StepRecord& step, const double* params, const double* d_t,
                   const double* d_h, const double* d_y, const double* d_p, double* d_y1,
                   double* d_error, const double* d_k_first = nullptr,
                   double* d_k_end = nullptr) = 0;

  // After Jvp, whose input buffers must still be as they were: tangents of the dense output of the
  // same step at the fixed time t + theta h (theta itself moves with t and h), theta in [0, 1];
  // d_out [n][W]. At theta = 1 that is the end point less its motion, d_y1 - y'(t1) (d_t + d_h).
  virtual void JvpInterpolate(double theta, double* d_out) = 0;

  // Cotangent of a value saved inside the step at a fixed time.
  struct SavedCotangent {
    double theta = 0;           // in [0, 1]
    const double* c = nullptr;  // [n]; VjpBlock: [n][W]
  };
  // Reverse, one cotangent at a time. c_y1 [carried][n] is the cotangent of the end point. Adds to
  // c_p [m], *c_t and *c_h (each of these two may be null: not wanted); writes c_y [carried][n]
  // (may alias c_y1). For Runge-Kutta methods
  //   Lambda_i = h f_y(t_i, Y_i)^T (b_i c_1 + sum_q B_i(theta_q) c_q + sum_{j>i} a_ji Lambda_j /
  //   h), i = s..1, c_y = c_1 + sum_q c_q + sum_i Lambda_i (Hager 2000; Sandu 2006; ARKODE guide,
  //   "Mathematics").
  virtual void Vjp(const StepRecord& step, const double* params, const double* c_y1,
                   absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
                   double* c_h) = 0;

  // The same for W cotangents at once: c_y1 and c_y are [carried][n][W], SavedCotangent::c is
  // [n][W], c_p is [m][W], c_t and c_h are [W]. Only for replays made with
  // ReplayUse::cotangent_blocks.
  virtual void VjpBlock(const StepRecord& step, const double* params, const double* c_y1,
                        absl::Span<const SavedCotangent> saved, double* c_y, double* c_p,
                        double* c_t, double* c_h) = 0;

  // After Jvp, Vjp or VjpBlock: the time derivative of that step's dense output at t + theta h,
  // [n].
  virtual void Slope(double theta, double* slope) = 0;

  virtual int64_t rhs_evaluations() const = 0;
  virtual int64_t jvp_evaluations() const = 0;  // kernel calls, each W tangents
  virtual int64_t vjp_evaluations() const = 0;  // kernel calls, each 1 or W cotangents
};

// Which members of a StepReplay will be called; the kernels of the others are not built.
struct ReplayUse {
  bool tangents = true;           // Jvp, JvpInterpolate
  bool cotangents = true;         // Vjp
  bool cotangent_blocks = false;  // VjpBlock
};

// `field` must outlive the replay.
absl::StatusOr<std::unique_ptr<StepReplay>> MakeStepReplay(const Scheme& scheme,
                                                           const VectorField& field,
                                                           const ReplayUse& use = {});

// A recorded step in each of W lanes; arrays are [element][lane].
struct LaneSteps {
  const double* t = nullptr;       // [W]
  const double* h = nullptr;       // [W], t_next - t
  const double* t_next = nullptr;  // [W]
  const double* y = nullptr;       // [carried][n][W] at t
  const double* stages = nullptr;  // [stages][n][W]
};

// Pulls back one recorded step in each of W lanes: trajectories with steps and parameters of their
// own. Per lane the bits are those of StepReplay. A lane that stands idle may hold any numbers; its
// results mean nothing. Thread-safety: one thread.
class LaneReplay {
 public:
  virtual ~LaneReplay() = default;

  virtual int lanes() const = 0;  // W > 1

  // A value saved inside a lane's step at a fixed time.
  struct SavedCotangent {
    double theta = 0;           // in [0, 1]
    const double* c = nullptr;  // [n]
    int lane = 0;
  };
  // params [m][W], c_y1 and c_y [carried][n][W] (may alias). Adds to c_p [m][W], and to c_t and c_h
  // [W], which may both be null.
  virtual void Vjp(const LaneSteps& steps, const double* params, const double* c_y1,
                   absl::Span<const SavedCotangent> saved, double* c_y, double* c_p, double* c_t,
                   double* c_h) = 0;

  // StepReplay::StartVjp for one lane: y0 [n] and params [m] are its own, c_carried
  // [carried][n][W], c_p [m][W] and c_t [W] those of all lanes.
  virtual void StartVjp(int /*lane*/, double /*t0*/, const double* /*y0*/, const double* /*params*/,
                        double* /*c_carried*/, double* /*c_p*/, double* /*c_t*/) {}

  // After Vjp: the time derivative of the dense output of a lane's step at t + theta h, [n].
  virtual void Slope(int lane, double theta, double* slope) = 0;

  // Kernel calls, each W lanes.
  virtual int64_t rhs_evaluations() const = 0;
  virtual int64_t vjp_evaluations() const = 0;
};

// `field` must outlive the replay. INVALID_ARGUMENT unless field.simd_lanes() > 1.
absl::StatusOr<std::unique_ptr<LaneReplay>> MakeLaneReplay(const Scheme& scheme,
                                                           const VectorField& field);

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_STEPPER_H_
