// A fitting problem with every name looked up: indices and numbers, ready to be evaluated.
#ifndef COSTATE_ENGINE_FIT_BOUND_FIT_H_
#define COSTATE_ENGINE_FIT_BOUND_FIT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/engine.h"
#include "engine/fit/objective.h"
#include "engine/fit/problem.h"
#include "engine/fit/tangent_field.h"
#include "engine/fit/transform.h"
#include "engine/resolve_options.h"

namespace costate::fit {

// A free element of the search vector.
struct BoundElement {
  FreeElement info;
  Transform transform;
  std::optional<Prior> prior;
};

// A parameter or initial value that a condition takes from a free element.
struct BoundColumn {
  TangentColumn target;
  int64_t element = 0;
};

// An estimated quantity of a series: a free element, and its place among BoundCondition::touched.
struct BoundNuisance {
  int64_t element = -1;  // -1: not estimated
  int64_t local = -1;

  bool estimated() const { return element >= 0; }
};

struct BoundSeries {
  int64_t index = 0;  // in FitProblem::data
  Channel channel;
  Noise noise = Noise::kGaussian;
  double weight = 1;
  std::vector<int64_t> rows;   // [N] in BoundCondition::times
  std::vector<double> values;  // [N], NaN: missing
  std::vector<double> sigma;   // [1] or [N]; empty: estimated
  int64_t num_present = 0;
  BoundNuisance sigma_estimate, scale_estimate, offset_estimate;

  // Residual rows: one for each value that is there, one for an estimated sigma.
  int64_t num_rows() const { return num_present + (sigma_estimate.estimated() ? 1 : 0); }
};

// Elements of a flat vector that a condition sets.
struct Overrides {
  std::vector<int64_t> indices;
  std::vector<double> values;
};

struct BoundCondition {
  std::string name;
  double t0 = 0, t1 = 0;
  Overrides params;                  // in place of BoundFit::params
  Overrides initial;                 // given initial values, those of the simulation among them
  std::vector<double> y0;            // [n] with all parameters at their start
  std::vector<bool> given;           // [n]: free or given, init plays no part
  std::vector<BoundColumn> columns;  // ascending by target
  std::vector<int64_t> touched;  // elements: those of the columns, then nuisance ones, once each
  std::vector<double> times;     // [K] of all series, along the integration, without repeats
  std::vector<BoundSeries> series;
  int64_t num_rows = 0;  // of all series
  int64_t bundle = 0;
};

// What conditions that can share lanes have in common: columns and times.
struct Bundle {
  std::vector<TangentColumn> targets;  // [C]
  std::vector<WrtEntry> wrt;           // the same as neighbouring elements
  SolveOptions options;                // with the save times
  SolveOptions tangent_options;        // of `field`
  std::unique_ptr<TangentField> field;
  bool needs_outputs = false;  // a series looks at an output
  bool init_depends = false;   // initial values depend on a column
};

struct BoundFit {
  std::shared_ptr<const Model> model;
  std::vector<double> params;  // [m] of the simulation
  std::vector<BoundElement> elements;
  std::vector<BoundCondition> conditions;
  std::vector<Bundle> bundles;
  std::vector<int64_t> series_sizes;  // [N] of each series of the problem
  GradientOptions gradient;
  GradientMethod method = GradientMethod::kForward;  // of gradients, not kAuto
  bool method_auto = false;
  Resolution resolution;
};

// Checks and looks up everything but the starts of nuisance elements, which are zero. Errors as
// Objective::Create.
absl::StatusOr<BoundFit> BindFit(const FitProblem& problem, const GradientOptions& gradient);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_BOUND_FIT_H_
