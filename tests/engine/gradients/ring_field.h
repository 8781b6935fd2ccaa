// Many states at little cost: y_i' = p (y_{i+1} - y_i) around a ring. The sum of the states does
// not change, so its gradient is known for any number of steps.
#ifndef COSTATE_TESTS_ENGINE_GRADIENTS_RING_FIELD_H_
#define COSTATE_TESTS_ENGINE_GRADIENTS_RING_FIELD_H_

#include <cstdint>
#include <vector>

#include "engine/solvers/problem.h"
#include "engine/solvers/vector_field.h"

namespace costate::testing {

// One lane only.
class RingField : public DifferentiableMap {
 public:
  explicit RingField(int64_t n) : n_(n) {}
  int64_t num_states() const override { return n_; }
  int64_t num_params() const override { return 1; }
  int64_t num_values() const override { return n_; }
  int simd_lanes() const override { return 1; }
  absl::StatusOr<Kernel> Get(MapKernel kind, int /*lanes*/) const override {
    if (kind == MapKernel::kValue) return Kernel(&Value, this, nullptr, 1, 0);
    if (kind == MapKernel::kVjp) return Kernel(&Cotangent, this, nullptr, 1, 0);
    return absl::UnimplementedError("not needed");
  }

 private:
  static void Value(const void* self, const double* const* in, double* const* out, double*) {
    const int64_t n = static_cast<const RingField*>(self)->n_;
    const double p = in[2][0];
    for (int64_t i = 0; i + 1 < n; ++i) out[0][i] = p * (in[1][i + 1] - in[1][i]);
    out[0][n - 1] = p * (in[1][0] - in[1][n - 1]);
  }
  static void Cotangent(const void* self, const double* const* in, double* const* out, double*) {
    const int64_t n = static_cast<const RingField*>(self)->n_;
    const double* y = in[1];
    const double* c = in[3];
    const double p = in[2][0];
    out[0][0] = 0;
    double sum = c[n - 1] * (y[0] - y[n - 1]);
    for (int64_t i = 0; i + 1 < n; ++i) sum += c[i] * (y[i + 1] - y[i]);
    out[2][0] = sum;
    out[1][0] = p * (c[n - 1] - c[0]);
    for (int64_t i = 1; i < n; ++i) out[1][i] = p * (c[i - 1] - c[i]);
  }

  int64_t n_;
};

struct RingProblem {
  RingProblem(int64_t n, double end) : t1(end), y0(n), field(n) {
    for (int64_t i = 0; i < n; ++i) y0[i] = 1.0 / static_cast<double>(1 + i % 7);
  }

  double t0 = 0;
  double t1 = 1;
  std::vector<double> y0;
  std::vector<double> params = {0.5};
  RingField field;

  Problem problem() const {
    Problem p;
    p.field = &field;
    p.t0 = absl::MakeConstSpan(&t0, 1);
    p.t1 = absl::MakeConstSpan(&t1, 1);
    p.y0 = y0;
    p.params = params;
    return p;
  }
};

}  // namespace costate::testing

#endif  // COSTATE_TESTS_ENGINE_GRADIENTS_RING_FIELD_H_
