#include "server/convert/loss.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "server/convert/array.h"
#include "server/convert/layout.h"
#include "server/convert/simulation.h"

namespace costate {
namespace {

// What the terms of a loss may name.
struct Channels {
  Channels(const ModelIr& model, size_t lookups)
      : ir(model), states(model.states, lookups), outputs(model.outputs, lookups) {}

  const ModelIr& ir;
  TensorIndex states;
  TensorIndex outputs;
};

absl::StatusOr<Channel> ChannelFromProto(const std::string& field, const v1::LeastSquares& proto,
                                         const Channels& channels) {
  const bool output = proto.has_output();
  const std::string own = field + (output ? ".output" : ".state");
  const std::string other = output ? "state" : "output";
  const std::string& name = output ? proto.output() : proto.state();
  const absl::StatusOr<int64_t> index =
      FindElement(own, output ? channels.outputs : channels.states, name);
  if (index.ok()) {
    return Channel{output ? Channel::Kind::kOutput : Channel::Kind::kState, *index};
  }
  if (!FindElement(own, output ? channels.states : channels.outputs, name).ok()) {
    return index.status();
  }
  return FieldStatus(absl::StatusCode::kInvalidArgument, own,
                     absl::StrCat("'", name, "' is ", output ? "a state" : "an output",
                                  " of the model; name it with ", other, "="));
}

absl::StatusOr<LeastSquares> LeastSquaresFromProto(const std::string& field,
                                                   const v1::LeastSquares& proto,
                                                   const Channels& channels) {
  LeastSquares term;
  ASSIGN_OR_RETURN(term.channel, ChannelFromProto(field, proto, channels));
  term.times = ValuesFromProto(proto.times());
  term.values = ValuesFromProto(proto.values());
  term.sigma = ValuesFromProto(proto.sigma());
  if (term.sigma.empty()) term.sigma = {1.0};
  term.half = proto.half();
  return term;
}

// [rows, columns]; unset gives none.
absl::StatusOr<std::vector<double>> WeightsFromProto(const std::string& field,
                                                     const v1::Array& proto, int64_t rows,
                                                     int64_t columns) {
  std::vector<double> weights = ValuesFromProto(proto);
  const int64_t size = static_cast<int64_t>(weights.size());
  const std::vector<int64_t> shape(proto.shape().begin(), proto.shape().end());
  const bool fits = shape.size() < 2 || shape == std::vector<int64_t>{rows, columns};
  if (size == 0 || (fits && size == rows * columns)) return weights;
  return FieldError(field, absl::StrCat(size, " elements"),
                    absl::StrCat("[", rows, ", ", columns, "]: one row per time"));
}

absl::StatusOr<Linear> LinearFromProto(const std::string& field, const v1::Linear& proto,
                                       const ModelIr& ir) {
  Linear term;
  term.times = ValuesFromProto(proto.times());
  const int64_t rows = static_cast<int64_t>(term.times.size());
  ASSIGN_OR_RETURN(term.states, WeightsFromProto(field + ".state_weights", proto.state_weights(),
                                                 rows, ir.num_states()));
  ASSIGN_OR_RETURN(term.outputs, WeightsFromProto(field + ".output_weights", proto.output_weights(),
                                                  rows, ir.num_outputs()));
  return term;
}

absl::StatusOr<Terminal> TerminalFromProto(const std::string& field, const v1::Terminal& proto,
                                           const ModelIr& ir) {
  Terminal term;
  ASSIGN_OR_RETURN(term.state, WeightsFromProto(field + ".state_weights", proto.state_weights(), 1,
                                                ir.num_states()));
  ASSIGN_OR_RETURN(term.output, WeightsFromProto(field + ".output_weights", proto.output_weights(),
                                                 1, ir.num_outputs()));
  return term;
}

ExpressionLoss ExpressionFromProto(const v1::Expression& proto) {
  ExpressionLoss term;
  term.text = proto.text();
  term.times = ValuesFromProto(proto.times());
  term.data = NamedArraysFromProto(proto.data());
  return term;
}

absl::Status AddTerm(const std::string& field, const v1::LossTerm& proto, const Channels& channels,
                     Loss* loss) {
  const ModelIr& ir = channels.ir;
  switch (proto.term_case()) {
    case v1::LossTerm::kLeastSquares: {
      ASSIGN_OR_RETURN(LeastSquares term, LeastSquaresFromProto(field + ".least_squares",
                                                                proto.least_squares(), channels));
      loss->terms.emplace_back(std::move(term));
      return absl::OkStatus();
    }
    case v1::LossTerm::kLinear: {
      ASSIGN_OR_RETURN(Linear term, LinearFromProto(field + ".linear", proto.linear(), ir));
      loss->terms.emplace_back(std::move(term));
      return absl::OkStatus();
    }
    case v1::LossTerm::kTerminal: {
      ASSIGN_OR_RETURN(Terminal term, TerminalFromProto(field + ".terminal", proto.terminal(), ir));
      loss->terms.emplace_back(std::move(term));
      return absl::OkStatus();
    }
    case v1::LossTerm::kIntegral:
      loss->terms.emplace_back(IntegralLoss{proto.integral().integrand()});
      return absl::OkStatus();
    case v1::LossTerm::kExpression:
      loss->terms.emplace_back(ExpressionFromProto(proto.expression()));
      return absl::OkStatus();
    case v1::LossTerm::TERM_NOT_SET:
      break;
  }
  return absl::InternalError("a loss term without content passed validation");
}

}  // namespace

absl::StatusOr<Loss> LossFromProto(const std::string& field, const v1::Loss& proto,
                                   const ModelIr& ir) {
  Loss loss;
  loss.terms.reserve(proto.terms_size());
  const Channels channels(ir, static_cast<size_t>(proto.terms_size()));
  for (int i = 0; i < proto.terms_size(); ++i) {
    RETURN_IF_ERROR(
        AddTerm(absl::StrCat(field, ".terms[", i, "]"), proto.terms(i), channels, &loss));
  }
  return loss;
}

}  // namespace costate
