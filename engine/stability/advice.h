// What an analysis means, in sentences for people.
#ifndef COSTATE_ENGINE_STABILITY_ADVICE_H_
#define COSTATE_ENGINE_STABILITY_ADVICE_H_

#include <string>

#include "engine/stability/analysis.h"

namespace costate::stability {

// Growth up to which nothing is said (errors at most double), and from which on the result is
// called unstable: the level at which forward errors of the reversible construction were measured
// to show.
inline constexpr double kHarmlessGrowth = 0.70;
inline constexpr double kRuinousGrowth = 15;

// A verdict on the steps first, then what to change: step, coupling, method; then, for schemes that
// are taken back, whether reconstruction keeps its digits and which checkpoint_every does. With
// `adaptive` steps error control keeps growth in check, and what counts is whether stability or
// accuracy chooses the step.
std::string Advise(const AnalysisInput& input, const Analysis& analysis, bool adaptive);

}  // namespace costate::stability

#endif  // COSTATE_ENGINE_STABILITY_ADVICE_H_
