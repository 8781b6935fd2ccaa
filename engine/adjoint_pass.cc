#include "engine/adjoint_pass.h"

#include <limits>
#include <utility>
#include <vector>

#include "engine/adjoint_columns.h"
#include "engine/base/status_macros.h"
#include "engine/gradients/adjoint.h"
#include "engine/pass_values.h"

namespace costate {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

class AdjointPass : public GradientPass {
 public:
  AdjointPass(GradientMethod method, const PassInput& input)
      : method_(method),
        input_(input),
        problem_(input.bound->one(input.trajectory)),
        options_(WithBudget(input)) {}

  absl::Status Solve() override {
    AdjointInput input = {.problem = problem_, .options = options_, .adjoint = *input_.adjoint};
    input.stop = input_.stop;
    input.companions = input_.companions;
    input.want_times = input_.want_times;
    ASSIGN_OR_RETURN(adjoint_, MakeAdjointMethod(method_, input));
    ASSIGN_OR_RETURN(Trajectory trajectory, adjoint_->Solve());
    absl::Span<const double> terminal;
    if (trajectory.termination.reason == Termination::Reason::kReachedEnd) {
      terminal = adjoint_->terminal_state();
    }
    RETURN_IF_ERROR(FillPrimal(input_, std::move(trajectory), terminal, &primal_));
    primal_.stats.adjoint = adjoint_->stats();
    return absl::OkStatus();
  }

  absl::Status PullBack(absl::Span<const Cotangents> cotangents,
                        PassGradients* gradients) override {
    const int64_t columns = NumColumns(*input_.wrt);
    gradients->values.assign(cotangents.size() * columns, kNaN);
    gradients->times.assign(input_.want_times ? cotangents.size() * primal_.values.times.size() : 0,
                            kNaN);
    if (!primal_.reached() || cotangents.empty()) return absl::OkStatus();
    std::vector<StateLoss> losses;
    for (const Cotangents& c : cotangents) {
      absl::StatusOr<StateLoss> loss = PullBackOutputs(input_, primal_.values, c);
      if (!loss.ok()) return EndEarly(input_, loss.status(), &primal_);
      losses.push_back(*std::move(loss));
    }
    std::vector<StateCotangents> states;
    for (const StateLoss& loss : losses) {
      states.push_back({primal_.values.times, loss.saved, loss.terminal});
    }
    absl::StatusOr<std::vector<AdjointResult>> results = adjoint_->PullBack(states);
    primal_.stats.adjoint = adjoint_->stats();
    if (!results.ok()) return EndEarly(input_, results.status(), &primal_);
    const size_t rows = input_.want_times ? primal_.values.times.size() : 0;
    for (size_t v = 0; v < losses.size(); ++v) {
      RETURN_IF_ERROR(FillColumns(input_, losses[v], &(*results)[v],
                                  absl::MakeSpan(gradients->values).subspan(v * columns, columns),
                                  absl::MakeSpan(gradients->times).subspan(v * rows, rows)));
    }
    return absl::OkStatus();
  }

  int64_t stored_bytes() const override { return primal_.stats.adjoint.peak_stored_bytes; }

 private:
  const GradientMethod method_;
  const PassInput input_;
  const Problem problem_;
  const SolveOptions options_;
  std::unique_ptr<AdjointMethod> adjoint_;
};

}  // namespace

std::unique_ptr<GradientPass> MakeAdjointPass(GradientMethod method, const PassInput& input) {
  return std::make_unique<AdjointPass>(method, input);
}

}  // namespace costate
