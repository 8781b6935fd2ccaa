// What is differentiated: a scalar of the saved values, given as data.
//
// Saved values are, per save time, the state [n] and the outputs [k]. A Loss turns them into a
// number and into cotangents; several linear functionals at once are what ComputeVjp takes.
#ifndef COSTATE_ENGINE_GRADIENTS_LOSS_H_
#define COSTATE_ENGINE_GRADIENTS_LOSS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/base/kernel.h"
#include "engine/base/named_array.h"

namespace costate {

// Saved values of one trajectory at K times. Row-major.
struct SavedValues {
  std::vector<double> times;            // [K]
  std::vector<double> states;           // [K, n]
  std::vector<double> outputs;          // [K, k]
  std::vector<double> terminal_state;   // [n], y(t1)
  std::vector<double> terminal_output;  // [k]
};

// dL/d(saved values), same shapes; an empty vector means all zero.
struct Cotangents {
  std::vector<double> states = {};
  std::vector<double> outputs = {};
  std::vector<double> terminal_state = {};
  std::vector<double> terminal_output = {};
  std::vector<double> params = {};  // [m], at fixed saved values
  std::vector<double> times = {};   // [K], dL/d(times[k]) at fixed saved values
};

// One column of the flat state or output vector.
struct Channel {
  enum class Kind { kState, kOutput };
  Kind kind = Kind::kOutput;
  int64_t index = 0;  // element
};

// L += 1/2 or 1 times sum_i ((v(t_i) - values_i) / sigma_i)^2 (see `half`). NaN in `values` marks
// a missing point, which is skipped.
struct LeastSquares {
  Channel channel;
  std::vector<double> times;   // [N], any order, within [t0, t1]
  std::vector<double> values;  // [N]
  std::vector<double> sigma;   // [N] or [1]; > 0
  bool half = false;           // the factor 1/2
};

// L += sum over `times` of weights . values: the product of a constant cotangent.
struct Linear {
  std::vector<double> times;    // [K]
  std::vector<double> states;   // [K, n] or empty
  std::vector<double> outputs;  // [K, k] or empty
};

// L += weights . y(t1) + weights . out(t1).
struct Terminal {
  std::vector<double> state;   // [n] or empty
  std::vector<double> output;  // [k] or empty
};

// An expression compiled for K times (see prepare_loss.h): a scalar function of values y, which are
// gathered from the saved ones, and of p = {parameters, data}.
struct CompiledExpression {
  // Elements [offset, offset + size) of every state or output row, or the times (size 1): one
  // [K, size] part of y, in the order of the list.
  struct Block {
    enum class Kind { kState, kOutput, kTime };
    Kind kind = Kind::kState;
    int64_t offset = 0;
    int64_t size = 1;
  };
  std::vector<Block> blocks;
  int64_t num_values = 0;    // elements of y
  int64_t num_params = 0;    // m
  bool uses_params = false;  // else it has no derivative by them
  Kernel gradient;           // {t, y, p, c} -> {value, c_y, c_p}; t is not used, c is [1]
};

// L += a scalar expression in the model language of saved values at `times`. States and outputs of
// the model stand for their values, [K, shape]; t for the times, [K]; parameters and data for
// themselves.
struct ExpressionLoss {
  std::string text;
  std::vector<double> times;     // [K] within [t0, t1], any order, repeats allowed
  std::vector<NamedArray> data;  // finite, or NaN; names that the model does not use

  // Set by PrepareLoss; no business of a request.
  std::shared_ptr<const CompiledExpression> compiled = nullptr;
  std::vector<double> flat_data = {};  // of all arrays, one after another
};

// L += integral of g(t, y, p) dt over [t0, t1], for a scalar expression g in the model language of
// states, outputs, parameters and t: a running loss.
struct IntegralLoss {
  std::string integrand;
};

struct Loss {
  std::vector<std::variant<LeastSquares, Linear, Terminal, ExpressionLoss, IntegralLoss>>
      terms;  // summed
};

// Union of the terms' times, ascending along the integration from t0 to t1, without repeats.
std::vector<double> LossTimes(const Loss& loss, bool backwards);

// Sizes, finiteness, times within the span; not the texts. Field paths: <path>.terms[i].times[j]
// and so on.
absl::Status ValidateLoss(const Loss& loss, double t0, double t1, int64_t num_states,
                          int64_t num_outputs, std::string_view path = "loss");

// L and its cotangents from one set of saved values, whose times are LossTimes, and the parameters
// [m] they were computed with. The loss was prepared: it has no IntegralLoss, and its expressions
// are compiled. L is NaN where a needed value is NaN.
struct LossValue {
  double value = 0;
  Cotangents cotangents;
};
LossValue EvaluateLoss(const Loss& loss, const SavedValues& saved, absl::Span<const double> params);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_LOSS_H_
