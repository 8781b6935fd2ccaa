#include "engine/stability/step_matrix.h"

#include <array>

#include "engine/base/status_macros.h"

namespace costate::stability {
namespace {

void TimesZ(const void* /*context*/, const double* const* inputs, double* const* outputs,
            double* /*scratch*/) {
  const double* y = inputs[1];
  const double* z = inputs[2];
  outputs[0][0] = z[0] * y[0] - z[1] * y[1];
  outputs[0][1] = z[0] * y[1] + z[1] * y[0];
}

}  // namespace

absl::StatusOr<Kernel> LinearTestField::Get(MapKernel kind, int lanes) const {
  if (kind == MapKernel::kValue && lanes == 1) return Kernel(&TimesZ, nullptr, nullptr, 1, 0);
  return absl::InvalidArgumentError("the linear test problem has values in one lane only");
}

absl::StatusOr<std::unique_ptr<StepMatrixProbe>> StepMatrixProbe::Create(const Scheme& scheme) {
  std::unique_ptr<StepMatrixProbe> probe(new StepMatrixProbe(GetMethodInfo(scheme).carried));
  ASSIGN_OR_RETURN(probe->stepper_, MakeStepper(scheme, probe->field_, 1));
  return probe;
}

void StepMatrixProbe::Step(Complex z, Complex* carried) {
  std::array<double, 6> start;  // [carried][2]
  for (int j = 0; j < carried_; ++j) {
    start[2 * j] = carried[j].real();
    start[2 * j + 1] = carried[j].imag();
  }
  const double params[] = {z.real(), z.imag()};
  const double end = 1;
  stepper_->Resume(0, 0, start.data(), params);
  stepper_->Step(&end);
  const double* y_new = stepper_->y_new();
  for (int j = 0; j < carried_; ++j) carried[j] = {y_new[2 * j], y_new[2 * j + 1]};
}

StepMatrix StepMatrixProbe::Measure(Complex z) {
  StepMatrix matrix;
  matrix.size = carried_;
  for (int j = 0; j < carried_; ++j) {
    std::array<Complex, 3> column = {};
    column[j] = 1;
    Step(z, column.data());
    for (int i = 0; i < carried_; ++i) matrix.at(i, j) = column[i];
  }
  return matrix;
}

}  // namespace costate::stability
