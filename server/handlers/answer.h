// What all calls that integrate put into their answers, and how they end.
#ifndef COSTATE_SERVER_HANDLERS_ANSWER_H_
#define COSTATE_SERVER_HANDLERS_ANSWER_H_

#include "absl/status/status.h"
#include "costate/v1/solve.pb.h"
#include "engine/analyze_stability.h"
#include "engine/engine.h"
#include "engine/kept_solve.h"
#include "server/call.h"

namespace costate {

// What a result says of the engine's part in a call. A new kind of result gets an overload.
struct EngineReport {
  EngineTiming timing;
  EngineWork work = {};
  bool cut_short = false;  // a trajectory ended by cancellation, deadline or drain
};
EngineReport ReportOf(const SolveResult& result);
EngineReport ReportOf(const GradientResult& result);
EngineReport ReportOf(const VjpResult& result);
EngineReport ReportOf(const JvpResult& result);
EngineReport ReportOf(const HvpResult& result);
EngineReport ReportOf(const CheckResult& result);
EngineReport ReportOf(const KeptSolve::Facts& facts);
EngineReport ReportOf(const StabilityResult& result);
// The report of a result that a kept solve gave, whose forward solve was counted when it was kept.
EngineReport WithoutSolve(EngineReport report);

// The first thing after the engine's return, also of calls that were cut short: adds time and work
// to the call's record, which access log and metrics are made of. A cancelled, late or drained call
// gets its status instead of a result, even when the engine returned what was reached.
absl::Status EndOfEngine(CallContext& call, const EngineReport& report);

// Fills in `timing` from the call's record.
void TimingToProto(const CallContext& call, v1::Timing* timing);

// RESOURCE_EXHAUSTED when an answer of `bytes` would pass the limit of one message.
absl::Status CheckAnswerFits(const CallContext& call, double bytes, const char* advice);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_ANSWER_H_
