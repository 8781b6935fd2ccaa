#include "engine/gradients/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/gradients/expression_term.h"
#include "engine/gradients/row_finder.h"

namespace costate {
namespace {

// Accepts t in [min(t0, t1), max(t0, t1)].
absl::Status CheckTimes(const std::string& path, const std::vector<double>& times, double t0,
                        double t1) {
  const double lo = std::min(t0, t1);
  const double hi = std::max(t0, t1);
  for (size_t i = 0; i < times.size(); ++i) {
    if (times[i] >= lo && times[i] <= hi) continue;  // false for NaN
    return FieldError(absl::StrCat(path, ".times[", i, "]"), absl::StrCat(times[i]),
                      absl::StrCat("a time within [", lo, ", ", hi, "]"));
  }
  return absl::OkStatus();
}

absl::Status CheckWeights(const std::string& path, const std::vector<double>& weights,
                          int64_t expected, bool may_be_empty) {
  const int64_t size = static_cast<int64_t>(weights.size());
  if (size == 0 && may_be_empty) return absl::OkStatus();
  if (size != expected) {
    return FieldError(path, absl::StrCat(size, " values"), absl::StrCat(expected, " values"));
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    if (std::isfinite(weights[i])) continue;
    return FieldError(absl::StrCat(path, "[", i, "]"), absl::StrCat(weights[i]), "a finite number");
  }
  return absl::OkStatus();
}

absl::Status CheckLeastSquares(const std::string& path, const LeastSquares& term, double t0,
                               double t1, int64_t num_states, int64_t num_outputs) {
  const bool is_state = term.channel.kind == Channel::Kind::kState;
  const int64_t channels = is_state ? num_states : num_outputs;
  if (term.channel.index < 0 || term.channel.index >= channels) {
    return FieldError(
        absl::StrCat(path, ".channel"), absl::StrCat(term.channel.index),
        absl::StrCat("the index of one of ", channels, " ", is_state ? "states" : "outputs"));
  }
  if (term.times.empty()) {
    return FieldError(absl::StrCat(path, ".times"), "none", "at least one time");
  }
  RETURN_IF_ERROR(CheckTimes(path, term.times, t0, t1));
  if (term.values.size() != term.times.size()) {
    return FieldError(absl::StrCat(path, ".values"), absl::StrCat(term.values.size(), " values"),
                      absl::StrCat(term.times.size(), ", one for each time"));
  }
  for (size_t i = 0; i < term.values.size(); ++i) {
    if (!std::isinf(term.values[i])) continue;
    return FieldError(absl::StrCat(path, ".values[", i, "]"), absl::StrCat(term.values[i]),
                      "a finite number, or NaN for a missing one");
  }
  if (term.sigma.size() != 1 && term.sigma.size() != term.times.size()) {
    return FieldError(absl::StrCat(path, ".sigma"), absl::StrCat(term.sigma.size(), " values"),
                      absl::StrCat("1 or ", term.times.size(), ", one for each time"));
  }
  for (size_t i = 0; i < term.sigma.size(); ++i) {
    if (term.sigma[i] > 0 && std::isfinite(term.sigma[i])) continue;
    return FieldError(absl::StrCat(path, ".sigma[", i, "]"), absl::StrCat(term.sigma[i]),
                      "a finite number > 0");
  }
  return absl::OkStatus();
}

absl::Status CheckLinear(const std::string& path, const Linear& term, double t0, double t1,
                         int64_t num_states, int64_t num_outputs) {
  if (term.times.empty()) {
    return FieldError(absl::StrCat(path, ".times"), "none", "at least one time");
  }
  RETURN_IF_ERROR(CheckTimes(path, term.times, t0, t1));
  const int64_t rows = static_cast<int64_t>(term.times.size());
  if (term.states.empty() && term.outputs.empty()) {
    return FieldError(absl::StrCat(path, ".states"), "no weights",
                      "weights of states, of outputs, or both");
  }
  RETURN_IF_ERROR(
      CheckWeights(absl::StrCat(path, ".states"), term.states, rows * num_states, true));
  return CheckWeights(absl::StrCat(path, ".outputs"), term.outputs, rows * num_outputs, true);
}

absl::Status CheckTerminal(const std::string& path, const Terminal& term, int64_t num_states,
                           int64_t num_outputs) {
  if (term.state.empty() && term.output.empty()) {
    return FieldError(absl::StrCat(path, ".state"), "no weights",
                      "weights of states, of outputs, or both");
  }
  RETURN_IF_ERROR(CheckWeights(absl::StrCat(path, ".state"), term.state, num_states, true));
  return CheckWeights(absl::StrCat(path, ".output"), term.output, num_outputs, true);
}

absl::Status CheckExpression(const std::string& path, const ExpressionLoss& term, double t0,
                             double t1) {
  if (term.times.empty()) {
    return FieldError(absl::StrCat(path, ".times"), "none", "at least one time");
  }
  RETURN_IF_ERROR(CheckTimes(path, term.times, t0, t1));
  for (size_t d = 0; d < term.data.size(); ++d) {
    const NamedArray& array = term.data[d];
    const std::string field = absl::StrCat(path, ".data[", d, "].array");
    double elements = 1;
    for (int64_t extent : array.shape) {
      if (extent < 1) return FieldError(field, absl::StrCat("an extent of ", extent), "at least 1");
      elements *= static_cast<double>(extent);
    }
    if (elements != static_cast<double>(array.values.size())) {
      return FieldError(field, absl::StrCat(array.values.size(), " values"),
                        absl::StrCat(elements, " for its shape"));
    }
    for (size_t i = 0; i < array.values.size(); ++i) {
      if (!std::isinf(array.values[i])) continue;
      return FieldError(absl::StrCat(field, "[", i, "]"), absl::StrCat(array.values[i]),
                        "a finite number, or NaN");
    }
  }
  return absl::OkStatus();
}

// Adds up a loss over one set of saved values.
class Accumulator {
 public:
  Accumulator(const SavedValues& saved, absl::Span<const double> params)
      : saved_(saved), params_(params), rows_(saved), n_(rows_.num_states), k_(rows_.num_outputs) {}

