#include "server/handlers/answer.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "server/convert/options.h"
#include "server/environment.h"

namespace costate {

bool EndedByCancellation(const Termination& termination) {
  switch (termination.reason) {
    case Termination::Reason::kCancelled:
    case Termination::Reason::kDeadlineExceeded:
    case Termination::Reason::kShuttingDown:
      return true;
    case Termination::Reason::kReachedEnd:
    case Termination::Reason::kMaxSteps:
    case Termination::Reason::kStepUnderflow:
    case Termination::Reason::kNonFinite:
    case Termination::Reason::kWallBudget:
      return false;
  }
  return false;
}

absl::Status EndOfCall(const CallContext& call, bool ended) {
  return ended ? CancellationStatus(call.cancellation.reason()) : absl::OkStatus();
}

void TimingToProto(const EngineTiming& engine, CallContext& call, v1::Timing* timing) {
  call.record.compile += engine.compile;
  call.record.engine += engine.engine;
  *timing->mutable_queue() = DurationToProto(call.record.queue);
  *timing->mutable_compile() = DurationToProto(call.record.compile);
  *timing->mutable_engine() = DurationToProto(call.record.engine);
}

absl::Status CheckAnswerFits(const CallContext& call, double bytes, const char* advice) {
  const int64_t limit = call.environment.options().max_message_bytes;
  if (bytes <= static_cast<double>(limit)) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the answer would have about ", static_cast<int64_t>(std::min(bytes, 1e18)),
                   " bytes, a message at most ", limit, "; ", advice));
}

}  // namespace costate
