#include "server/convert/gradient.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "server/convert/array.h"
#include "server/convert/layout.h"
#include "server/convert/options.h"

namespace costate {
namespace {

// What the terms of a loss may name.
struct Channels {
  Channels(const ModelIr& model, size_t lookups)
      : ir(model), states(model.states, lookups), outputs(model.outputs, lookups) {}

  const ModelIr& ir;
  TensorIndex states;
  TensorIndex outputs;
};

absl::StatusOr<Channel> ChannelFromProto(const std::string& field, const v1::LeastSquares& proto,
                                         const Channels& channels) {
  const bool output = proto.has_output();
  const std::string own = field + (output ? ".output" : ".state");
  const std::string other = output ? "state" : "output";
  const std::string& name = output ? proto.output() : proto.state();
  const absl::StatusOr<int64_t> index =
      FindElement(own, output ? channels.outputs : channels.states, name);
  if (index.ok()) {
    return Channel{output ? Channel::Kind::kOutput : Channel::Kind::kState, *index};
  }
  if (!FindElement(own, output ? channels.states : channels.outputs, name).ok()) {
    return index.status();
  }
  return FieldStatus(absl::StatusCode::kInvalidArgument, own,
                     absl::StrCat("'", name, "' is ", output ? "a state" : "an output",
                                  " of the model; name it with ", other, "="));
}

absl::StatusOr<LeastSquares> LeastSquaresFromProto(const std::string& field,
                                                   const v1::LeastSquares& proto,
                                                   const Channels& channels) {
  LeastSquares term;
  ASSIGN_OR_RETURN(term.channel, ChannelFromProto(field, proto, channels));
  term.times = ValuesFromProto(proto.times());
  term.values = ValuesFromProto(proto.values());
  term.sigma = ValuesFromProto(proto.sigma());
  if (term.sigma.empty()) term.sigma = {1.0};
  term.half = proto.half();
  return term;
}

// [rows, columns]; unset gives none.
absl::StatusOr<std::vector<double>> WeightsFromProto(const std::string& field,
                                                     const v1::Array& proto, int64_t rows,
                                                     int64_t columns) {
  std::vector<double> weights = ValuesFromProto(proto);
  const int64_t size = static_cast<int64_t>(weights.size());
  const std::vector<int64_t> shape(proto.shape().begin(), proto.shape().end());
  const bool fits = shape.size() < 2 || shape == std::vector<int64_t>{rows, columns};
  if (size == 0 || (fits && size == rows * columns)) return weights;
  return FieldError(field, absl::StrCat(size, " elements"),
                    absl::StrCat("[", rows, ", ", columns, "]: one row per time"));
}

absl::StatusOr<Linear> LinearFromProto(const std::string& field, const v1::Linear& proto,
                                       const ModelIr& ir) {
  Linear term;
  term.times = ValuesFromProto(proto.times());
  const int64_t rows = static_cast<int64_t>(term.times.size());
  ASSIGN_OR_RETURN(term.states, WeightsFromProto(field + ".state_weights", proto.state_weights(),
                                                 rows, ir.num_states()));
  ASSIGN_OR_RETURN(term.outputs, WeightsFromProto(field + ".output_weights", proto.output_weights(),
                                                  rows, ir.num_outputs()));
  return term;
}

absl::StatusOr<Terminal> TerminalFromProto(const std::string& field, const v1::Terminal& proto,
                                           const ModelIr& ir) {
  Terminal term;
  ASSIGN_OR_RETURN(term.state, WeightsFromProto(field + ".state_weights", proto.state_weights(), 1,
                                                ir.num_states()));
  ASSIGN_OR_RETURN(term.output, WeightsFromProto(field + ".output_weights", proto.output_weights(),
                                                 1, ir.num_outputs()));
  return term;
}

absl::Status AddTerm(const std::string& field, const v1::LossTerm& proto, const Channels& channels,
                     Loss* loss) {
  const ModelIr& ir = channels.ir;
  switch (proto.term_case()) {
    case v1::LossTerm::kLeastSquares: {
      ASSIGN_OR_RETURN(LeastSquares term, LeastSquaresFromProto(field + ".least_squares",
                                                                proto.least_squares(), channels));
      loss->terms.emplace_back(std::move(term));
      return absl::OkStatus();
    }
    case v1::LossTerm::kLinear: {
      ASSIGN_OR_RETURN(Linear term, LinearFromProto(field + ".linear", proto.linear(), ir));
      loss->terms.emplace_back(std::move(term));
      return absl::OkStatus();
    }
    case v1::LossTerm::kTerminal: {
      ASSIGN_OR_RETURN(Terminal term, TerminalFromProto(field + ".terminal", proto.terminal(), ir));
      loss->terms.emplace_back(std::move(term));
      return absl::OkStatus();
    }
    case v1::LossTerm::kIntegral:
    case v1::LossTerm::kExpression:
    case v1::LossTerm::TERM_NOT_SET:
      break;
  }
  return absl::InternalError("a loss term without content passed validation");
}

void GradientStatsToProto(const GradientStats& stats, v1::GradientStats* proto) {
  SolveStatsToProto(stats.solve, proto->mutable_solve());
  proto->set_jvp_evaluations(stats.tangents.jvp_evaluations);
  proto->set_vjp_evaluations(stats.adjoint.vjp_evaluations);
  proto->set_replayed_steps(stats.adjoint.replayed_steps);
  proto->set_peak_stored_bytes(stats.adjoint.peak_stored_bytes);
  proto->set_tangent_error_max(stats.tangents.max_error_ratio);
  proto->set_tangent_error_quantile90(stats.tangents.error_ratio_quantile90);
  proto->set_tangent_error_share_above_one(stats.tangents.share_above_one);
}

int64_t NumColumns(const std::vector<WrtEntry>& wrt) {
  int64_t columns = 0;
  for (const WrtEntry& entry : wrt) columns += entry.size;
  return columns;
}

// [B, K, columns], with NaN for trajectories that have no values.
void AppendSaved(const std::vector<double>& values, int64_t size, std::string* data) {
  AppendDoubles(values, data);
  const int64_t missing = size - static_cast<int64_t>(values.size());
  if (missing <= 0) return;
  AppendDoubles(std::vector<double>(missing, std::numeric_limits<double>::quiet_NaN()), data);
}

void SavedToProto(const GradientResult& result, const ModelIr& ir,
                  v1::ComputeGradientResponse* proto) {
  const std::vector<double>& times = result.resolution.options.save.times;
  const int64_t batch = static_cast<int64_t>(result.trajectories.size());
  const int64_t rows = static_cast<int64_t>(times.size());
  const int64_t n = ir.num_states();
  const int64_t k = ir.num_outputs();
  ArrayToProto(times, {rows}, proto->mutable_saved_times());
  ArrayToProto({}, {batch, rows, n}, proto->mutable_saved_states());
  ArrayToProto({}, {batch, rows, k}, proto->mutable_saved_outputs());
  for (const GradientResult::PerTrajectory& trajectory : result.trajectories) {
    // A loss of terminal terms alone has no save times; its value at t1 is no saved value.
    const SavedValues none;
    const SavedValues& saved = rows == 0 ? none : trajectory.saved;
    AppendSaved(saved.states, rows * n, proto->mutable_saved_states()->mutable_data());
    AppendSaved(saved.outputs, rows * k, proto->mutable_saved_outputs()->mutable_data());
  }
  LayoutToProto(ir.states, proto->mutable_state_layout());
  LayoutToProto(ir.outputs, proto->mutable_output_layout());
}

template <typename Result, typename Proto>
void GradientOptionsToProto(const Result& result, Proto* proto) {
  proto->mutable_gradient_options()->set_method(GradientMethodToProto(result.method));
  proto->mutable_gradient_options()->set_tangent_control(
      TangentControlToProto(result.tangent_control));
  proto->set_method_reason(result.method_reason);
}

// What the answers of ComputeJvp and ComputeSensitivities share.
template <typename Proto>
void TangentsToProto(const JvpResult& result, const ModelInWords& words, Proto* proto) {
  const ModelIr& ir = words.model.ir();
  const int64_t rows = static_cast<int64_t>(result.saved.times.size());
  ArrayToProto(result.saved.times, {rows}, proto->mutable_times());
  ArrayToProto(result.saved.states, {rows, ir.num_states()}, proto->mutable_states());
  ArrayToProto(result.saved.outputs, {rows, ir.num_outputs()}, proto->mutable_outputs());
  WrtLayoutToProto(result.wrt, proto->mutable_wrt_layout());
  LayoutToProto(ir.states, proto->mutable_state_layout());
  LayoutToProto(ir.outputs, proto->mutable_output_layout());
  proto->set_tangent_control(TangentControlToProto(result.tangent_control));
  TerminationToProto(result.termination, words, proto->mutable_termination());
  GradientStatsToProto(result.stats, proto->mutable_stats());
  SolveOptionsToProto(result.resolution.options, proto->mutable_options());
  if (result.resolution.options.return_grid) GridToProto(result.grid, proto->mutable_grid());
}

}  // namespace

absl::StatusOr<Loss> LossFromProto(const std::string& field, const v1::Loss& proto,
                                   const ModelIr& ir) {
  Loss loss;
  loss.terms.reserve(proto.terms_size());
  const Channels channels(ir, static_cast<size_t>(proto.terms_size()));
  for (int i = 0; i < proto.terms_size(); ++i) {
    RETURN_IF_ERROR(
        AddTerm(absl::StrCat(field, ".terms[", i, "]"), proto.terms(i), channels, &loss));
  }
  return loss;
}

std::vector<std::string> NamesFromProto(
    const google::protobuf::RepeatedPtrField<std::string>& names) {
  return {names.begin(), names.end()};
}

void GradientResultToProto(const GradientResult& result, const ModelInWords& words, bool want_saved,
                           v1::ComputeGradientResponse* proto) {
  const int64_t batch = static_cast<int64_t>(result.trajectories.size());
  const int64_t columns = NumColumns(result.wrt);
  ArrayToProto({}, {batch}, proto->mutable_loss());
  ArrayToProto({}, {batch, columns}, proto->mutable_gradient());
  proto->mutable_gradient()->mutable_data()->reserve(batch * columns * sizeof(double));
  for (const GradientResult::PerTrajectory& trajectory : result.trajectories) {
    AppendDoubles({&trajectory.loss, 1}, proto->mutable_loss()->mutable_data());
    AppendDoubles(trajectory.gradient, proto->mutable_gradient()->mutable_data());
    TerminationToProto(trajectory.termination, words, proto->add_terminations());
    GradientStatsToProto(trajectory.stats, proto->add_stats());
    if (result.resolution.options.return_grid) GridToProto(trajectory.grid, proto->add_grids());
  }
  WrtLayoutToProto(result.wrt, proto->mutable_wrt_layout());
  GradientOptionsToProto(result, proto);
  SolveOptionsToProto(result.resolution.options, proto->mutable_options());
  if (want_saved) SavedToProto(result, words.model.ir(), proto);
  proto->set_batched(result.resolution.batched);
}

void VjpResultToProto(const VjpResult& result, const ModelInWords& words,
                      v1::ComputeVjpResponse* proto) {
  const int64_t count = static_cast<int64_t>(result.values.size());
  ArrayToProto(result.gradients, {count, NumColumns(result.wrt)}, proto->mutable_gradients());
  ArrayToProto(result.values, {count}, proto->mutable_values());
  WrtLayoutToProto(result.wrt, proto->mutable_wrt_layout());
  GradientOptionsToProto(result, proto);
  TerminationToProto(result.primal.termination, words, proto->mutable_termination());
  GradientStatsToProto(result.primal.stats, proto->mutable_stats());
  SolveOptionsToProto(result.resolution.options, proto->mutable_options());
  if (result.resolution.options.return_grid) {
    GridToProto(result.primal.grid, proto->mutable_grid());
  }
}

void JvpResultToProto(const JvpResult& result, const ModelInWords& words,
                      v1::ComputeJvpResponse* proto) {
  const ModelIr& ir = words.model.ir();
  const int64_t rows = static_cast<int64_t>(result.saved.times.size());
  const int64_t width = rows * ir.num_states();
  const int64_t count = width == 0 ? 0 : static_cast<int64_t>(result.states.size()) / width;
  TangentsToProto(result, words, proto);
  ArrayToProto(result.states, {count, rows, ir.num_states()}, proto->mutable_state_tangents());
  ArrayToProto(result.outputs, {count, rows, ir.num_outputs()}, proto->mutable_output_tangents());
}

void SensitivityResultToProto(const SensitivityResult& result, const ModelInWords& words,
                              v1::ComputeSensitivitiesResponse* proto) {
  const ModelIr& ir = words.model.ir();
  const int64_t rows = static_cast<int64_t>(result.saved.times.size());
  const int64_t columns = NumColumns(result.wrt);
  TangentsToProto(result, words, proto);
  ArrayToProto(result.states, {rows, ir.num_states(), columns},
               proto->mutable_state_sensitivities());
  ArrayToProto(result.outputs, {rows, ir.num_outputs(), columns},
               proto->mutable_output_sensitivities());
}

}  // namespace costate
