#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "engine/fit/fit.h"
#include "engine/optimise/state_bytes.h"

namespace costate::fit {
namespace {

constexpr int64_t kVersion = 1;

bool IsOutcome(int64_t value) {
  return value >= static_cast<int64_t>(optimise::Outcome::kRunning) &&
         value <= static_cast<int64_t>(optimise::Outcome::kStalled);
}

}  // namespace

std::string SaveResults(absl::Span<const StartResult> results) {
  optimise::StateWriter writer;
  writer.Int(kVersion);
  writer.Int(static_cast<int64_t>(results.size()));
  for (const StartResult& result : results) {
    writer.Int(result.index);
    writer.Int(static_cast<int64_t>(result.outcome));
    writer.Double(result.objective);
    writer.Doubles(result.start_values);
    writer.Doubles(result.values);
    writer.Int(result.iterations);
    writer.Int(result.evaluations);
    writer.Doubles(result.trace);
    writer.Double(result.gradient_norm);
    writer.Bytes(result.detail);
  }
  return writer.Take();
}

absl::StatusOr<std::vector<StartResult>> RestoreResults(std::string_view bytes) {
  optimise::StateReader reader(bytes);
  const int64_t version = reader.Int();
  if (!reader.ok() || version != kVersion) {
    return absl::DataLossError(
        absl::StrCat("results of starts: version ", version, ", and this build reads ", kVersion));
  }
  const int64_t count = reader.Int();
  std::vector<StartResult> results;
  for (int64_t i = 0; i < count && reader.ok(); ++i) {
    StartResult result;
    result.index = reader.Int();
    const int64_t outcome = reader.Int();
    if (!IsOutcome(outcome)) return absl::DataLossError("results of starts: no such outcome");
    result.outcome = static_cast<optimise::Outcome>(outcome);
    result.objective = reader.Double();
    result.start_values = reader.Doubles();
    result.values = reader.Doubles();
    result.iterations = reader.Int();
    result.evaluations = reader.Int();
    result.trace = reader.Doubles();
    result.gradient_norm = reader.Double();
    result.detail = reader.Bytes();
    results.push_back(std::move(result));
  }
  if (!reader.ok() || count < 0 || !reader.at_end()) {
    return absl::DataLossError("results of starts: cut short, or bytes left over");
  }
  return results;
}

}  // namespace costate::fit
