// The statement of trust of one trajectory's gradient: runs the checks, then judges.
//
//   ASSIGN_OR_RETURN(auto checks, GradientChecks::Create(request));
//   pass = MakeGradientPass(method, checks->input());  // solve, differentiate
//   RETURN_IF_ERROR(checks->Run(*pass, value, &result));
#ifndef COSTATE_ENGINE_GRADIENT_REPORT_H_
#define COSTATE_ENGINE_GRADIENT_REPORT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/gradient_pass.h"
#include "engine/gradients/report.h"
#include "engine/gradients/stiffness.h"
#include "engine/gradients/tangent_companion.h"

namespace costate {

// What is to be reported on. All outlive the checks.
struct CheckedGradient {
  const Loss* loss = nullptr;  // prepared
  GradientMethod method = GradientMethod::kForward;
  const PassInput* input = nullptr;
  const ReportOptions* wanted = nullptr;
};

// Calls of kernels: of the right-hand side and of its products.
int64_t KernelCalls(const GradientStats& stats);

// Always made:
//   loss mismatch   a plain solve with the same options
//   noise floor     a solve at rtol and atol / 100 (/ 10 where the tangents are not controlled;
//   half
//                   the step size with fixed steps and grids), then cotangents of the difference
//                   pulled back
//   tangent error   of the columns themselves in forward mode; in reverse mode tangents ride along
//                   that only measure: of the columns where one block holds them, else of as many
//                   directions of random signs, relative to the columns' sizes
//   stiffness       power iteration alongside the solve
// The growth of the flow map is looked at too where tangents passed ReportThresholds::growth_alert.
// A check whose own solve ends early (max_steps, the wall budget) leaves its figures NaN; one that
// cannot be made (no memory, cancelled) ends the checks, and the advice says so.
// Thread-safety: one thread.
class GradientChecks {
 public:
  static absl::StatusOr<std::unique_ptr<GradientChecks>> Create(const CheckedGradient& checked);

  // What the pass has to run with: that of the request, with companions, and keeping its grid.
  const PassInput& input() const { return input_; }

  // After the gradient. `result` holds loss, gradient, termination and stats; receives the report.
  // `value` is that of the loss at the saved values of `pass`.
  absl::Status Run(GradientPass& pass, const LossValue& value,
                   GradientResult::PerTrajectory* result);

 private:
  explicit GradientChecks(const CheckedGradient& checked);
  absl::Status AddProbes();
  bool controlled() const;
  GradientFamily family() const { return GetGradientMethodInfo(checked_.method).family; }
  void AddCost(Check check, int64_t kernel_calls);

  absl::Status RunAll(GradientPass& pass, const LossValue& value,
                      const GradientResult::PerTrajectory& result);
  absl::Status ComparePlain(const PassPrimal& primal);
  absl::Status CompareBetter();
  absl::Status PullBackDifferences(GradientPass& pass, const LossValue& value);
  void CompareWithData(const SavedValues& saved, const SavedValues& better);
  void ReadTangents(const GradientStats& stats);
  absl::Status Refine(const std::vector<double>& gradient);
  absl::Status CompareMethods(const std::vector<double>& gradient, const std::vector<double>& grid);
  absl::Status CompareDifferences(const std::vector<double>& gradient);
  absl::Status MeasureGrowth(const std::vector<double>& grid);
  absl::Status RunRequested(const std::vector<double>& gradient, const std::vector<double>& grid);
  void Conclude(const GradientResult::PerTrajectory& result);

  const CheckedGradient checked_;
  Problem problem_;
  SolveOptions options_;  // of the gradient's pass
  PassInput input_;
  SolveOptions probe_options_;
  TangentSeeds probe_seeds_;
  std::unique_ptr<TangentCompanion> probes_;
  std::unique_ptr<StiffnessCompanion> stiffness_;
  std::optional<int64_t> tangent_calls_;  // of probes
  int64_t plain_calls_ = 0;
  PassPrimal plain_, better_;
  GradientReport report_;
};

// The options with tolerances, or with fixed steps and grids the steps, made finer.
SolveOptions Refined(SolveOptions options, double tolerance_factor,
                     const std::vector<double>& grid);

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENT_REPORT_H_
