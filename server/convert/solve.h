// Results of solves to the wire.
#ifndef COSTATE_SERVER_CONVERT_SOLVE_H_
#define COSTATE_SERVER_CONVERT_SOLVE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "costate/v1/solve.pb.h"
#include "engine/engine.h"

namespace costate {

// A model with the text it came from (empty for graphs), to name what went wrong.
struct ModelInWords {
  const Model& model;
  std::string_view text;
  // Equations found so far, by state: many trajectories of one batch may end for one of them.
  mutable absl::flat_hash_map<std::string, std::string> equations = {};
};

// Equations quoted in one answer. To find one is to read the text.
inline constexpr size_t kMaxQuotedEquations = 64;

void TerminationToProto(const Termination& termination, const ModelInWords& words,
                        v1::Termination* proto);
void SolveStatsToProto(const SolveStats& stats, v1::SolveStats* proto);
void GridToProto(const std::vector<double>& grid, v1::StepGrid* proto);

// Everything but resource name and timing. Frees rows of `result` as they are written.
struct SolveParts {
  bool states = true;
  bool outputs = true;
};
void SolveResultToProto(SolveResult&& result, const ModelInWords& words, const SolveParts& parts,
                        v1::SolveResponse* proto);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_SOLVE_H_
