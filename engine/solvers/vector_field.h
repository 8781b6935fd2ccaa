// What a solver knows of a model: a map of (t, y, p) and its derivatives, as kernels.
//
// The right-hand side of y' = f(t, y, p) is a VectorField; initial state and outputs are maps of
// the same kind. Compiled models and C++ functions implement the same class, so solvers are
// tested on lambdas.
#ifndef COSTATE_ENGINE_SOLVERS_VECTOR_FIELD_H_
#define COSTATE_ENGINE_SOLVERS_VECTOR_FIELD_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "engine/base/kernel.h"

namespace costate {

// The functions derived from a map g. Signature {inputs} -> {outputs}; u marks uniform buffers,
// all others are varying ([element][lane], see base/kernel.h). Sizes: t[1], y[num_states],
// p[num_params], value[num_values]; d_x is a tangent, c_x a cotangent of x.
enum class MapKernel {
  kValue,           // {t, y, p} -> {value}                      lanes are trajectories
  kJvp,             // {t, y, p, d_t, d_y, d_p} -> {d_value}     lanes are trajectories
  kVjp,             // {t, y, p, c_value} -> {c_t, c_y, c_p}     lanes are trajectories
  kTangentBlock,    // {t u, y u, p u, d_t, d_y, d_p} -> {d_value}    lanes are tangents
  kCotangentBlock,  // {t u, y u, p u, c_value} -> {c_t, c_y, c_p}    lanes are cotangents
};

// g: (t, y, p) -> R^num_values. Thread-safety: all members may be called from any thread.
class DifferentiableMap {
 public:
  virtual ~DifferentiableMap() = default;

  virtual int64_t num_states() const = 0;
  virtual int64_t num_params() const = 0;
  virtual int64_t num_values() const = 0;

  // The lane count to use for many trajectories, tangents or cotangents: 1, 2, 4 or 8.
  virtual int simd_lanes() const = 0;

  // `lanes` is 1 or simd_lanes(). Built at first use and kept. The same bits per lane for every
  // lane count and kind of lanes.
  virtual absl::StatusOr<Kernel> Get(MapKernel kind, int lanes) const = 0;

  // What messages call element `state` of y: "state v[3]" where states have names.
  virtual std::string StateName(int64_t state) const { return "state " + std::to_string(state); }
};

// A DifferentiableMap with num_values() == num_states().
using VectorField = DifferentiableMap;

}  // namespace costate

#endif  // COSTATE_ENGINE_SOLVERS_VECTOR_FIELD_H_
