#include "engine/adjoint_pass.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/gradients/adjoint.h"
#include "engine/map_rows.h"
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
    input.hooks.cancellation = input_.cancellation;
    input.hooks.companions = input_.companions;
    input.deadline = input_.deadline;
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
    for (size_t v = 0; v < losses.size(); ++v) {
      RETURN_IF_ERROR(Finish(losses[v], &(*results)[v], v, gradients));
    }
    return absl::OkStatus();
  }

 private:
  // Adds what acts through the output map and the initial values, and orders it by column.
  absl::Status Finish(const StateLoss& loss, AdjointResult* adjoint, size_t v,
                      PassGradients* gradients) {
    for (size_t j = 0; j < loss.params.size(); ++j) adjoint->params[j] += loss.params[j];
    adjoint->t1 += loss.t1;
    const std::vector<double> initial_state = adjoint->initial_state;
    RETURN_IF_ERROR(PullBackInit(adjoint));
    const int64_t columns = NumColumns(*input_.wrt);
    Gather(*adjoint, initial_state,
           absl::MakeSpan(gradients->values).subspan(v * columns, columns));
    if (!input_.want_times) return absl::OkStatus();
    double* times = gradients->times.data() + v * adjoint->times.size();
    for (size_t k = 0; k < adjoint->times.size(); ++k) {
      times[k] = adjoint->times[k] + (loss.times.empty() ? 0.0 : loss.times[k]);
    }
    return absl::OkStatus();
  }

  // Parameters and t0 act through the initial values that were not given.
  absl::Status PullBackInit(AdjointResult* adjoint) const {
    std::vector<double>& lambda = adjoint->initial_state;
    for (size_t i = 0; i < lambda.size(); ++i) {
      if (input_.bound->given[i]) lambda[i] = 0;
    }
    const MapPoints start = {.rows = 1, .t = problem_.t0.data(), .p = problem_.params.data()};
    return TransposeRows(input_.bound->model->init(), start, lambda.data(), &adjoint->t0, nullptr,
                         adjoint->params.data());
  }

  void Gather(const AdjointResult& adjoint, const std::vector<double>& initial_state,
              absl::Span<double> gradient) const {
    ForEachEntry(*input_.wrt, [&](const WrtEntry& entry, int64_t column) {
      double* to = gradient.data() + column;
      switch (entry.kind) {
        case WrtEntry::Kind::kParam:
          std::copy_n(adjoint.params.data() + entry.offset, entry.size, to);
          break;
        case WrtEntry::Kind::kInitialState:
          std::copy_n(initial_state.data() + entry.offset, entry.size, to);
          break;
        case WrtEntry::Kind::kT0:
          *to = adjoint.t0;
          break;
        case WrtEntry::Kind::kT1:
          *to = adjoint.t1;
          break;
      }
    });
  }

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
