// The runners there are: one file for each family of requests. RunnerOf in runner.h chooses.
//
// Adding a kind: its request and result in proto/costate/v1/job.proto, a runner, a case in
// runners.cc; validate, list filters and ServerInfo.job_kinds read the oneof.
#ifndef COSTATE_SERVER_JOBS_RUNNERS_H_
#define COSTATE_SERVER_JOBS_RUNNERS_H_

#include "server/jobs/runner.h"

namespace costate::jobs {

// Fits: chunks of starts, and a last task that looks at all of them.
JobRunner* FitRunner();

// Profile likelihoods: a task for each free element.
JobRunner* ProfileRunner();

// Everything that is also a unary call: one task, the same answer without timings. Null for specs
// of other kinds.
JobRunner* CallRunnerOf(const v1::JobSpec& spec);

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_RUNNERS_H_
