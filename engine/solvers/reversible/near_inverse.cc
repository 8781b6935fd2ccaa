#include "engine/solvers/reversible/near_inverse.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"

namespace costate::reversible {
namespace {

class NearInverse final : public StepInverse {
 public:
  NearInverse(std::unique_ptr<Stepper> stepper, int64_t num_states)
      : stepper_(std::move(stepper)), n_(num_states) {}

  int lanes() const override { return stepper_->lanes(); }
  void SetParams(int lane, const double* params) override {
    stepper_->Reset(lane, 0, std::vector<double>(n_).data(), params, nullptr);
  }
  bool Undo(const double* t, const double* t_next, const double* end, double* start,
            double* /*stages*/) override {
    const int64_t before = stepper_->rhs_evaluations(0);
    stepper_->MoveTo(t_next, end);
    stepper_->Step(t);
    std::copy_n(stepper_->y_new(), n_ * lanes(), start);
    evaluations_ += stepper_->rhs_evaluations(0) - before;
    return false;
  }
  int64_t rhs_evaluations() const override { return evaluations_; }

 private:
  const std::unique_ptr<Stepper> stepper_;
  const int64_t n_;
  int64_t evaluations_ = 0;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StepInverse>> MakeNearInverse(Method method,
                                                             const VectorField& field, int lanes) {
  ASSIGN_OR_RETURN(std::unique_ptr<Stepper> stepper, MakeStepper(method, field, lanes));
  return std::make_unique<NearInverse>(std::move(stepper), field.num_states());
}

}  // namespace costate::reversible
