// How much memory a call may hold at once, from its request alone: the measure of the server's
// memory budget. What the engine or the size of a message bounds is counted at most at that bound;
// steps of adaptive solves are a guess.
#ifndef COSTATE_SERVER_HANDLERS_MEMORY_ESTIMATE_H_
#define COSTATE_SERVER_HANDLERS_MEMORY_ESTIMATE_H_

#include <cstdint>

#include "engine/engine.h"
#include "engine/kept_solve.h"

namespace costate {

// Results and the answer made of them. A stream keeps neither; `max_message_bytes` bounds the rows
// that an answer collects step by step.
int64_t EstimateSolveBytes(const SolveRequest& request, bool streams, int64_t max_message_bytes);

// The saved values, gradients and answer of all trajectories, and the pass of one of them: stored
// steps or tangents, by the method. `columns` is the number of elements in wrt.
int64_t EstimateGradientBytes(const GradientRequest& request, int64_t columns);
// The least that the answer of ComputeGradient takes, so that one that cannot be sent is refused
// before the work.
double LeastGradientAnswerBytes(const GradientRequest& request, int64_t columns, bool want_saved);

// The room on disk that the checkpoints of one pass may take beside those in memory. 0 for methods
// without checkpoints.
int64_t EstimateDiskBytes(const Simulation& simulation, const AdjointOptions& adjoint,
                          GradientMethod method);

// The passes of all trajectories, and their saved values: kept, and in the answer.
int64_t EstimateKeepBytes(const KeepRequest& request, int64_t columns);
// A call on a kept solve: saved values, gradients and answer, and for each of `cotangents` the
// weights of all saved values.
int64_t EstimateKeptBytes(const KeptSolve& kept, int64_t cotangents);

int64_t EstimateVjpBytes(const VjpRequest& request, int64_t columns);

// The pass of one method after another, and results of all of them.
int64_t EstimateCheckBytes(const CheckRequest& request, int64_t columns);

// Stored steps with the tangents of all `vectors`.
int64_t EstimateHvpBytes(const HvpRequest& request, int64_t columns, int64_t vectors);

// `directions` tangents in a space of `columns`.
int64_t EstimateTangentBytes(const Simulation& simulation, int64_t columns, int64_t directions);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_MEMORY_ESTIMATE_H_
