// A DifferentiableMap from a generic C++ function, for tests and benchmarks without a model.
//
//   struct Decay {
//     static constexpr int64_t kStates = 1, kParams = 1, kValues = 1;
//     template <typename S>
//     void operator()(const S& t, const S* y, const S* p, S* value) const { value[0] = -p[0] *
//     y[0]; }
//   };
//   GenericMap<Decay> field;
//
// Derivatives are forward mode throughout (cotangents by all columns of the Jacobian), exact to
// rounding.
#ifndef COSTATE_TESTS_PROBLEMS_GENERIC_MAP_H_
#define COSTATE_TESTS_PROBLEMS_GENERIC_MAP_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "engine/base/kernel.h"
#include "engine/solvers/vector_field.h"
#include "tests/problems/scalars.h"

namespace costate {

template <typename F>
class GenericMap final : public DifferentiableMap {
 public:
  explicit GenericMap(F function = F(), int simd_lanes = 8)
      : function_(std::make_shared<const F>(std::move(function))), simd_lanes_(simd_lanes) {}

  int64_t num_states() const override { return function_->kStates; }
  int64_t num_params() const override { return function_->kParams; }
  int64_t num_values() const override { return function_->kValues; }
  int simd_lanes() const override { return simd_lanes_; }

  absl::StatusOr<Kernel> Get(MapKernel kind, int lanes) const override {
    if (lanes == 1) return Make<1>(kind);
    if (lanes == 2) return Make<2>(kind);
    if (lanes == 4) return Make<4>(kind);
    if (lanes == 8) return Make<8>(kind);
    return absl::InvalidArgumentError("lane count must be 1, 2, 4 or 8");
  }

 private:
  template <int W>
  Kernel Make(MapKernel kind) const {
    switch (kind) {
      case MapKernel::kValue:
        return {&Value<W>, function_.get(), function_, W, 0};
      case MapKernel::kJvp:
        return {&JvpOfLanes<W>, function_.get(), function_, W, Size<1>()};
      case MapKernel::kTangentBlock:
        return {&TangentBlock<W>, function_.get(), function_, W, Size<W>()};
      case MapKernel::kVjp:
        return {&VjpOfLanes<W>, function_.get(), function_, W, Size<8>()};
      case MapKernel::kCotangentBlock:
        break;
    }
    return {&CotangentBlock<W>, function_.get(), function_, W, Size<8>()};
  }

  static const F& Function(const void* context) { return *static_cast<const F*>(context); }

  // Doubles for t, y, p and the values as Dual<W>.
  template <int W>
  int64_t Size() const {
    return (1 + num_states() + num_params() + num_values()) * (1 + W);
  }
  template <int W>
  struct Arguments {
    Dual<W>*t, *y, *p, *value;
    Arguments(const F& f, double* scratch)
        : t(reinterpret_cast<Dual<W>*>(scratch)),
          y(t + 1),
          p(y + f.kStates),
          value(p + f.kParams) {}
  };

  template <int W>
  static void Value(const void* context, const double* const* in, double* const* out, double*) {
    const F& f = Function(context);
    if constexpr (W == 1) {
      f(in[0][0], in[1], in[2], out[0]);
    } else {
      f(*reinterpret_cast<const Lanes<W>*>(in[0]), reinterpret_cast<const Lanes<W>*>(in[1]),
        reinterpret_cast<const Lanes<W>*>(in[2]), reinterpret_cast<Lanes<W>*>(out[0]));
    }
  }

  // x with derivatives d_x[0 .. W), for `count` elements.
  template <int W>
  static void Fill(Dual<W>* to, const double* x, const double* d_x, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      to[i].v = x[i];
      std::copy_n(d_x + i * W, W, to[i].d);
    }
  }

