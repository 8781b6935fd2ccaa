#include "server/handlers/memory_estimate.h"

#include <algorithm>
#include <cmath>
#include <variant>

#include "engine/base/limits.h"
#include "engine/gradient_options.h"
#include "engine/gradients/loss.h"
#include "engine/gradients/recording_budget.h"
#include "engine/solvers/stepper.h"
#include "engine/tensor_index.h"

namespace costate {
namespace {

constexpr double kDouble = 8;

// Accepted steps of an adaptive solve, where nothing else is known; kernels are guessed to need
// 1,000 in Engine::EstimateCost, here the error should be on the other side.
constexpr double kGuessedSteps = 10'000;

double SavedLimit() { return static_cast<double>(limits::kMaxSavedBytes); }

int64_t Rounded(double bytes) {
  constexpr double kMost = 1e18;
  return static_cast<int64_t>(std::min(bytes, kMost));
}

// The sizes of a simulation.
struct Sizes {
  explicit Sizes(const Simulation& simulation);

  double trajectories, states, params, outputs, stages, steps;
  double bound;  // bytes of parameters and initial values
};

double ExpectedSteps(const Simulation& simulation) {
  const StepControl& control = simulation.options.control;
  double steps = kGuessedSteps;
  if (control.kind == StepControl::Kind::kGrid) steps = static_cast<double>(control.grid.size());
  if (control.kind == StepControl::Kind::kFixed && control.fixed_step.has_value() &&
      !simulation.t0.empty() && !simulation.t1.empty()) {
    steps = std::ceil(std::fabs(simulation.t1[0] - simulation.t0[0]) / *control.fixed_step);
  }
  const double most = static_cast<double>(simulation.options.max_steps);
  return std::isfinite(steps) ? std::min(steps, most) : most;
}

Sizes::Sizes(const Simulation& simulation) {
  const ModelIr& ir = simulation.model->ir();
  const ExpectedBatch batch = ExpectBatch(simulation);
  // No call has more; one that asks for more is refused by the engine, in better words.
  trajectories = static_cast<double>(std::min(batch.trajectories, limits::kMaxTrajectories));
  states = static_cast<double>(ir.num_states());
  params = static_cast<double>(ir.num_params());
  outputs = static_cast<double>(ir.num_outputs());
  stages =
      GetMethodInfo(simulation.method_auto ? Method::kDopri8 : simulation.options.scheme()).stages;
  steps = ExpectedSteps(simulation);
  bound = std::min(kDouble * trajectories * states, SavedLimit()) +
          std::min(kDouble * (batch.params_batched ? trajectories : 1) * params, SavedLimit());
}

double GridBytes(const SolveOptions& options, const Sizes& sizes) {
  return options.return_grid ? std::min(kDouble * sizes.trajectories * sizes.steps, SavedLimit())
                             : 0;
}

double SaveRows(const SaveAt& save) {
  return save.kind == SaveAt::Kind::kTimes ? static_cast<double>(save.times.size()) : 1;
}

// An upper bound of the union of the losses' times.
double LossRows(const Loss& loss) {
  double rows = 1;
  for (const auto& term : loss.terms) {
    if (const auto* squares = std::get_if<LeastSquares>(&term)) rows += squares->times.size();
    if (const auto* linear = std::get_if<Linear>(&term)) rows += linear->times.size();
    if (const auto* expression = std::get_if<ExpressionLoss>(&term)) {
      rows += expression->times.size();
    }
  }
  return rows;
}

// Of tangents at saved rows, and of those that the steps of one solve work with.
double TangentBytes(const Sizes& sizes, double rows, double directions) {
  const double saved = kDouble * rows * (sizes.states + sizes.outputs) * directions;
  const double stepping = kDouble * ((sizes.stages + 3) * sizes.states + sizes.params) * directions;
  return std::min(saved, SavedLimit()) + std::min(stepping, SavedLimit());
}

// Of the steps that a reverse pass stores.
double RecordingBytes(const Sizes& sizes, const AdjointOptions& adjoint) {
  const double steps = kDouble * sizes.steps * (1 + sizes.states * (1 + sizes.stages));
  return std::min(steps, static_cast<double>(RecordingBudget(adjoint)));
}

// One pass of a method, or of the more costly one where that is not certain.
double PassBytes(GradientMethod method, const AdjointOptions& adjoint, const Sizes& sizes,
                 double rows, double columns) {
  const double tangents = TangentBytes(sizes, rows, columns);
  const double recording = RecordingBytes(sizes, adjoint);
  if (method == GradientMethod::kAuto) {
    const bool choice = columns <= static_cast<double>(kMaxForwardColumns);
    return choice ? std::max(tangents, recording) : recording;
  }
  switch (GetGradientMethodInfo(method).family) {
    case GradientFamily::kTangent:
      return tangents;
    case GradientFamily::kDiscreteAdjoint:
    case GradientFamily::kContinuousAdjoint:
      return recording;
    case GradientFamily::kDifference:
      return kDouble * rows * (1 + sizes.states + sizes.outputs);
  }
  return recording;
}

double Reports(const ReportOptions& report, const Sizes& sizes) {
  return static_cast<double>(NumReports(report, static_cast<int64_t>(sizes.trajectories)));
}

// What a report keeps beside the gradient: saved values of better solves, figures by column, texts,
// and the pass of the second method.
double ReportBytes(const GradientRequest& request, const Sizes& sizes, double rows,
                   double columns) {
  const ReportOptions& report = request.gradient.report;
  if (!report.wanted) return 0;
  const double solves = 2 * kDouble * rows * (1 + sizes.states + sizes.outputs);
  constexpr double kTexts = 1024;  // with figures that are no columns
  const double figures = Reports(report, sizes) * (6 * kDouble * columns + kTexts);
  const double tangents = TangentBytes(sizes, rows, columns);
  const double passes = report.second_method
                            ? std::max(tangents, RecordingBytes(sizes, request.gradient.adjoint))
                            : 0;
  return std::min(solves, SavedLimit()) + 2 * std::min(figures, SavedLimit()) + passes;
}

}  // namespace

int64_t EstimateSolveBytes(const SolveRequest& request, bool streams, int64_t max_message_bytes) {
  const Simulation& simulation = request.simulation;
  const Sizes sizes(simulation);
  const double own = sizes.bound + 2 * GridBytes(simulation.options, sizes);
  if (streams) return Rounded(own);
  double values = 1 + sizes.states + (request.want_outputs ? sizes.outputs : 0);
  double saved = kDouble * sizes.trajectories * SaveRows(simulation.options.save) * values;
  if (simulation.options.save.kind == SaveAt::Kind::kSteps) {
    saved = std::min(kDouble * sizes.trajectories * sizes.steps * values,
                     static_cast<double>(max_message_bytes));
  }
  return Rounded(own + 2 * std::min(saved, 2 * SavedLimit()));
}

int64_t EstimateGradientBytes(const GradientRequest& request, int64_t columns) {
  const Sizes sizes(request.simulation);
  const double q = static_cast<double>(columns);
  const double rows = LossRows(request.loss);
  const double saved = kDouble * sizes.trajectories * rows * (1 + sizes.states + sizes.outputs);
  const double gradients = kDouble * sizes.trajectories * q;
  return Rounded(sizes.bound + 2 * GridBytes(request.simulation.options, sizes) +
                 std::min(saved, SavedLimit()) + 2 * std::min(gradients, SavedLimit()) +
                 PassBytes(request.gradient.method, request.gradient.adjoint, sizes, rows, q) +
                 ReportBytes(request, sizes, rows, q));
}

double LeastGradientAnswerBytes(const GradientRequest& request, int64_t columns, bool want_saved) {
  constexpr double kStatistics = 16;
  constexpr double kReport = 400;  // without figures by column, which not every report has
  const Sizes sizes(request.simulation);
  double bytes = kStatistics + kDouble * (1 + static_cast<double>(columns));
  double values = request.gradient.want_times ? 1 : 0;
  if (want_saved) values += sizes.states + sizes.outputs;
  if (values > 0) {
    bytes += kDouble * values * static_cast<double>(LossTimes(request.loss, false).size());
  }
  return sizes.trajectories * bytes + kReport * Reports(request.gradient.report, sizes);
}

int64_t EstimateDiskBytes(const Simulation& simulation, const AdjointOptions& adjoint,
                          GradientMethod method) {
  if (method != GradientMethod::kAuto && method != GradientMethod::kCheckpointed) return 0;
  const Sizes sizes(simulation);
  const double most = simulation.options.control.kind == StepControl::Kind::kAdaptive
                          ? static_cast<double>(simulation.options.max_steps)
                          : sizes.steps;
  const double checkpoints = adjoint.checkpoints > 0
                                 ? std::min(static_cast<double>(adjoint.checkpoints), most)
                                 : sizes.steps;
  // The rest of the budget is left to step times.
  const double in_memory = static_cast<double>(adjoint.memory_budget) / 4;
  return Rounded(std::max(0.0, kDouble * checkpoints * sizes.states - in_memory));
}

int64_t EstimateKeepBytes(const KeepRequest& request, int64_t columns) {
  const Sizes sizes(request.simulation);
  const double rows = SaveRows(request.simulation.options.save);
  const double saved = kDouble * sizes.trajectories * rows * (1 + sizes.states + sizes.outputs);
  // Of all trajectories together, within the same limits as of one.
  Sizes all = sizes;
  all.steps *= sizes.trajectories;
  return Rounded(sizes.bound + 3 * GridBytes(request.simulation.options, sizes) +
                 3 * std::min(saved, SavedLimit()) +
                 PassBytes(request.gradient.method, request.gradient.adjoint, all,
                           rows * sizes.trajectories, static_cast<double>(columns)));
}

int64_t EstimateKeptBytes(const KeptSolve& kept, int64_t cotangents) {
  const KeptSolve::Facts& facts = kept.facts();
  const double batch = static_cast<double>(facts.terminations.size());
  const double row = 1 + static_cast<double>(facts.num_values);
  const double rows = SaveRows(facts.resolution.options.save);
  const double saved = kDouble * batch * rows * row;
  const double weights = kDouble * rows * row * static_cast<double>(cotangents);
  const double gradients = kDouble * std::max(batch, static_cast<double>(cotangents)) *
                           static_cast<double>(facts.num_columns);
  return Rounded(2 * std::min(saved, SavedLimit()) + 2 * std::min(weights, SavedLimit()) +
                 2 * std::min(gradients, SavedLimit()));
}

int64_t EstimateVjpBytes(const VjpRequest& request, int64_t columns) {
  const Sizes sizes(request.simulation);
  const double q = static_cast<double>(columns);
  double rows = 0;
  for (const Loss& cotangent : request.cotangents) rows += LossRows(cotangent);
  const double saved = kDouble * rows * (1 + sizes.states + sizes.outputs);
  const double gradients = kDouble * static_cast<double>(request.cotangents.size()) * q;
  return Rounded(sizes.bound + 2 * GridBytes(request.simulation.options, sizes) +
                 std::min(saved, SavedLimit()) + 2 * std::min(gradients, SavedLimit()) +
                 PassBytes(request.gradient.method, request.gradient.adjoint, sizes, rows, q));
}

int64_t EstimateCheckBytes(const CheckRequest& request, int64_t columns) {
  GradientRequest one = request.gradient;
  one.gradient.report = {};
  int64_t bytes = 0;
  for (const GradientMethod method : request.methods) {
    one.gradient.method = method;
    bytes = std::max(bytes, EstimateGradientBytes(one, columns));
  }
  const Sizes sizes(one.simulation);
  const double row =
      LossRows(one.loss) * (1 + sizes.states + sizes.outputs) + static_cast<double>(columns);
  const double results = kDouble * static_cast<double>(request.methods.size()) * row;
  return bytes + Rounded(std::min(results, SavedLimit()));
}

int64_t EstimateHvpBytes(const HvpRequest& request, int64_t columns, int64_t vectors) {
  const Sizes sizes(request.simulation);
  const double v = static_cast<double>(vectors);
  const double rows = LossRows(request.loss);
  const double space = 2 * kDouble * static_cast<double>(columns) * (1 + v);
  const double recording = RecordingBytes(sizes, AdjointOptions());
  return Rounded(sizes.bound + std::min(space, SavedLimit()) + TangentBytes(sizes, rows, v) +
                 std::min((1 + v) * recording, 2 * SavedLimit()));
}

int64_t EstimateTangentBytes(const Simulation& simulation, int64_t columns, int64_t directions) {
  const Sizes sizes(simulation);
  const double v = static_cast<double>(directions);
  const double rows = SaveRows(simulation.options.save);
  const double space = std::min(kDouble * static_cast<double>(columns) * v, SavedLimit());
  // Tangents once in the engine and once in the answer.
  return Rounded(sizes.bound + 2 * GridBytes(simulation.options, sizes) + space +
                 2 * TangentBytes(sizes, rows, v));
}

}  // namespace costate
