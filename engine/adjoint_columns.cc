#include "engine/adjoint_columns.h"

#include <algorithm>
#include <vector>

#include "engine/base/status_macros.h"
#include "engine/map_rows.h"

namespace costate {
namespace {

// Parameters and t0 act through the initial values that were not given.
absl::Status PullBackInit(const PassInput& input, std::vector<double> lambda,
                          AdjointResult* adjoint) {
  for (size_t i = 0; i < lambda.size(); ++i) {
    if (input.bound->given[i]) lambda[i] = 0;
  }
  const Problem problem = input.bound->one(input.trajectory);
  const MapPoints start = {.rows = 1, .t = problem.t0.data(), .p = problem.params.data()};
  return TransposeRows(input.bound->model->init(), start, lambda.data(), &adjoint->t0, nullptr,
                       adjoint->params.data());
}

}  // namespace

absl::Status FillColumns(const PassInput& input, const StateLoss& loss, AdjointResult* adjoint,
                         absl::Span<double> gradient, absl::Span<double> times) {
  for (size_t j = 0; j < loss.params.size(); ++j) adjoint->params[j] += loss.params[j];
  adjoint->t1 += loss.t1;
  RETURN_IF_ERROR(PullBackInit(input, adjoint->initial_state, adjoint));
  ForEachEntry(*input.wrt, [&](const WrtEntry& entry, int64_t column) {
    double* to = gradient.data() + column;
    switch (entry.kind) {
      case WrtEntry::Kind::kParam:
        std::copy_n(adjoint->params.data() + entry.offset, entry.size, to);
        break;
      case WrtEntry::Kind::kInitialState:
        std::copy_n(adjoint->initial_state.data() + entry.offset, entry.size, to);
        break;
      case WrtEntry::Kind::kT0:
        *to = adjoint->t0;
        break;
      case WrtEntry::Kind::kT1:
        *to = adjoint->t1;
        break;
    }
  });
  for (size_t k = 0; k < times.size(); ++k) {
    times[k] = adjoint->times[k] + (loss.times.empty() ? 0.0 : loss.times[k]);
  }
  return absl::OkStatus();
}

}  // namespace costate
