#include "engine/complex_pass.h"

#include <algorithm>
#include <cmath>
#include <complex>
#include <limits>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/gradients/stop_check.h"
#include "engine/interpreter/complex_evaluate.h"
#include "engine/pass_values.h"
#include "engine/shifted_solve.h"
#include "engine/solvers/rk/erk.h"
#include "engine/tangent_pass.h"

namespace costate {
namespace {

using Complex = std::complex<double>;
using ComplexVector = std::vector<Complex>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kDefaultStep = 1e-30;  // relative to a column; its square is lost in rounding

// Saved values of a complex solve, as in SavedValues.
struct ComplexValues {
  ComplexVector states, outputs, terminal_state, terminal_output;
};

// One trajectory in complex numbers on given steps.
class ComplexSolve {
 public:
  ComplexSolve(const ModelIr& ir, const SolveOptions& options, ComplexVector params,
               ComplexVector grid)
      : ir_(ir),
        options_(options),
        table_(rk::GetTableau(options.method)),
        params_(std::move(params)),
        grid_(std::move(grid)) {}

  // `move` is added to every saved time; the step that makes a value stays the same.
  absl::StatusOr<ComplexValues> Run(ComplexVector y, const std::vector<double>& times, Complex move,
                                    StopCheck* stop, int64_t* evaluations) {
    y_ = std::move(y);
    size_t next = 0;
    const double way = grid_.back().real() >= grid_.front().real() ? 1 : -1;
    for (size_t k = 0; k + 1 < grid_.size(); ++k) {
      RETURN_IF_ERROR(stop->Poll());
      const Complex t = grid_[k], h = grid_[k + 1] - t;
      const bool last = k + 2 == grid_.size();
      stages_.clear();
      FillStages(t, h, table_.info.stages);
      ComplexVector end = Advance(h, table_.b);
      for (; next < times.size() && way * (times[next] - grid_[k + 1].real()) <= 0; ++next) {
        // An inner grid point's value is the state itself; at the ends the grid may move.
        const Complex at = times[next] + move;
        if (at == Complex(grid_[k + 1].real()) && !last) {
          Save(at, end);
        } else {
          FillStages(t, h, table_.rows);
          Save(at, Advance(h, DenseWeights((at - t) / h)));
        }
      }
      y_ = std::move(end);
    }
    for (; next < times.size(); ++next) Save(times[next] + move, y_);  // a span without steps
    values_.terminal_state = y_;
    values_.terminal_output = OutputsAt(grid_.back(), y_);
    if (options_.save.kind == SaveAt::Kind::kEnd) {
      values_.states = values_.terminal_state;
      values_.outputs = values_.terminal_output;
    }
    *evaluations += evaluations_;
    return std::move(values_);
  }

 private:
  // Derivatives of the stages up to `rows`.
  void FillStages(Complex t, Complex h, int rows) {
    for (int i = static_cast<int>(stages_.size()); i < rows; ++i) {
      const ComplexVector at = Advance(h, table_.a.subspan(i * table_.rows, i));
      stages_.push_back(InterpretComplex(ir_.rhs, {{t + table_.c[i] * h}, at, params_})[0]);
      ++evaluations_;
    }
  }

  // y + h sum_i weights_i k_i
  template <typename Weights>
  ComplexVector Advance(Complex h, const Weights& weights) const {
    ComplexVector result = y_;
    for (size_t i = 0; i < weights.size(); ++i) {
      if (weights[i] == 0.0) continue;
      const Complex factor = h * weights[i];
      for (size_t e = 0; e < result.size(); ++e) result[e] += factor * stages_[i][e];
    }
    return result;
  }

  ComplexVector DenseWeights(Complex theta) const {
    ComplexVector weights(table_.rows);
    for (int i = 0; i < table_.rows; ++i) {
      Complex power = 1;
      for (int d = 0; d < table_.dense_degree; ++d) {
        power *= theta;
        weights[i] += table_.dense[i * table_.dense_degree + d] * power;
      }
    }
    return weights;
  }

  ComplexVector OutputsAt(Complex t, const ComplexVector& y) const {
    if (ir_.num_outputs() == 0) return {};
    return InterpretComplex(ir_.output_map, {{t}, y, params_})[0];
  }

  void Save(Complex t, const ComplexVector& y) {
    const ComplexVector outputs = OutputsAt(t, y);
    values_.states.insert(values_.states.end(), y.begin(), y.end());
    values_.outputs.insert(values_.outputs.end(), outputs.begin(), outputs.end());
  }

  const ModelIr& ir_;
  const SolveOptions& options_;
  const rk::TableauView table_;
  const ComplexVector params_;
  const ComplexVector grid_;
  ComplexVector y_;
  std::vector<ComplexVector> stages_;
  ComplexValues values_;
  int64_t evaluations_ = 0;
};

// sum of weights times imaginary parts, over [first, last) of the weights there are
double DotImaginary(const std::vector<double>& weights, const ComplexVector& values,
                    size_t first = 0, size_t last = std::numeric_limits<size_t>::max()) {
  double sum = 0;
  for (size_t i = first; i < std::min(last, weights.size()); ++i) {
    if (weights[i] != 0) sum += weights[i] * values[i].imag();
  }
  return sum;
}

class ComplexPass : public GradientPass {
 public:
  explicit ComplexPass(const PassInput& input)
      : input_(input), columns_(NumColumns(*input.wrt)), sizes_(ColumnSizes(input)) {}

