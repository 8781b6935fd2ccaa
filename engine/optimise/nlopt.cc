#include "engine/optimise/nlopt.h"
namespace costate::optimise {
absl::Status CheckNloptAlgorithm(std::string_view) { return absl::UnimplementedError("not yet"); }
absl::StatusOr<std::unique_ptr<Optimiser>> MakeNlopt(const OptimiserOptions&, Box,
                                                     std::vector<double>) {
  return absl::UnimplementedError("not yet");
}
std::unique_ptr<Optimiser> RestoreNlopt(const OptimiserOptions&, Box, StateReader&) {
  return nullptr;
}
}  // namespace costate::optimise
