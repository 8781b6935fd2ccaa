// The nouns of a fit: conditions, data, free elements, result. The wire's fit.proto in C++; terms
// are explained there and not repeated.
#ifndef COSTATE_ENGINE_FIT_PROBLEM_H_
#define COSTATE_ENGINE_FIT_PROBLEM_H_

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/named_array.h"
#include "engine/engine.h"
#include "engine/optimise/optimiser.h"
#include "engine/optimise/sampler.h"

namespace costate::fit {

// Finite sizes of a fit; a problem over one is refused before work starts.
inline constexpr int64_t kMaxConditions = 100'000;
inline constexpr int64_t kMaxSeries = 1'000'000;
inline constexpr int64_t kMaxMeasurements = 10'000'000;  // over all series
inline constexpr int64_t kMaxFreeElements = 1'000'000;
inline constexpr int64_t kMaxNameBytes = 1024;  // of a condition or group

struct Condition {
  std::string name;
  std::vector<NamedArray> params;
  std::vector<NamedArray> initial_state;
  std::optional<double> t0, t1;
};

enum class Noise { kGaussian, kLogNormal, kLaplace, kLogLaplace };

struct Series {
  std::string condition;  // empty: the only one
  Channel::Kind channel_kind = Channel::Kind::kOutput;
  std::string channel;         // an element, as "y[2]"
  std::vector<double> times;   // [N]
  std::vector<double> values;  // [N]
  bool allow_missing = false;
  Noise noise = Noise::kGaussian;
  std::vector<double> sigma;  // [1] or [N]; empty: estimated
  bool estimate_scale = false;
  bool estimate_offset = false;
  double weight = 1;
  std::string group;  // empty: its own
};

enum class Scale { kLinear, kLog, kLog10, kLogit };

struct Prior {
  enum class Distribution {
    kNormal,
    kLaplace,
    kLogNormal,
    kLogLaplace,
    kCauchy,
    kGamma,
    kExponential,
    kUniform,
    kLogUniform,
    kRayleigh,
    kChiSquared,
  };
  Distribution distribution = Distribution::kNormal;
  double a = 0, b = 1;
  bool scaled = false;
};

struct Free {
  std::string name;
  std::vector<double> start;           // empty: the simulation's
  std::optional<double> lower, upper;  // unset: the model's
  Scale scale = Scale::kLinear;
  std::optional<Prior> prior;
  std::vector<std::string> per_condition;
};

struct FitProblem {
  Simulation simulation;
  std::vector<Condition> conditions;  // empty: one without a name
  std::vector<Series> data;
  std::vector<Free> free;
};

struct FitOptions {
  bool method_auto = true;               // choose optimiser.algorithm, which is then ignored
  optimise::OptimiserOptions optimiser;  // its num_parts and seed are set per start
  bool max_iterations_auto = true;       // by algorithm, see fit.proto
  GradientOptions gradient;
  int64_t starts = 1;
  uint64_t seed = 0;
  optimise::Sampler sampler = optimise::Sampler::kLatinHypercube;
};

// One start that has ended.
struct StartResult {
  int64_t index = 0;
  optimise::Outcome outcome = optimise::Outcome::kRunning;
  double objective = std::numeric_limits<double>::infinity();
  std::vector<double> start_values;  // [free], natural
  std::vector<double> values;        // [free], natural
  int64_t iterations = 0;
  int64_t evaluations = 0;
  std::vector<double> trace;  // [iterations + 1]
  double gradient_norm = std::numeric_limits<double>::quiet_NaN();
  std::string detail;
};

struct Estimate {
  std::string name;
  Scale scale = Scale::kLinear;
  double value = 0, lower = 0, upper = 0;
  bool at_bound = false;
  double standard_error = 0;
  double interval_lower = 0, interval_upper = 0;
};

struct FittedTrajectory {
  std::string condition;
  std::vector<double> times;    // [K]
  std::vector<double> outputs;  // [K, k]
  std::vector<double> states;   // [K, n]
};

struct FitResult {
  std::vector<StartResult> starts;                                  // best first
  std::vector<Estimate> estimates;                                  // [free]
  std::vector<double> covariance, correlation, fisher_information;  // [free, free]
  std::vector<double> eigenvalues;                                  // [free]
  std::vector<std::string> unidentified;
  std::vector<std::vector<double>> fitted, residuals;  // per series, [N]
  std::vector<FittedTrajectory> trajectories;          // per condition
  int64_t starts_at_best = 0;
  FitOptions options;  // in force
  Resolution resolution;
};

struct Profile {
  std::string name;
  std::vector<double> values;      // [P]
  std::vector<double> objectives;  // [P]
  std::vector<double> points;      // [P, free]
  double interval_lower = 0, interval_upper = 0;
  std::string verdict;
};

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_PROBLEM_H_
