// Fits and profiles between wire and engine. Everything here expects validated messages.
#ifndef COSTATE_SERVER_CONVERT_FIT_H_
#define COSTATE_SERVER_CONVERT_FIT_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "costate/v1/fit.pb.h"
#include "costate/v1/job.pb.h"
#include "engine/fit/fit.h"
#include "engine/fit/problem.h"

namespace costate {

fit::FitProblem FitProblemFromProto(const v1::FitRequest& proto,
                                    std::shared_ptr<const Model> model);

// What the message leaves out keeps the defaults of the optimisers, or is marked as left open.
fit::FitOptions FitOptionsFromProto(const v1::FitOptions& proto);

// What the method in force reads; sending it back repeats the fit. `asked` is the request's.
void FitOptionsToProto(const fit::FitOptions& options, const v1::FitOptions& asked,
                       v1::FitOptions* proto);

v1::FitOutcome FitOutcomeToProto(optimise::Outcome outcome);

void FitStartToProto(const fit::StartResult& start, v1::FitStart* proto);
void FitResultToProto(const fit::FitResult& result, const v1::FitRequest& request,
                      v1::FitResult* proto);

fit::ProfileOptions ProfileOptionsFromProto(const v1::ProfileRequest& proto);
void ProfileToProto(const fit::Profile& profile, v1::Profile* proto);

// Without best objective and summary.
void FitProgressToProto(const fit::StartProgress& progress, v1::FitProgress* proto);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_FIT_H_
