// Parts of Summarise (fit.h) that stand on their own.
#ifndef COSTATE_ENGINE_FIT_SUMMARY_H_
#define COSTATE_ENGINE_FIT_SUMMARY_H_

#include <vector>

#include "absl/types/span.h"
#include "engine/fit/objective.h"
#include "engine/fit/problem.h"

namespace costate::fit {

// Best first: by objective, then index; those without a finite one last.
void SortStarts(std::vector<StartResult>* starts);

// Those within 0.1 of the first, which is finite; 0 else.
int64_t CountAtBest(absl::Span<const StartResult> sorted);

// Which coordinates lie on a bound: exactly, or within 1e-6 of the box's width (of max(1, |bound|)
// where it is infinite) with the gradient pushing outwards. [q]; `gradient` may be empty.
std::vector<bool> FindBounds(const optimise::Box& box, absl::Span<const double> search,
                             absl::Span<const double> gradient);

}  // namespace costate::fit

#endif  // COSTATE_ENGINE_FIT_SUMMARY_H_
