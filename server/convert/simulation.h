// The part every request that integrates has in common.
#ifndef COSTATE_SERVER_CONVERT_SIMULATION_H_
#define COSTATE_SERVER_CONVERT_SIMULATION_H_

#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "costate/v1/solve.pb.h"
#include "engine/engine.h"

namespace costate {

std::vector<NamedArray> NamedArraysFromProto(
    const google::protobuf::RepeatedPtrField<v1::NamedArray>& protos);

Simulation SimulationFromProto(const v1::Simulation& proto, std::shared_ptr<const Model> model);

// The engine names fields of a Simulation from its inside ("options.adaptive.rtol") and those of
// a request from outside ("loss.terms[0]"); this puts "simulation." before the former.
absl::Status InRequestWords(const absl::Status& status);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_SIMULATION_H_
