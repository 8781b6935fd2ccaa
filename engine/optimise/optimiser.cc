#include "engine/optimise/optimiser.h"

#include <cmath>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/optimise/adam.h"
#include "engine/optimise/lbfgsb.h"
#include "engine/optimise/levenberg_marquardt.h"
#include "engine/optimise/nlopt.h"
#include "engine/optimise/progress_keeper.h"
#include "engine/optimise/state_bytes.h"

namespace costate::optimise {
namespace {

constexpr int64_t kVersion = 1;

// FNV-1a, 64 bits (Fowler, Noll and Vo; RFC 9923): notices a flipped or missing byte.
uint64_t Checksum(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : bytes) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

absl::Status Between(std::string_view field, double value, bool within, std::string_view expected) {
  if (within && std::isfinite(value)) return absl::OkStatus();
  return FieldError(field, absl::StrCat(value), expected);
}

absl::Status CheckTolerances(const OptimiserOptions& o) {
  for (const auto& [field, value] : {std::pair("function_tolerance", o.function_tolerance),
                                     std::pair("gradient_tolerance", o.gradient_tolerance),
                                     std::pair("step_tolerance", o.step_tolerance)}) {
    RETURN_IF_ERROR(Between(field, value, value >= 0, "a finite number >= 0"));
  }
  return absl::OkStatus();
}

absl::Status CheckAdam(const OptimiserOptions& o) {
  RETURN_IF_ERROR(
      Between("learning_rate", o.learning_rate, o.learning_rate > 0, "a finite number > 0"));
  RETURN_IF_ERROR(
      Between("weight_decay", o.weight_decay, o.weight_decay >= 0, "a finite number >= 0"));
  RETURN_IF_ERROR(Between("beta1", o.beta1, o.beta1 >= 0 && o.beta1 < 1, "a number in [0, 1)"));
  RETURN_IF_ERROR(Between("beta2", o.beta2, o.beta2 >= 0 && o.beta2 < 1, "a number in [0, 1)"));
  RETURN_IF_ERROR(Between("epsilon", o.epsilon, o.epsilon > 0, "a finite number > 0"));
  if (o.clip_norm) {
    RETURN_IF_ERROR(Between("clip_norm", *o.clip_norm, *o.clip_norm > 0, "a finite number > 0"));
  }
  const double decay = o.schedule.decay;
  RETURN_IF_ERROR(Between("schedule.decay", decay, decay > 0 && decay <= 1, "a number in (0, 1]"));
  if (o.schedule.warmup < 0) {
    return FieldError("schedule.warmup", absl::StrCat(o.schedule.warmup), "a number >= 0");
  }
  if (o.batch_size < 0 || o.batch_size > o.num_parts) {
    return FieldError("batch_size", absl::StrCat(o.batch_size),
                      absl::StrCat("at most the ", o.num_parts, " conditions of the problem"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<Optimiser>> NotState(const std::string& what) {
  return absl::DataLossError(absl::StrCat("the state of an optimiser ", what));
}

// Its state in an envelope that notices damage, the options of another method and other versions.
class Sealed final : public Optimiser {
 public:
  Sealed(Algorithm algorithm, std::unique_ptr<Optimiser> method)
      : algorithm_(algorithm), method_(std::move(method)) {}

  bool done() const override { return method_->done(); }
  const Question& question() const override { return method_->question(); }
  void Tell(Answer answer) override { method_->Tell(std::move(answer)); }
  const Progress& progress() const override { return method_->progress(); }
  std::string Save() const override {
    StateWriter writer;
    writer.Int(kVersion);
    writer.Int(static_cast<int64_t>(algorithm_));
    writer.Bytes(method_->Save());
    std::string state = writer.Take();
    StateWriter checksum;
    checksum.Int(static_cast<int64_t>(Checksum(state)));
    return state + checksum.Take();
  }

 private:
  const Algorithm algorithm_;
  const std::unique_ptr<Optimiser> method_;
};

absl::StatusOr<std::unique_ptr<Optimiser>> MakeMethod(const OptimiserOptions& options, Box box,
                                                      std::vector<double> start) {
  switch (options.algorithm) {
    case Algorithm::kLevenbergMarquardt:
      return MakeLevenbergMarquardt(options, std::move(box), std::move(start));
    case Algorithm::kLbfgsb:
      return MakeLbfgsb(options, std::move(box), std::move(start));
    case Algorithm::kAdam:
    case Algorithm::kAdamW:
      return MakeAdam(options, std::move(box), std::move(start));
    case Algorithm::kNlopt:
      return MakeNlopt(options, std::move(box), std::move(start));
  }
  return absl::InternalError("an algorithm without a name");
}

std::unique_ptr<Optimiser> RestoreMethod(const OptimiserOptions& options, Box box,
                                         StateReader& reader) {
  switch (options.algorithm) {
    case Algorithm::kLevenbergMarquardt:
      return RestoreLevenbergMarquardt(options, std::move(box), reader);
    case Algorithm::kLbfgsb:
      return RestoreLbfgsb(options, std::move(box), reader);
    case Algorithm::kAdam:
    case Algorithm::kAdamW:
      return RestoreAdam(options, std::move(box), reader);
    case Algorithm::kNlopt:
      return RestoreNlopt(options, std::move(box), reader);
  }
  return nullptr;
}

}  // namespace

absl::Status ValidateOptions(const OptimiserOptions& options) {
  if (options.max_iterations < 1) {
    return FieldError("max_iterations", absl::StrCat(options.max_iterations), "a number >= 1");
  }
  RETURN_IF_ERROR(CheckTolerances(options));
  switch (options.algorithm) {
    case Algorithm::kLevenbergMarquardt:
    case Algorithm::kLbfgsb:
      return absl::OkStatus();
    case Algorithm::kAdam:
    case Algorithm::kAdamW:
      return CheckAdam(options);
    case Algorithm::kNlopt:
      return CheckNloptAlgorithm(options.nlopt_algorithm);
  }
  return FieldError("method", absl::StrCat(static_cast<int>(options.algorithm)), "a known method");
}

absl::StatusOr<std::unique_ptr<Optimiser>> MakeOptimiser(const OptimiserOptions& options, Box box,
                                                         absl::Span<const double> start) {
  RETURN_IF_ERROR(ValidateOptions(options));
  std::vector<double> inside = Clamp(start, box);
  ASSIGN_OR_RETURN(std::unique_ptr<Optimiser> method,
                   MakeMethod(options, std::move(box), std::move(inside)));
  return std::make_unique<Sealed>(options.algorithm, std::move(method));
}

absl::StatusOr<std::unique_ptr<Optimiser>> RestoreOptimiser(const OptimiserOptions& options,
                                                            Box box, std::string_view state) {
  RETURN_IF_ERROR(ValidateOptions(options));
  constexpr size_t kChecksumSize = sizeof(uint64_t);
  if (state.size() < kChecksumSize) return NotState("is cut short");
  const std::string_view content = state.substr(0, state.size() - kChecksumSize);
  StateReader checksum(state.substr(content.size()));
  if (static_cast<uint64_t>(checksum.Int()) != Checksum(content)) return NotState("is damaged");
  StateReader reader(content);
  if (const int64_t version = reader.Int(); version != kVersion) {
    return NotState(absl::StrCat("has version ", version, "; this build knows ", kVersion));
  }
  if (reader.Int() != static_cast<int64_t>(options.algorithm)) {
    return NotState("is one of another method");
  }
  const std::string method_state = reader.Bytes();
  StateReader method_reader(method_state);
  if (!reader.ok() || !reader.at_end()) return NotState("is damaged");
  std::unique_ptr<Optimiser> method = RestoreMethod(options, std::move(box), method_reader);
  if (method == nullptr || !method_reader.ok() || !method_reader.at_end()) {
    return NotState("does not belong to these options and this box");
  }
  return std::make_unique<Sealed>(options.algorithm, std::move(method));
}

}  // namespace costate::optimise