  template <int W>
  static void TangentBlock(const void* context, const double* const* in, double* const* out,
                           double* scratch) {
    const F& f = Function(context);
    const Arguments<W> a(f, scratch);
    Fill(a.t, in[0], in[3], 1);
    Fill(a.y, in[1], in[4], f.kStates);
    Fill(a.p, in[2], in[5], f.kParams);
    f(*a.t, a.y, a.p, a.value);
    for (int64_t i = 0; i < f.kValues; ++i) std::copy_n(a.value[i].d, W, out[0] + i * W);
  }

  template <int W>
  static void FillLane(Dual<1>* to, const double* x, const double* d_x, int64_t count, int lane) {
    for (int64_t i = 0; i < count; ++i) {
      to[i].v = x[i * W + lane];
      to[i].d[0] = d_x[i * W + lane];
    }
  }

  template <int W>
  static void JvpOfLanes(const void* context, const double* const* in, double* const* out,
                         double* scratch) {
    const F& f = Function(context);
    const Arguments<1> a(f, scratch);
    for (int l = 0; l < W; ++l) {
      FillLane<W>(a.t, in[0], in[3], 1, l);
      FillLane<W>(a.y, in[1], in[4], f.kStates, l);
      FillLane<W>(a.p, in[2], in[5], f.kParams, l);
      f(*a.t, a.y, a.p, a.value);
      for (int64_t i = 0; i < f.kValues; ++i) out[0][i * W + l] = a.value[i].d[0];
    }
  }

  // Calls use(column, derivative of the values) for every input: t, y, p in this order. `at(buffer,
  // i)` is element i of that input buffer.
  template <typename At, typename Use>
  static void ForColumns(const F& f, double* scratch, const At& at, const Use& use) {
    const Arguments<8> a(f, scratch);
    const int64_t columns = 1 + f.kStates + f.kParams;
    for (int64_t first = 0; first < columns; first += 8) {
      for (int64_t c = 0; c < columns; ++c) {
        const int buffer = c == 0 ? 0 : c <= f.kStates ? 1 : 2;
        a.t[c] = Dual<8>(at(buffer, buffer == 0 ? 0 : buffer == 1 ? c - 1 : c - 1 - f.kStates));
        if (c >= first && c < first + 8) a.t[c].d[c - first] = 1;
      }
      f(*a.t, a.y, a.p, a.value);
      for (int64_t c = first; c < std::min(first + 8, columns); ++c) {
        use(c, [&](int64_t i) { return a.value[i].d[c - first]; });
      }
    }
  }

  // out[.][i] of column c: c_t, c_y or c_p.
  template <int W>
  static double& Target(const F& f, double* const* out, int64_t c, int lane) {
    if (c == 0) return out[0][lane];
    if (c <= f.kStates) return out[1][(c - 1) * W + lane];
    return out[2][(c - 1 - f.kStates) * W + lane];
  }

  template <int W>
  static void VjpOfLanes(const void* context, const double* const* in, double* const* out,
                         double* scratch) {
    const F& f = Function(context);
    for (int l = 0; l < W; ++l) {
      ForColumns(
          f, scratch, [&](int buffer, int64_t i) { return in[buffer][i * W + l]; },
          [&](int64_t c, const auto& derivative) {
            double sum = 0;
            for (int64_t i = 0; i < f.kValues; ++i) sum += in[3][i * W + l] * derivative(i);
            Target<W>(f, out, c, l) = sum;
          });
    }
  }

  template <int W>
  static void CotangentBlock(const void* context, const double* const* in, double* const* out,
                             double* scratch) {
    const F& f = Function(context);
    ForColumns(
        f, scratch, [&](int buffer, int64_t i) { return in[buffer][i]; },
        [&](int64_t c, const auto& derivative) {
          for (int l = 0; l < W; ++l) {
            double sum = 0;
            for (int64_t i = 0; i < f.kValues; ++i) sum += in[3][i * W + l] * derivative(i);
            Target<W>(f, out, c, l) = sum;
          }
        });
  }

  std::shared_ptr<const F> function_;
  int simd_lanes_;
};

}  // namespace costate

#endif  // COSTATE_TESTS_PROBLEMS_GENERIC_MAP_H_