  absl::Status Solve() override {
    SolveOptions options = *input_.options;
    options.return_grid = true;
    ShiftedSolve solve(input_, options);
    ASSIGN_OR_RETURN(primal_, solve.At({}, input_.companions));
    grid_ = primal_.grid;
    if (!input_.options->return_grid) primal_.grid.clear();
    return absl::OkStatus();
  }

  absl::Status PullBack(absl::Span<const Cotangents> cotangents,
                        PassGradients* gradients) override {
    const size_t rows = input_.want_times ? primal_.values.times.size() : 0;
    gradients->values.assign(cotangents.size() * columns_, kNaN);
    gradients->times.assign(cotangents.size() * rows, kNaN);
    if (!primal_.reached()) return absl::OkStatus();
    absl::Status status = Fill(cotangents, gradients);
    if (status.ok() && rows > 0) status = FillTimes(cotangents, gradients);
    if (status.ok()) return status;
    gradients->values.assign(cotangents.size() * columns_, kNaN);
    gradients->times.assign(cotangents.size() * rows, kNaN);
    return EndEarly(input_, status, &primal_);
  }

 private:
  absl::Status Fill(absl::Span<const Cotangents> cotangents, PassGradients* gradients) {
    StopCheck stop(input_.stop);
    const double relative = input_.difference->step.value_or(kDefaultStep);
    for (int64_t q = 0; q < columns_; ++q) {
      const double step = relative * sizes_[q];
      ComplexVector params;
      ASSIGN_OR_RETURN(const ComplexValues values, SolveAlong(q, step, 0, &stop, &params));
      for (size_t v = 0; v < cotangents.size(); ++v) {
        const Cotangents& c = cotangents[v];
        const double sum = DotImaginary(c.states, values.states) +
                           DotImaginary(c.outputs, values.outputs) +
                           DotImaginary(c.terminal_state, values.terminal_state) +
                           DotImaginary(c.terminal_output, values.terminal_output) +
                           DotImaginary(c.params, params);
        gradients->values[v * columns_ + q] = sum / step;
      }
    }
    return absl::OkStatus();
  }

  // A saved value depends on its own time alone, so one solve moves them all.
  absl::Status FillTimes(absl::Span<const Cotangents> cotangents, PassGradients* gradients) {
    StopCheck stop(input_.stop);
    const Problem problem = input_.bound->one(input_.trajectory);
    const double span = std::fabs(problem.t1[0] - problem.t0[0]);
    const double step = input_.difference->step.value_or(kDefaultStep) * (span > 0 ? span : 1.0);
    ComplexVector params;
    ASSIGN_OR_RETURN(const ComplexValues values, SolveAlong(-1, 0, step, &stop, &params));
    const size_t rows = primal_.values.times.size();
    const size_t n = values.terminal_state.size(), k = values.terminal_output.size();
    for (size_t v = 0; v < cotangents.size(); ++v) {
      const Cotangents& c = cotangents[v];
      for (size_t r = 0; r < rows; ++r) {
        const double sum = DotImaginary(c.states, values.states, r * n, (r + 1) * n) +
                           DotImaginary(c.outputs, values.outputs, r * k, (r + 1) * k);
        gradients->times[v * rows + r] = sum / step + (c.times.empty() ? 0.0 : c.times[r]);
      }
    }
    return absl::OkStatus();
  }

  // Column q, if any, moved by i * step, and the saved times by i * time_step. `params` receives
  // the parameters there.
  absl::StatusOr<ComplexValues> SolveAlong(int64_t q, double step, double time_step,
                                           StopCheck* stop, ComplexVector* params) {
    const Problem problem = input_.bound->one(input_.trajectory);
    const ModelIr& ir = input_.bound->model->ir();
    const Complex move(0, step);
    params->assign(problem.params.begin(), problem.params.end());
    ComplexVector grid(grid_.begin(), grid_.end());
    ComplexVector y(problem.y0.begin(), problem.y0.end());
    int64_t state = -1;
    ForEachEntry(*input_.wrt, [&](const WrtEntry& entry, int64_t first) {
      if (q < first || q >= first + entry.size) return;
      const int64_t element = entry.offset + q - first;
      if (entry.kind == WrtEntry::Kind::kParam) (*params)[element] += move;
      if (entry.kind == WrtEntry::Kind::kInitialState) state = element;
      if (entry.kind == WrtEntry::Kind::kT0) grid.front() += move;
      if (entry.kind == WrtEntry::Kind::kT1) grid.back() += move;
    });
    const ComplexVector init = InterpretComplex(ir.init, {{grid.front()}, *params})[0];
    for (size_t i = 0; i < y.size(); ++i) {
      if (!input_.bound->given[i]) y[i] = init[i];
    }
    if (state >= 0) y[state] += move;
    ComplexSolve solve(ir, *input_.options, *params, std::move(grid));
    const bool at_times = input_.options->save.kind == SaveAt::Kind::kTimes;
    return solve.Run(std::move(y), at_times ? primal_.values.times : std::vector<double>(),
                     Complex(0, time_step), stop, &primal_.stats.adjoint.rhs_evaluations);
  }

  const PassInput input_;
  const int64_t columns_;
  const std::vector<double> sizes_;
  std::vector<double> grid_;
};

}  // namespace

std::unique_ptr<GradientPass> MakeComplexPass(const PassInput& input) {
  return std::make_unique<ComplexPass>(input);
}

}  // namespace costate
