#include "engine/optimise/lbfgsb.h"
namespace costate::optimise {
std::unique_ptr<Optimiser> MakeLbfgsb(const OptimiserOptions&, Box, std::vector<double>) {
  return nullptr;
}
std::unique_ptr<Optimiser> RestoreLbfgsb(const OptimiserOptions&, Box, StateReader&) {
  return nullptr;
}
}  // namespace costate::optimise
