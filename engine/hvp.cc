#include "engine/hvp.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/bind.h"
#include "engine/compose.h"
#include "engine/derived_code.h"
#include "engine/differentiate.h"
#include "engine/gradient_pass.h"
#include "engine/gradients/loss_curvature.h"
#include "engine/map_rows.h"
#include "engine/model/model.h"
#include "engine/model_maps.h"
#include "engine/pass_values.h"
#include "engine/prepare_loss.h"
#include "engine/resolve_options.h"
#include "engine/tangent_pass.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

absl::Status CheckWrt(const std::vector<WrtEntry>& wrt) {
  for (size_t i = 0; i < wrt.size(); ++i) {
    const WrtEntry::Kind kind = wrt[i].kind;
    if (kind == WrtEntry::Kind::kParam || kind == WrtEntry::Kind::kInitialState) continue;
    return FieldError(absl::StrCat("wrt[", i, "]"), absl::StrCat("'", wrt[i].name, "'"),
                      "parameters and states; Hessian products do not move the ends of the span");
  }
  return absl::OkStatus();
}

absl::Status CheckVectors(const std::vector<double>& vectors, int64_t columns) {
  if (vectors.empty() || vectors.size() % columns != 0) {
    return FieldError("vectors", absl::StrCat(vectors.size(), " values"),
                      absl::StrCat("rows of ", columns, " values, one for each element of wrt"));
  }
  for (size_t i = 0; i < vectors.size(); ++i) {
    if (std::isfinite(vectors[i])) continue;
    return FieldError(absl::StrCat("vectors[", i, "]"), absl::StrCat(vectors[i]),
                      "a finite number");
  }
  return absl::OkStatus();
}

absl::Status CheckGaussNewton(const Loss& loss) {
  for (size_t i = 0; i < loss.terms.size(); ++i) {
    if (!std::holds_alternative<IntegralLoss>(loss.terms[i])) continue;
    return FieldError(absl::StrCat("loss.terms[", i, "].integral"),
                      "a running loss with gauss_newton",
                      "terms of saved values, or the full Hessian (gauss_newton unset)");
  }
  return absl::OkStatus();
}

// The columns [from, from + width) of rows of `values`, which are `stride` apart.
std::vector<double> Columns(const std::vector<double>& values, size_t stride, size_t from,
                            size_t width) {
  std::vector<double> part;
  if (stride == 0) return part;
  part.reserve(values.size() / stride * width);
  for (size_t i = from; i < values.size(); i += stride) {
    part.insert(part.end(), values.begin() + i, values.begin() + i + width);
  }
  return part;
}

// Saved values of the model with tangents: the first or the second half of every row.
SavedValues Half(const SavedValues& saved, bool second) {
  const auto half = [second](const std::vector<double>& values, size_t rows) {
    const size_t width = rows == 0 ? 0 : values.size() / rows;
    return Columns(values, width, second ? width / 2 : 0, width / 2);
  };
  const size_t rows = saved.times.size();
  return {.times = second ? std::vector<double>() : saved.times,
          .states = half(saved.states, rows),
          .outputs = half(saved.outputs, rows),
          .terminal_state = half(saved.terminal_state, 1),
          .terminal_output = half(saved.terminal_output, 1)};
}

// [rows, width] twice as [rows, 2 width]; an empty one is zero, two empty ones are nothing.
std::vector<double> SideBySide(const std::vector<double>& left, const std::vector<double>& right,
                               size_t rows) {
  const size_t size = std::max(left.size(), right.size());
  std::vector<double> both(2 * size);
  if (size == 0) return both;
  const size_t width = size / rows;
  for (size_t row = 0; row < rows; ++row) {
    double* to = both.data() + 2 * row * width;
    if (!left.empty()) std::copy_n(left.data() + row * width, width, to);
    if (!right.empty()) std::copy_n(right.data() + row * width, width, to + width);
  }
  return both;
}

// Of phi = gradient . (the tangents), at the saved values of the model with tangents.
Cotangents OfDirectionalDerivative(const LossCurvature& curvature, size_t rows) {
  const Cotangents& h = curvature.hessian_times;
  const Cotangents& g = curvature.gradient;
  Cotangents both;
  both.states = SideBySide(h.states, g.states, rows);
  both.outputs = SideBySide(h.outputs, g.outputs, rows);
  both.terminal_state = SideBySide(h.terminal_state, g.terminal_state, 1);
  both.terminal_output = SideBySide(h.terminal_output, g.terminal_output, 1);
  both.params = h.params;
  return both;
}

