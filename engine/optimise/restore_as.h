// What the methods' restore functions share.
#ifndef COSTATE_ENGINE_OPTIMISE_RESTORE_AS_H_
#define COSTATE_ENGINE_OPTIMISE_RESTORE_AS_H_

#include <memory>
#include <utility>
#include <vector>

#include "engine/optimise/optimiser.h"
#include "engine/optimise/progress_keeper.h"
#include "engine/optimise/state_bytes.h"

namespace costate::optimise {

// A Method in the state that `reader` has next; null if that is none of a Method.
template <typename Method>
std::unique_ptr<Optimiser> RestoreAs(const OptimiserOptions& options, Box box,
                                     StateReader& reader) {
  std::vector<double> start = Clamp(std::vector<double>(box.lower.size()), box);
  auto optimiser = std::make_unique<Method>(options, std::move(box), std::move(start));
  if (!optimiser->Restore(reader)) return nullptr;
  return optimiser;
}

}  // namespace costate::optimise

#endif  // COSTATE_ENGINE_OPTIMISE_RESTORE_AS_H_
