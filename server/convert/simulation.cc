#include "server/convert/simulation.h"

#include <optional>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "engine/base/field_error.h"
#include "server/convert/array.h"
#include "server/convert/options.h"

namespace costate {
std::vector<NamedArray> NamedArraysFromProto(
    const google::protobuf::RepeatedPtrField<v1::NamedArray>& protos) {
  std::vector<NamedArray> arrays;
  arrays.reserve(protos.size());
  for (const v1::NamedArray& proto : protos) {
    arrays.push_back({proto.name(), ShapeFromProto(proto.array()), ValuesFromProto(proto.array())});
  }
  return arrays;
}

Simulation SimulationFromProto(const v1::Simulation& proto, std::shared_ptr<const Model> model) {
  Simulation simulation;
  simulation.model = std::move(model);
  if (proto.t0_size() > 0) simulation.t0.assign(proto.t0().begin(), proto.t0().end());
  simulation.t1.assign(proto.t1().begin(), proto.t1().end());
  simulation.params = NamedArraysFromProto(proto.params());
  simulation.initial_state = NamedArraysFromProto(proto.initial_state());
  simulation.options = SolveOptionsFromProto(proto.options(), &simulation.method_auto);
  return simulation;
}

absl::Status InRequestWords(const absl::Status& status) {
  const std::optional<std::string> field = FieldOf(status);
  if (!field.has_value()) return status;
  for (const char* inside : {"model", "t0", "t1", "params", "initial_state", "options"}) {
    if (absl::StartsWith(*field, inside)) return WithFieldPrefix("simulation", status);
  }
  return status;
}

}  // namespace costate