absl::StatusOr<std::shared_ptr<const Model>> TangentModel(const Model& model) {
  return model.derived().Get<Model>(
      "tangents",
      [&](std::shared_ptr<Evaluator> evaluator) -> absl::StatusOr<std::shared_ptr<const Model>> {
        ASSIGN_OR_RETURN(ModelIr twice, WithTangents(model.ir()));
        RETURN_IF_ERROR(VerifyModel(twice));
        return MakeModel(std::move(twice), model.resource_name(), std::move(evaluator));
      });
}

void AddStats(const GradientStats& more, GradientStats* sum) {
  sum->solve.rhs_evaluations += more.solve.rhs_evaluations;
  AdjointStats& adjoint = sum->adjoint;
  adjoint.replayed_steps += more.adjoint.replayed_steps;
  adjoint.recomputed_steps += more.adjoint.recomputed_steps;
  adjoint.rhs_evaluations += more.adjoint.rhs_evaluations;
  adjoint.vjp_evaluations += more.adjoint.vjp_evaluations;
  adjoint.peak_stored_bytes = std::max(adjoint.peak_stored_bytes, more.adjoint.peak_stored_bytes);
  sum->tangents.jvp_evaluations += more.tangents.jvp_evaluations;
}

// A checked request on its way.
class Products {
 public:
  Products(const HvpRequest& request, const PreparedLoss& prepared, const CurvatureKernels& kernels,
           const PassInput& input, HvpResult* result)
      : prepared_(prepared),
        kernels_(kernels),
        input_(input),
        gauss_newton_(request.gauss_newton),
        vectors_(request.vectors),
        columns_(NumColumns(*input.wrt)),
        num_vectors_(static_cast<int64_t>(request.vectors.size()) / columns_),
        result_(*result) {}

  absl::Status Run() {
    GradientResult::PerTrajectory& primal = result_.primal;
    primal.loss = kNaN;
    primal.gradient.assign(columns_, kNaN);
    result_.products.assign(vectors_.size(), kNaN);
    const std::unique_ptr<GradientPass> pass = MakeGradientPass(GradientMethod::kBackprop, input_);
    RETURN_IF_ERROR(pass->Solve());
    const absl::Status status = AtThePrimal(*pass);
    PassPrimal& values = pass->primal();
    primal.saved = std::move(values.values);
    primal.termination = ended_.has_value() ? *ended_ : std::move(values.termination);
    primal.stats = values.stats;
    AddStats(more_, &primal.stats);
    primal.grid = std::move(values.grid);
    return status;
  }

 private:
  absl::Status AtThePrimal(GradientPass& pass) {
    if (!pass.primal().reached()) return absl::OkStatus();
    const Problem problem = input_.bound->one(0);
    const LossValue value = EvaluateLoss(prepared_.loss, pass.primal().values, problem.params);
    if (std::isnan(value.value)) return absl::OkStatus();
    PassGradients gradients;
    RETURN_IF_ERROR(pass.PullBack(absl::MakeConstSpan(&value.cotangents, 1), &gradients));
    if (!pass.primal().reached()) return absl::OkStatus();
    result_.primal.loss = value.value;
    result_.primal.gradient = std::move(gradients.values);

    frozen_ = *input_.options;
    frozen_.control.kind = StepControl::Kind::kGrid;
    frozen_.control.grid = pass.primal().grid;
    frozen_.control.atol.resize(1);  // plays no part
    frozen_.return_grid = false;
    return gauss_newton_ ? GaussNewton(pass) : Hessian();
  }

