#include "engine/gradients/discrete_adjoint.h"

#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/gradients/reverse_sweep.h"
#include "engine/gradients/step_walker.h"

namespace costate {
namespace {

class DiscreteAdjoint : public AdjointMethod {
 public:
  DiscreteAdjoint(const AdjointInput& input, std::unique_ptr<StepStore> store)
      : input_(input), store_(std::move(store)) {}

  absl::StatusOr<Trajectory> Solve() override {
    IntegrateHooks hooks;
    hooks.cancellation = input_.stop->cancellation;
    hooks.companions = input_.companions;
    hooks.companions.push_back(store_.get());
    ASSIGN_OR_RETURN(std::vector<Trajectory> trajectories,
                     Integrate(input_.problem, input_.options, hooks));
    return std::move(trajectories[0]);
  }

  absl::Span<const double> terminal_state() const override { return store_->last_state(); }

  absl::StatusOr<std::vector<AdjointResult>> PullBack(
      absl::Span<const StateCotangents> cotangents) override {
    const Problem& problem = input_.problem;
    const Scheme scheme = input_.options.scheme();
    while (true) {
      ASSIGN_OR_RETURN(const std::unique_ptr<ReverseSweep> sweep,
                       ReverseSweep::Create(scheme, *problem.field, problem.params, store_->times(),
                                            cotangents, input_.want_times));
      StepWalker walker(scheme, *problem.field, 1, input_.stop);
      RETURN_IF_ERROR(
          WalkBack(walker, *store_, problem.params.data(), [&](int64_t i, const StepRecord& step) {
            sweep->Step(i, step);
            return absl::OkStatus();
          }));
      if (!store_->AsksAgain()) return std::move(*sweep).Take(&stats_);
    }
  }

  AdjointStats stats() const override {
    AdjointStats stats = stats_;
    store_->AddStats(&stats);
    return stats;
  }

 private:
  const AdjointInput input_;
  const std::unique_ptr<StepStore> store_;
  AdjointStats stats_;  // of the sweeps
};

}  // namespace

std::unique_ptr<AdjointMethod> MakeDiscreteAdjoint(const AdjointInput& input,
                                                   std::unique_ptr<StepStore> store) {
  return std::make_unique<DiscreteAdjoint>(input, std::move(store));
}

}  // namespace costate
