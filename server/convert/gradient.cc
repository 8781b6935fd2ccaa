#include "server/convert/gradient.h"

#include <algorithm>
#include <limits>

#include "engine/base/limits.h"
#include "server/convert/array.h"
#include "server/convert/layout.h"
#include "server/convert/options.h"
#include "server/convert/report.h"

namespace costate {
namespace {

void GradientStatsToProto(const GradientStats& stats, v1::GradientStats* proto) {
  SolveStatsToProto(stats.solve, proto->mutable_solve());
  proto->set_jvp_evaluations(stats.tangents.jvp_evaluations);
  proto->set_vjp_evaluations(stats.adjoint.vjp_evaluations);
  proto->set_replayed_steps(stats.adjoint.replayed_steps);
  proto->set_peak_stored_bytes(stats.adjoint.peak_stored_bytes);
  proto->set_tangent_error_max(stats.tangents.max_error_ratio);
  proto->set_tangent_error_quantile90(stats.tangents.error_ratio_quantile90);
  proto->set_tangent_error_share_above_one(stats.tangents.share_above_one);
  proto->set_recomputed_steps(stats.adjoint.recomputed_steps);
  proto->set_backward_steps(stats.adjoint.backward_steps);
  proto->set_backward_rejected(stats.adjoint.backward_rejected);
  proto->set_disk_bytes(stats.adjoint.disk_bytes);
  proto->set_reconstruction_error(stats.adjoint.reconstruction_error);
  proto->set_reverse_rhs_evaluations(stats.adjoint.rhs_evaluations);
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
    // The value at t1 of a loss without save times is no saved value.
    const SavedValues none;
    const SavedValues& saved = rows == 0 ? none : trajectory.saved;
    AppendSaved(saved.states, rows * n, proto->mutable_saved_states()->mutable_data());
    AppendSaved(saved.outputs, rows * k, proto->mutable_saved_outputs()->mutable_data());
  }
  LayoutToProto(ir.states, proto->mutable_state_layout());
  LayoutToProto(ir.outputs, proto->mutable_output_layout());
}

// What was asked for is there already.
template <typename Proto>
void GradientOptionsToProto(GradientMethod method, TangentControl tangent_control,
                            const std::string& method_reason, Proto* proto) {
  v1::GradientOptions* options = proto->mutable_gradient_options();
  options->set_method(GradientMethodToProto(method));
  switch (GetGradientMethodInfo(method).family) {
    case GradientFamily::kTangent:
      options->set_tangent_control(TangentControlToProto(tangent_control));
      break;
    case GradientFamily::kDiscreteAdjoint:
    case GradientFamily::kContinuousAdjoint:
      if (options->memory_budget_bytes() == 0) {
        options->set_memory_budget_bytes(limits::kMaxRecordingBytes);
      }
      break;
    case GradientFamily::kDifference:
      break;
  }
  proto->set_method_reason(method_reason);
}

// [B, K], with NaN for trajectories that have none. A loss without save times, of terminal terms
// and integrals alone, has an empty one.
void TimeGradientToProto(const GradientResult& result, v1::Array* proto) {
  const int64_t batch = static_cast<int64_t>(result.trajectories.size());
  const int64_t rows = static_cast<int64_t>(result.resolution.options.save.times.size());
  ArrayToProto({}, {batch, rows}, proto);
  if (rows == 0) return;
  for (const GradientResult::PerTrajectory& trajectory : result.trajectories) {
    AppendSaved(trajectory.times, rows, proto->mutable_data());
  }
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

std::vector<std::string> NamesFromProto(
    const google::protobuf::RepeatedPtrField<std::string>& names) {
  return {names.begin(), names.end()};
}

void GradientResultToProto(const GradientResult& result, const ModelInWords& words,
                           const WantedParts& wanted, v1::ComputeGradientResponse* proto) {
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
    if (!wanted.report) continue;
    v1::GradientReport* report = proto->add_reports();
    if (trajectory.report.has_value()) GradientReportToProto(*trajectory.report, report);
  }
  WrtLayoutToProto(result.wrt, proto->mutable_wrt_layout());
  GradientOptionsToProto(result.method, result.tangent_control, result.method_reason, proto);
  SolveOptionsToProto(result.resolution.options, proto->mutable_options());
  if (wanted.saved) SavedToProto(result, words.model.ir(), proto);
  if (wanted.times) TimeGradientToProto(result, proto->mutable_time_gradient());
  proto->set_batched(result.resolution.batched);
}

void VjpResultToProto(const VjpResult& result, const ModelInWords& words,
                      v1::ComputeVjpResponse* proto) {
  const int64_t count = static_cast<int64_t>(result.values.size());
  ArrayToProto(result.gradients, {count, NumColumns(result.wrt)}, proto->mutable_gradients());
  ArrayToProto(result.values, {count}, proto->mutable_values());
  WrtLayoutToProto(result.wrt, proto->mutable_wrt_layout());
  GradientOptionsToProto(result.method, result.tangent_control, result.method_reason, proto);
  TerminationToProto(result.primal.termination, words, proto->mutable_termination());
  GradientStatsToProto(result.primal.stats, proto->mutable_stats());
  SolveOptionsToProto(result.resolution.options, proto->mutable_options());
  if (result.resolution.options.return_grid) {
    GridToProto(result.primal.grid, proto->mutable_grid());
  }
}

void KeptSolveToProto(const KeptSolve& kept, const ModelInWords& words,
                      v1::KeepSolveResponse* proto) {
  SolveResultToProto(kept.Solution(), words, SolveParts(), proto->mutable_solution());
  const KeptSolve::Facts& facts = kept.facts();
  for (const GradientStats& stats : facts.stats) GradientStatsToProto(stats, proto->add_stats());
  WrtLayoutToProto(facts.wrt, proto->mutable_wrt_layout());
  GradientOptionsToProto(facts.method, facts.tangent_control, facts.method_reason, proto);
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

void HvpResultToProto(const HvpResult& result, const ModelInWords& words,
                      v1::ComputeHvpResponse* proto) {
  const int64_t columns = NumColumns(result.wrt);
  const int64_t count =
      static_cast<int64_t>(result.products.size()) / std::max<int64_t>(columns, 1);
  ArrayToProto(result.products, {count, columns}, proto->mutable_products());
  proto->set_loss(result.primal.loss);
  ArrayToProto(result.primal.gradient, {columns}, proto->mutable_gradient());
  WrtLayoutToProto(result.wrt, proto->mutable_wrt_layout());
  TerminationToProto(result.primal.termination, words, proto->mutable_termination());
  GradientStatsToProto(result.primal.stats, proto->mutable_stats());
  SolveOptionsToProto(result.resolution.options, proto->mutable_options());
}

void CheckResultToProto(const CheckResult& result, const ModelInWords& words,
                        v1::CheckGradientResponse* proto) {
  const int64_t columns = NumColumns(result.wrt);
  for (const CheckResult::Row& row : result.rows) {
    v1::CheckGradientResponse::Row* entry = proto->add_rows();
    entry->set_method(GradientMethodToProto(row.method));
    entry->set_loss(row.result.loss);
    ArrayToProto(row.result.gradient, {columns}, entry->mutable_gradient());
    entry->set_relative_difference(row.relative_difference);
    if (result.with_times) {
      const int64_t rows = static_cast<int64_t>(row.result.times.size());
      ArrayToProto(row.result.times, {rows}, entry->mutable_time_gradient());
      entry->set_time_relative_difference(row.time_relative_difference);
    }
    GradientStatsToProto(row.result.stats, entry->mutable_stats());
    entry->set_cost_in_solves(row.cost_in_solves);
    TerminationToProto(row.result.termination, words, entry->mutable_termination());
  }
  WrtLayoutToProto(result.wrt, proto->mutable_wrt_layout());
  SolveOptionsToProto(result.resolution.options, proto->mutable_options());
}

}  // namespace costate