  absl::Status Hessian() {
    ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model, TangentModel(*input_.bound->model));
    for (int64_t v = 0; v < num_vectors_ && !ended_.has_value(); ++v) {
      const absl::Span<const double> direction =
          absl::MakeConstSpan(vectors_).subspan(v * columns_, columns_);
      ASSIGN_OR_RETURN(const BoundSimulation bound, BindTangents(*model, direction));
      RETURN_IF_ERROR(
          PrepareGradientKernels(bound, GradientMethod::kBackprop, NumTimes()).status());
      RETURN_IF_ERROR(MultiplyHessian(bound, v));
    }
    return absl::OkStatus();
  }

  int64_t NumTimes() const { return static_cast<int64_t>(frozen_.save.times.size()); }

  // Elements of `vector` along each element of p or of y(t0).
  std::vector<double> Scattered(WrtEntry::Kind kind, absl::Span<const double> vector,
                                int64_t size) const {
    std::vector<double> elements(size);
    ForEachEntry(*input_.wrt, [&](const WrtEntry& entry, int64_t column) {
      if (entry.kind != kind) return;
      for (int64_t j = 0; j < entry.size; ++j) elements[entry.offset + j] += vector[column + j];
    });
    return elements;
  }

  // The simulation of the model with tangents along `vector`.
  absl::StatusOr<BoundSimulation> BindTangents(const Model& model,
                                               absl::Span<const double> vector) const {
    const Problem problem = input_.bound->one(0);
    const int64_t n = static_cast<int64_t>(problem.y0.size());
    BoundSimulation bound = *input_.bound;
    bound.model = &model;
    const std::vector<double> v =
        Scattered(WrtEntry::Kind::kParam, vector, static_cast<int64_t>(problem.params.size()));
    bound.params.assign(problem.params.begin(), problem.params.end());
    bound.params.insert(bound.params.end(), v.begin(), v.end());
    std::vector<double> start(2 * n);
    const MapPoints at_t0 = {.rows = 1, .t = bound.t0.data(), .p = bound.params.data()};
    RETURN_IF_ERROR(EvaluateRows(model.init(), at_t0, start.data()));
    const std::vector<double> shift = Scattered(WrtEntry::Kind::kInitialState, vector, n);
    bound.y0.assign(problem.y0.begin(), problem.y0.end());
    for (int64_t i = 0; i < n; ++i) {
      bound.y0.push_back((input_.bound->given[i] ? 0.0 : start[n + i]) + shift[i]);
    }
    const std::vector<bool> given = bound.given;
    bound.given.insert(bound.given.end(), given.begin(), given.end());
    return bound;
  }

  absl::Status MultiplyHessian(const BoundSimulation& bound, int64_t v) {
    PassInput input = input_;
    input.bound = &bound;
    input.options = &frozen_;
    const std::unique_ptr<GradientPass> pass = MakeGradientPass(GradientMethod::kBackprop, input);
    RETURN_IF_ERROR(pass->Solve());
    PassPrimal& primal = pass->primal();
    PassGradients product;
    if (primal.reached()) {
      const absl::Span<const double> params = bound.params;
      const SavedValues saved = Half(primal.values, false);
      const SavedTangents tangents = {
          .values = Half(primal.values, true),
          .params = std::vector<double>(params.begin() + params.size() / 2, params.end())};
      const LossCurvature curvature = DifferentiateLossTwice(
          prepared_.loss, saved, params.subspan(0, params.size() / 2), tangents, kernels_);
      const Cotangents cotangents = OfDirectionalDerivative(curvature, saved.times.size());
      RETURN_IF_ERROR(pass->PullBack(absl::MakeConstSpan(&cotangents, 1), &product));
    }
    AddStats(primal.stats, &more_);
    if (primal.reached()) {
      std::copy(product.values.begin(), product.values.end(),
                result_.products.begin() + v * columns_);
    } else {
      ended_ = primal.termination;
    }
    return absl::OkStatus();
  }

  absl::Status GaussNewton(GradientPass& pass) {
    PassInput input = input_;
    input.options = &frozen_;
    input.control = TangentControl::kPrimalOnly;
    ASSIGN_OR_RETURN(const TangentPass tangents, SolveInDirections(input, num_vectors_, vectors_));
    AddStats(tangents.primal.stats, &more_);
    if (!tangents.primal.reached()) {
      ended_ = tangents.primal.termination;
      return absl::OkStatus();
    }
    const SavedValues& saved = tangents.primal.values;
    const std::vector<double> params = ParamTangents(input_, num_vectors_, vectors_);
    ASSIGN_OR_RETURN(const std::vector<double> outputs, PushOutputs(tangents, params));
    std::vector<Cotangents> cotangents;
    for (int64_t v = 0; v < num_vectors_; ++v) {
      const auto column = [&](const std::vector<double>& all) {
        return Columns(all, num_vectors_, v, 1);
      };
      const SavedTangents moves = {.values = {.times = {},
                                              .states = column(tangents.states),
                                              .outputs = column(outputs),
                                              .terminal_state = {},
                                              .terminal_output = {}},
                                   .params = column(params)};
      cotangents.push_back(DifferentiateLossTwice(prepared_.loss, saved,
                                                  input_.bound->one(0).params, moves, kernels_)
                               .hessian_times);
    }
    PassGradients products;
    RETURN_IF_ERROR(pass.PullBack(cotangents, &products));
    if (pass.primal().reached()) result_.products = std::move(products.values);
    return absl::OkStatus();
  }

  // [K, k, V]
  absl::StatusOr<std::vector<double>> PushOutputs(const TangentPass& tangents,
                                                  const std::vector<double>& params) const {
    const DifferentiableMap& map = input_.bound->model->outputs();
    const SavedValues& saved = tangents.primal.values;
    std::vector<double> outputs(saved.times.size() * map.num_values() * num_vectors_);
    const MapPoints rows = {.rows = static_cast<int64_t>(saved.times.size()),
                            .t = saved.times.data(),
                            .y = saved.states.data(),
                            .p = input_.bound->params.data(),
                            .cancellation = input_.stop->cancellation};
    RETURN_IF_ERROR(PushRows(map, rows, num_vectors_, nullptr, tangents.states.data(),
                             params.data(), outputs.data()));
    return outputs;
  }

  const PreparedLoss& prepared_;
  const CurvatureKernels& kernels_;
  const PassInput& input_;
  const bool gauss_newton_;
  const std::vector<double>& vectors_;  // [V, q]
  const int64_t columns_;
  const int64_t num_vectors_;
  HvpResult& result_;
  SolveOptions frozen_;               // on the steps of the plain solve
  GradientStats more_;                // of the passes after it
  std::optional<Termination> ended_;  // of the pass that did not come to its end
};

