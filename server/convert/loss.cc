#include "server/convert/loss.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "server/convert/array.h"
#include "server/convert/layout.h"
#include "server/convert/simulation.h"

namespace costate {
namespace {

// What the terms of a loss may name. Only least squares name anything: a table for other terms, of
// each of thousands of cotangents, would cost more than the rest of their check.
struct Channels {
  Channels(const ModelIr& model, const v1::Loss& loss) : Channels(model, NumLookups(loss)) {}

  const ModelIr& ir;
  TensorIndex states;
  TensorIndex outputs;

 private:
  Channels(const ModelIr& model, size_t lookups)
      : ir(model), states(model.states, lookups), outputs(model.outputs, lookups) {}

  static size_t NumLookups(const v1::Loss& loss) {
    return static_cast<size_t>(
        std::count_if(loss.terms().begin(), loss.terms().end(),
                      [](const v1::LossTerm& term) { return term.has_least_squares(); }));
  }
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

// Of the shape that is expected, or without one; unset gives none.
absl::StatusOr<std::vector<double>> WeightsFromProto(const std::string& field,
                                                     const v1::Array& proto,
                                                     const Shape& expected) {
  std::vector<double> weights = ValuesFromProto(proto);
  const int64_t size = static_cast<int64_t>(weights.size());
  const Shape shape(proto.shape().begin(), proto.shape().end());
  const bool fits = shape.size() < 2 || shape == expected;
  if (size == 0 || (fits && size == NumElements(expected))) return weights;
  const std::string got = shape.size() < 2
                              ? absl::StrCat(size, " elements")
                              : absl::StrCat("shape [", absl::StrJoin(shape, ", "), "]");
  return FieldError(field, got,
                    absl::StrCat("[", absl::StrJoin(expected, ", "), "]",
                                 expected.size() == 2 ? ": one row per time" : ""));
}

absl::StatusOr<Linear> LinearFromProto(const std::string& field, const v1::Linear& proto,
                                       const ModelIr& ir) {
  Linear term;
  term.times = ValuesFromProto(proto.times());
  const int64_t rows = static_cast<int64_t>(term.times.size());
  ASSIGN_OR_RETURN(term.states, WeightsFromProto(field + ".state_weights", proto.state_weights(),
                                                 {rows, ir.num_states()}));
  ASSIGN_OR_RETURN(term.outputs, WeightsFromProto(field + ".output_weights", proto.output_weights(),
                                                  {rows, ir.num_outputs()}));
  return term;
}

absl::StatusOr<Terminal> TerminalFromProto(const std::string& field, const v1::Terminal& proto,
                                           const ModelIr& ir) {
  Terminal term;
  ASSIGN_OR_RETURN(term.state, WeightsFromProto(field + ".state_weights", proto.state_weights(),
                                                {ir.num_states()}));
  ASSIGN_OR_RETURN(term.output, WeightsFromProto(field + ".output_weights", proto.output_weights(),
                                                 {ir.num_outputs()}));
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
  const Channels channels(ir, proto);
  for (int i = 0; i < proto.terms_size(); ++i) {
    RETURN_IF_ERROR(
        AddTerm(absl::StrCat(field, ".terms[", i, "]"), proto.terms(i), channels, &loss));
  }
  return loss;
}

}  // namespace costate
