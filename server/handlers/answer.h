// What all calls that integrate put into their answers, and how they end.
#ifndef COSTATE_SERVER_HANDLERS_ANSWER_H_
#define COSTATE_SERVER_HANDLERS_ANSWER_H_

#include "absl/status/status.h"
#include "costate/v1/solve.pb.h"
#include "engine/engine.h"
#include "server/call.h"

namespace costate {

// A cancelled, late or drained call has a status instead of a result, even when the engine
// returned what was reached. `ended` says whether any trajectory ended for that reason.
absl::Status EndOfCall(const CallContext& call, bool ended);
bool EndedByCancellation(const Termination& termination);

// Adds the engine's times to the call's record and fills in `timing`.
void TimingToProto(const EngineTiming& engine, CallContext& call, v1::Timing* timing);

// RESOURCE_EXHAUSTED when an answer of `bytes` would pass the limit of one message.
absl::Status CheckAnswerFits(const CallContext& call, double bytes, const char* advice);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_ANSWER_H_