// Kernels of the passes, ahead of them.
absl::Status Prepare(const HvpRequest& request, const BoundSimulation& bound, int64_t save_times,
                     int64_t num_vectors, absl::Duration* compile) {
  ASSIGN_OR_RETURN(const absl::Duration plain,
                   PrepareGradientKernels(bound, GradientMethod::kBackprop, save_times));
  *compile += plain;
  const absl::Time start = absl::Now();
  if (request.gauss_newton) {
    RETURN_IF_ERROR(PrepareGradientKernels(bound, GradientMethod::kForward, save_times).status());
    RETURN_IF_ERROR(
        PrepareGradientKernels(bound, GradientMethod::kBackprop, save_times, num_vectors).status());
  } else {
    ASSIGN_OR_RETURN(const std::shared_ptr<const Model> model, TangentModel(*bound.model));
    BoundSimulation twice;
    twice.model = model.get();
    RETURN_IF_ERROR(PrepareGradientKernels(twice, GradientMethod::kBackprop, save_times).status());
    RETURN_IF_ERROR(PrepareKernels({{&model->init(), MapKernel::kValue, 1}}).status());
  }
  *compile += absl::Now() - start;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<HvpResult> HvpOfSimulation(const HvpRequest& request,
                                          const Cancellation* cancellation) {
  const absl::Time start = absl::Now();
  const StopSource stop = {cancellation, DeadlineOf(request.simulation.options)};
  ASSIGN_OR_RETURN(BoundSimulation bound, Bind(request.simulation, cancellation));
  if (bound.batched) {
    return FieldError("simulation", absl::StrCat("a batch of ", bound.num_trajectories),
                      "one trajectory without batch axes");
  }
  HvpResult result;
  const Model& model = *bound.model;
  ASSIGN_OR_RETURN(result.wrt, ResolveWrt(model.ir(), request.wrt));
  RETURN_IF_ERROR(CheckWrt(result.wrt));
  const int64_t columns = NumColumns(result.wrt);
  RETURN_IF_ERROR(CheckVectors(request.vectors, columns));
  RETURN_IF_ERROR(ValidateLoss(request.loss, bound.t0[0], bound.t1[0], model.rhs().num_states(),
                               model.outputs().num_values()));
  if (request.gauss_newton) RETURN_IF_ERROR(CheckGaussNewton(request.loss));
  ASSIGN_OR_RETURN(ResolvedOptions resolved,
                   ResolveOptions(request.simulation, bound,
                                  SaveAtLossTimes({&request.loss}, bound.t1[0] < bound.t0[0])));
  RETURN_IF_ERROR(CheckSavedRoom(bound, resolved.options.save));
  ASSIGN_OR_RETURN(const PreparedLoss prepared,
                   PrepareLoss(request.loss, &bound, &resolved.options));
  result.timing.compile = prepared.compile;
  ASSIGN_OR_RETURN(const CurvatureKernels kernels,
                   PrepareCurvature(model, prepared, &result.timing.compile));
  const auto save_times = static_cast<int64_t>(resolved.options.save.times.size());
  const int64_t num_vectors = static_cast<int64_t>(request.vectors.size()) / columns;
  RETURN_IF_ERROR(Prepare(request, bound, save_times, num_vectors, &result.timing.compile));

  const AdjointOptions adjoint;
  resolved.options.return_grid = true;
  PassInput input;
  input.bound = &bound;
  input.options = &resolved.options;
  input.wrt = &result.wrt;
  input.adjoint = &adjoint;
  input.stop = &stop;
  RETURN_IF_ERROR(Products(request, prepared, kernels, input, &result).Run());
  prepared.Hide(&result.primal.saved);
  prepared.Hide(&result.primal.termination);
  if (!request.simulation.options.return_grid) result.primal.grid.clear();
  result.resolution = std::move(resolved.resolution);
  result.timing.engine = absl::Now() - start - result.timing.compile;
  return result;
}

}  // namespace costate