  void Add(const LeastSquares& term) {
    const bool is_state = term.channel.kind == Channel::Kind::kState;
    const size_t width = is_state ? n_ : k_;
    const std::vector<double>& values = is_state ? saved_.states : saved_.outputs;
    std::vector<double>& cotangent = is_state ? states() : outputs();
    for (size_t i = 0; i < term.times.size(); ++i) {
      if (std::isnan(term.values[i])) continue;
      const size_t at = rows_.Find(term.times[i]) * width + static_cast<size_t>(term.channel.index);
      const double sigma = term.sigma.size() == 1 ? term.sigma[0] : term.sigma[i];
      const double residual = (values[at] - term.values[i]) / sigma;
      result_.value += term.half ? 0.5 * residual * residual : residual * residual;
      cotangent[at] += (term.half ? residual : 2 * residual) / sigma;
    }
  }

  void Add(const Linear& term) {
    for (size_t i = 0; i < term.times.size(); ++i) {
      const size_t row = rows_.Find(term.times[i]);
      if (!term.states.empty()) {
        AddRow(&term.states[i * n_], n_, &saved_.states[row * n_], &states()[row * n_]);
      }
      if (!term.outputs.empty()) {
        AddRow(&term.outputs[i * k_], k_, &saved_.outputs[row * k_], &outputs()[row * k_]);
      }
    }
  }

  void Add(const Terminal& term) {
    Cotangents& c = result_.cotangents;
    if (!term.state.empty()) {
      c.terminal_state.resize(term.state.size());
      AddRow(term.state.data(), term.state.size(), saved_.terminal_state.data(),
             c.terminal_state.data());
    }
    if (!term.output.empty()) {
      c.terminal_output.resize(term.output.size());
      AddRow(term.output.data(), term.output.size(), saved_.terminal_output.data(),
             c.terminal_output.data());
    }
  }

