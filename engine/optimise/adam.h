// Adam (Kingma and Ba 2015, arXiv 1412.6980, algorithm 1) and AdamW (Loshchilov and Hutter 2019,
// arXiv 1711.05101, algorithm 2: decay apart from the gradient), with clipping of the gradient,
// schedules of the learning rate and minibatches. Every step is projected onto the box; in AdamW
// the decay is towards 0.
//
// Iteration t = 1 .. T steps with rate a_t = learning_rate w_t f_t, w_t = min(1, t / warmup) and
// f_t with progress u = (t - 1) / max(T - 1, 1): 1, decay^u, or decay + (1 - decay)
// (1 + cos(pi u)) / 2.
//
// With minibatches every epoch passes through a permutation of the parts drawn for it, so that each
// part is taken once; the last batch of an epoch may be smaller. The whole objective is asked for
// at the start, after every epoch and at the end, and only there seen: values of batches are not
// comparable.
#ifndef COSTATE_ENGINE_OPTIMISE_ADAM_H_
#define COSTATE_ENGINE_OPTIMISE_ADAM_H_

#include <memory>
#include <vector>

#include "engine/optimise/optimiser.h"
#include "engine/optimise/state_bytes.h"

namespace costate::optimise {

// options.algorithm is one of both. Starts at `start`, which is in the box.
std::unique_ptr<Optimiser> MakeAdam(const OptimiserOptions& options, Box box,
                                    std::vector<double> start);

// Null if what follows in `reader` is not its state.
std::unique_ptr<Optimiser> RestoreAdam(const OptimiserOptions& options, Box box,
                                       StateReader& reader);

}  // namespace costate::optimise

#endif  // COSTATE_ENGINE_OPTIMISE_ADAM_H_
