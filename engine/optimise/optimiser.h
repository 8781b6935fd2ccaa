// A minimiser that is asked and told: it names a point, the caller evaluates it and tells the
// answer. So thousands of them advance side by side, their points are evaluated together in lanes,
// and all state is explicit: Save and Restore go on with the same bits.
//
//   ASSIGN_OR_RETURN(auto optimiser, MakeOptimiser(options, box, start));
//   while (!optimiser->done()) optimiser->Tell(Evaluate(optimiser->question()));
//
// Points are search coordinates x [q] within a box. Everything is minimised.
#ifndef COSTATE_ENGINE_OPTIMISE_OPTIMISER_H_
#define COSTATE_ENGINE_OPTIMISE_OPTIMISER_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace costate::optimise {

// What is needed at a point.
enum class Wanted {
  kValue,
  kGradient,   // value and gradient
  kResiduals,  // value, residuals and Jacobian
};

struct Question {
  std::vector<double> point;  // [q], within the box
  Wanted wanted = Wanted::kValue;
  // Terms of the objective to sum over (indices, ascending), for methods that draw minibatches;
  // empty: all. The answer is that of the sum over them times (number of terms / number drawn).
  std::vector<int64_t> parts = {};
  // Of kResiduals: J'J is the expected Hessian, for statistics. Optimisers leave it unset: J'J may
  // then be another model of the Hessian, by which steps are better taken.
  bool expected = false;
};

// `value` is +infinity where the objective could not be evaluated (a failed integration); the rest
// is then empty. An answer that is not finite throughout counts as that.
struct Answer {
  double value = std::numeric_limits<double>::infinity();
  std::vector<double> gradient = {};   // [q]
  std::vector<double> residuals = {};  // [M], s
  // [M, q] row-major, J, with J's = gradient and J'J the expected Hessian, or see
  // Question::expected: for Gaussian noise s are the residuals and value = s's / 2 + constant; for
  // other noise s are the scores that go with J.
  std::vector<double> jacobian = {};
  // One sentence where value is not finite: why. Optimisers do not look at it.
  std::string detail = {};
};

enum class Algorithm { kLevenbergMarquardt, kLbfgsb, kAdam, kAdamW, kNlopt };

struct Schedule {
  enum class Kind { kConstant, kExponential, kCosine };
  Kind kind = Kind::kConstant;
  double decay = 0.01;  // share of the rate left at the end, in (0, 1]
  int64_t warmup = 0;   // iterations of a linear rise
};

// Of NLopt: elements that are not held, since BOBYQA's work arrays of (2 q)^2 numbers overflow
// their size unseen; and searches at once, since each has a thread.
inline constexpr int64_t kMaxNloptElements = 1000;
inline constexpr int64_t kMaxNloptSearches = 1000;

struct OptimiserOptions {
  Algorithm algorithm = Algorithm::kLevenbergMarquardt;
  int64_t max_iterations = 200;          // NLopt: evaluations
  double function_tolerance = 1e-9;      // relative decrease of the value
  double gradient_tolerance = 1e-8;      // on the gradient, by max(1, |x_j|): largest component
  double step_tolerance = 1e-9;          // relative, of x
  double learning_rate = 1e-2;           // Adam, AdamW
  double weight_decay = 1e-2;            // AdamW
  double beta1 = 0.9, beta2 = 0.999;     // Adam, AdamW
  double epsilon = 1e-8;                 // Adam, AdamW
  std::optional<double> clip_norm = {};  // Adam, AdamW
  Schedule schedule = {};                // Adam, AdamW
  int64_t num_parts = 1;                 // terms of the objective
  int64_t batch_size = 0;                // of them drawn per step of Adam and AdamW; 0: all
  std::string nlopt_algorithm = {};      // as "LN_BOBYQA"
  uint64_t seed = 0;                     // of what is drawn; differs between starts
};

// Infinite where there is no bound. lower <= upper; equal ones hold an element fixed.
struct Box {
  std::vector<double> lower, upper;  // [q]
};

enum class Outcome {
  kRunning,
  kConverged,
  kMaxIterations,
  kDiverged,  // no finite value found, or any more
  kStalled,   // no further decrease, though no tolerance was met
};

struct Progress {
  Outcome outcome = Outcome::kRunning;
  std::string detail;     // one sentence, once ended: which test ended it, with its figure
  int64_t iteration = 0;  // accepted and rejected steps alike
  int64_t evaluations = 0;
  std::vector<double> best;  // [q]; the start until something finite is found
  double value = std::numeric_limits<double>::infinity();  // at best
  // Largest component of the gradient at the current point, those that push against a bound left
  // out; NaN before the first and for methods without gradient.
  double gradient_norm = std::numeric_limits<double>::quiet_NaN();
  std::vector<double> trace;  // [iteration + 1], best value so far
};

// Thread-safety: one thread at a time.
class Optimiser {
 public:
  virtual ~Optimiser() = default;
  virtual bool done() const = 0;
  virtual const Question& question() const = 0;  // until done
  virtual void Tell(Answer answer) = 0;          // of question()
  virtual const Progress& progress() const = 0;
  // All state, in a versioned form that does not depend on the machine.
  virtual std::string Save() const = 0;
};

// INVALID_ARGUMENT with a field path of FitOptions ("learning_rate", "nlopt_algorithm", ...) for
// what is out of range; sizes that do not agree are the caller's fault.
absl::Status ValidateOptions(const OptimiserOptions& options);

// Starts at `start`, moved into the box.
absl::StatusOr<std::unique_ptr<Optimiser>> MakeOptimiser(const OptimiserOptions& options, Box box,
                                                         absl::Span<const double> start);

// Goes on where Save was called, with the same options and box. DATA_LOSS if `state` is not one, or
// of a version this build does not know.
absl::StatusOr<std::unique_ptr<Optimiser>> RestoreOptimiser(const OptimiserOptions& options,
                                                            Box box, std::string_view state);

}  // namespace costate::optimise

#endif  // COSTATE_ENGINE_OPTIMISE_OPTIMISER_H_
