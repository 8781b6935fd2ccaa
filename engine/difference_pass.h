// Gradients by differences of solves, for checks: finite_difference and complex_step.
#ifndef COSTATE_ENGINE_DIFFERENCE_PASS_H_
#define COSTATE_ENGINE_DIFFERENCE_PASS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/gradient_pass.h"
#include "engine/gradients/difference.h"
#include "engine/shifted_solve.h"

namespace costate {

// Central differences, a pair of solves and more per column: of the loss itself, or for cotangents
// of the linear functionals they are. Steps are DifferenceOptions::step times the column's size, or
// chosen from the measured noise (gradients/difference.h). On fresh adaptive steps, or on those of
// the plain solve, whose ends move with t0 and t1. Where save times allow a column only one side
// (FreeSide), differences of second order to that side.
std::unique_ptr<GradientPass> MakeFiniteDifferencePass(const PassInput& input);

// Largest relative step that is looked at where the step is found from the noise.
inline constexpr double kLargestRelativeStep = 1e-2;
// Distance of the points between which noise is measured, relative.
inline constexpr double kNoiseSpacing = 1e-8;

// The steps of a plain solve as those of others: kGrid.
SolveOptions OnGrid(SolveOptions options, std::vector<double> grid);

// The derivative of a loss along `direction` [q] by solves, with the step from the noise.
struct DirectionalEstimate {
  LineDerivative line;
  double noise = 0;  // of the loss
};
absl::StatusOr<DirectionalEstimate> DifferentiateAlong(const Loss& loss, ShiftedSolve* solve,
                                                       absl::Span<const double> direction);

}  // namespace costate

#endif  // COSTATE_ENGINE_DIFFERENCE_PASS_H_
