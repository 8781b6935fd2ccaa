// Regions of schemes, and the eigenvalues of a model against them, behind the door.
//
//   StabilityRequest request;
//   request.simulation = simulation;
//   ASSIGN_OR_RETURN(StabilityResult result, engine.AnalyzeStability(request));
//   std::cout << result.advice;
#ifndef COSTATE_ENGINE_ANALYZE_STABILITY_H_
#define COSTATE_ENGINE_ANALYZE_STABILITY_H_

#include <complex>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/base/cancellation.h"
#include "engine/engine.h"
#include "engine/stability/analysis.h"
#include "engine/stability/region.h"

namespace costate {

// The simulation is solved as it is asked for; eigenvalues of df/dy are taken at the beginning of
// its steps, and judged against the region of `scheme`.
struct StabilityRequest {
  Simulation simulation = {};         // not batched; what it saves is not looked at
  std::optional<Scheme> scheme = {};  // unset: that of the solve
  int64_t num_eigenvalues = 0;        // at each point, of largest modulus; 0: all, or 20 of more
                                      // than 200 states; at most limits::kMaxEigenvalues
  int64_t num_points = 0;             // 0: 50, or 10 of more than 200 states; at most
                                      // limits::kMaxAnalysedPoints
};

// K points, evenly chosen among the steps, each with E eigenvalues, NaN where there are fewer or
// the Jacobian is not finite.
struct StabilityResult {
  std::vector<double> times;                      // [K]
  std::vector<double> steps;                      // [K], h of the step that begins there
  std::vector<std::complex<double>> eigenvalues;  // [K, E], larger modulus first
  int64_t num_eigenvalues = 0;                    // E
  std::vector<double> largest_stable_steps;       // [K]
  stability::Analysis analysis;                   // terms are explained there
  int64_t analysed_steps = 0;  // of `stats.accepted_steps`, by which shares and growths are judged
  bool converged = true;       // of the eigenvalues of large systems
  std::string advice;
  Scheme scheme = Method::kTsit5;  // in force
  Termination termination;
  SolveStats stats;
  Resolution resolution;
  EngineTiming timing;
};

absl::StatusOr<StabilityResult> AnalyzeStabilityOfSimulation(const StabilityRequest& request,
                                                             const Cancellation* cancellation);

// Multiplications and additions for the eigenvalues, in the measure of Engine::EstimateCost; the
// solve comes on top.
double EstimateSpectrumCost(const StabilityRequest& request);
// Bytes held at once for steps and eigenvalues.
double EstimateSpectrumBytes(const StabilityRequest& request);

}  // namespace costate

#endif  // COSTATE_ENGINE_ANALYZE_STABILITY_H_