  void Add(const ExpressionLoss& term) {
    result_.value += EvaluateExpression(term, saved_, params_, &rows_, &result_.cotangents);
  }

  // Not prepared: nothing is known of it.
  void Add(const IntegralLoss&) { result_.value = std::numeric_limits<double>::quiet_NaN(); }

  LossValue Take() && { return std::move(result_); }

 private:
  std::vector<double>& states() {
    result_.cotangents.states.resize(saved_.states.size());
    return result_.cotangents.states;
  }
  std::vector<double>& outputs() {
    result_.cotangents.outputs.resize(saved_.outputs.size());
    return result_.cotangents.outputs;
  }

  void AddRow(const double* weights, size_t size, const double* values, double* cotangent) {
    for (size_t i = 0; i < size; ++i) {
      if (weights[i] == 0) continue;  // the value is not needed, so it may be NaN
      result_.value += weights[i] * values[i];
      cotangent[i] += weights[i];
    }
  }

  const SavedValues& saved_;
  const absl::Span<const double> params_;
  RowFinder rows_;
  const size_t n_;
  const size_t k_;
  LossValue result_;
};

const std::vector<double>* TermTimes(const LeastSquares& term) { return &term.times; }
const std::vector<double>* TermTimes(const Linear& term) { return &term.times; }
const std::vector<double>* TermTimes(const Terminal&) { return nullptr; }
const std::vector<double>* TermTimes(const ExpressionLoss& term) { return &term.times; }
const std::vector<double>* TermTimes(const IntegralLoss&) { return nullptr; }

}  // namespace

std::vector<double> LossTimes(const Loss& loss, bool backwards) {
  std::vector<double> times;
  for (const auto& term : loss.terms) {
    const std::vector<double>* more =
        std::visit([](const auto& concrete) { return TermTimes(concrete); }, term);
    if (more == nullptr || *more == times) continue;
    times.insert(times.end(), more->begin(), more->end());
  }
  const auto before = [backwards](double a, double b) { return backwards ? a > b : a < b; };
  if (!std::is_sorted(times.begin(), times.end(), before)) {
    std::sort(times.begin(), times.end(), before);
  }
  times.erase(std::unique(times.begin(), times.end()), times.end());
  return times;
}

absl::Status ValidateLoss(const Loss& loss, double t0, double t1, int64_t num_states,
                          int64_t num_outputs, std::string_view path_of_loss) {
  const std::string terms = absl::StrCat(std::string(path_of_loss), ".terms");
  if (loss.terms.empty()) return FieldError(terms, "none", "at least one term");
  for (size_t i = 0; i < loss.terms.size(); ++i) {
    const std::string path = absl::StrCat(terms, "[", i, "]");
    absl::Status status;
    if (const auto* squares = std::get_if<LeastSquares>(&loss.terms[i])) {
      status = CheckLeastSquares(path, *squares, t0, t1, num_states, num_outputs);
    } else if (const auto* linear = std::get_if<Linear>(&loss.terms[i])) {
      status = CheckLinear(path, *linear, t0, t1, num_states, num_outputs);
    } else if (const auto* terminal = std::get_if<Terminal>(&loss.terms[i])) {
      status = CheckTerminal(path, *terminal, num_states, num_outputs);
    } else if (const auto* expression = std::get_if<ExpressionLoss>(&loss.terms[i])) {
      status = CheckExpression(absl::StrCat(path, ".expression"), *expression, t0, t1);
    } else {
      status = absl::OkStatus();  // the text is all there is to an integral
    }
    RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

LossValue EvaluateLoss(const Loss& loss, const SavedValues& saved,
                       absl::Span<const double> params) {
  Accumulator sum(saved, params);
  for (const auto& term : loss.terms) {
    std::visit([&sum](const auto& concrete) { sum.Add(concrete); }, term);
  }
  return std::move(sum).Take();
}

}  // namespace costate
