#include "engine/solvers/reversible/near_inverse.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/solvers/rk/erk.h"

namespace costate::reversible {
namespace {

class NearInverse final : public StepInverse {
 public:
  NearInverse(std::unique_ptr<rk::RungeKuttaStepper> stepper, int64_t num_states)
      : stepper_(std::move(stepper)), n_(num_states) {}

  void Begin(const double* params) override {
    stepper_->Reset(0, 0, std::vector<double>(n_).data(), params, nullptr);
  }
  bool Undo(double t, double t_next, const double* end, double* start,
            double* /*stages*/) override {
    stepper_->MoveTo(&t_next, end);
    stepper_->Step(&t);
    std::copy_n(stepper_->y_new(), n_, start);
    return false;
  }
  int64_t rhs_evaluations() const override { return stepper_->rhs_evaluations(0); }

 private:
  const std::unique_ptr<rk::RungeKuttaStepper> stepper_;
  const int64_t n_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<StepInverse>> MakeNearInverse(Method method,
                                                             const VectorField& field) {
  ASSIGN_OR_RETURN(std::unique_ptr<rk::RungeKuttaStepper> stepper,
                   rk::MakeRungeKuttaStepper(method, field, 1));
  return std::make_unique<NearInverse>(std::move(stepper), field.num_states());
}

}  // namespace costate::reversible
