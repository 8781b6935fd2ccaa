// An objective of closed-form residuals, to test what stands above it without an engine; with its
// own arithmetic of scales, as a witness.
#ifndef COSTATE_TESTS_ENGINE_FIT_FAKE_OBJECTIVE_H_
#define COSTATE_TESTS_ENGINE_FIT_FAKE_OBJECTIVE_H_

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "engine/fit/objective.h"

namespace costate::fit::testing {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Residuals s [M] and their derivatives [M, q] by natural values.
struct Residuals {
  std::vector<double> s;
  std::vector<double> jacobian;
};
using Model = std::function<Residuals(const std::vector<double>&)>;

inline FreeElement Element(std::string name, double start, double lower = -kInfinity,
                           double upper = kInfinity, Scale scale = Scale::kLinear) {
  return {.name = std::move(name), .scale = scale, .lower = lower, .upper = upper, .start = start};
}

// value = |s|^2 / 2, infinite where a residual is not finite.
class FakeObjective final : public Objective {
 public:
  // Residual i is of part i % parts.
  FakeObjective(std::vector<FreeElement> elements, Model model, int64_t parts = 1)
      : elements_(std::move(elements)), model_(std::move(model)), parts_(parts) {
    for (const FreeElement& element : elements_) {
      box_.lower.push_back(Search(element, element.lower));
      box_.upper.push_back(Search(element, element.upper));
    }
    resolution_.options.control.rtol = 1e-12;
  }

  const std::vector<FreeElement>& elements() const override { return elements_; }
  const optimise::Box& box() const override { return box_; }
  int64_t num_parts() const override { return parts_; }
  const Resolution& resolution() const override { return resolution_; }
  SolveStats work() const override { return {}; }
  Resolution& mutable_resolution() { return resolution_; }
  void set_memory_for(int64_t questions) { memory_for_ = questions; }

  std::vector<double> ToSearch(absl::Span<const double> natural) const override {
    std::vector<double> x;
    for (size_t j = 0; j < natural.size(); ++j) x.push_back(Search(elements_[j], natural[j]));
    return x;
  }
  std::vector<double> ToNatural(absl::Span<const double> search) const override {
    std::vector<double> v;
    for (size_t j = 0; j < search.size(); ++j) v.push_back(Natural(elements_[j], search[j]));
    return v;
  }
  std::vector<double> Slopes(absl::Span<const double> search) const override {
    std::vector<double> slopes;
    for (size_t j = 0; j < search.size(); ++j) {
      const FreeElement& element = elements_[j];
      const double v = Natural(element, search[j]);
      switch (element.scale) {
        case Scale::kLinear:
          slopes.push_back(1);
          break;
        case Scale::kLog:
          slopes.push_back(v);
          break;
        case Scale::kLog10:
          slopes.push_back(v * std::log(10.0));
          break;
        case Scale::kLogit:
          slopes.push_back((v - element.lower) * (element.upper - v) /
                           (element.upper - element.lower));
          break;
      }
    }
    return slopes;
  }

  absl::StatusOr<std::vector<optimise::Answer>> Evaluate(
      absl::Span<const optimise::Question* const> questions, const StopSource& stop,
      Workers&) const override {
    if (stop.cancellation != nullptr && stop.cancellation->cancelled()) {
      return absl::CancelledError("cancelled");
    }
    if (static_cast<int64_t>(questions.size()) > memory_for_) {
      return absl::ResourceExhaustedError("too many questions");
    }
    std::vector<optimise::Answer> answers;
    for (const optimise::Question* question : questions) answers.push_back(Answer(*question));
    const std::lock_guard<std::mutex> lock(mutex_);
    evaluations_ += static_cast<int64_t>(questions.size());
    largest_group_ = std::max(largest_group_, static_cast<int64_t>(questions.size()));
    return answers;
  }

  absl::StatusOr<Prediction> Predict(absl::Span<const double> search,
                                     const StopSource&) const override {
    const std::vector<double> s = model_(ToNatural(search)).s;
    return Prediction{.fitted = {s}, .residuals = {s}, .trajectories = {}};
  }

  int64_t evaluations() const { return evaluations_; }
  int64_t largest_group() const { return largest_group_; }

 private:
  static double Search(const FreeElement& element, double v) {
    switch (element.scale) {
      case Scale::kLinear:
        return v;
      case Scale::kLog:
        return std::log(v);
      case Scale::kLog10:
        return std::log10(v);
      case Scale::kLogit:
        return std::log((v - element.lower) / (element.upper - v));
    }
    return v;
  }
  static double Natural(const FreeElement& element, double x) {
    switch (element.scale) {
      case Scale::kLinear:
        return x;
      case Scale::kLog:
        return std::exp(x);
      case Scale::kLog10:
        return std::pow(10.0, x);
      case Scale::kLogit:
        return element.lower + (element.upper - element.lower) / (1 + std::exp(-x));
    }
    return x;
  }

  optimise::Answer Answer(const optimise::Question& question) const {
    const std::vector<double> natural = ToNatural(question.point);
    const std::vector<double> slopes = Slopes(question.point);
    const Residuals all = model_(natural);
    const size_t q = natural.size();
    double factor = 1;
    if (!question.parts.empty()) {
      factor = static_cast<double>(parts_) / static_cast<double>(question.parts.size());
    }
    optimise::Answer answer;
    answer.value = 0;
    answer.gradient.assign(q, 0.0);
    for (size_t i = 0; i < all.s.size(); ++i) {
      const int64_t part = static_cast<int64_t>(i) % parts_;
      bool taken = question.parts.empty();
      for (const int64_t drawn : question.parts) taken = taken || drawn == part;
      if (!taken) continue;
      answer.value += 0.5 * factor * all.s[i] * all.s[i];
      answer.residuals.push_back(std::sqrt(factor) * all.s[i]);
      for (size_t j = 0; j < q; ++j) {
        const double d = all.jacobian[i * q + j] * slopes[j];
        answer.gradient[j] += factor * all.s[i] * d;
        answer.jacobian.push_back(std::sqrt(factor) * d);
      }
    }
    if (!std::isfinite(answer.value)) {
      answer = {};
      answer.detail = "The model ran into the wall";
      return answer;
    }
    if (question.wanted != optimise::Wanted::kGradient) answer.gradient.clear();
    if (question.wanted != optimise::Wanted::kResiduals) {
      answer.residuals.clear();
      answer.jacobian.clear();
    }
    return answer;
  }

  const std::vector<FreeElement> elements_;
  const Model model_;
  const int64_t parts_;
  int64_t memory_for_ = std::numeric_limits<int64_t>::max();
  optimise::Box box_;
  Resolution resolution_;
  mutable std::mutex mutex_;
  mutable int64_t evaluations_ = 0, largest_group_ = 0;
};

// s = (A v - y) / sigma, A [M, q] row-major.
inline Model LinearModel(std::vector<double> a, std::vector<double> y, double sigma = 1) {
  return [=](const std::vector<double>& v) {
    Residuals r;
    for (size_t i = 0; i < y.size(); ++i) {
      double m = 0;
      for (size_t j = 0; j < v.size(); ++j) {
        m += a[i * v.size() + j] * v[j];
        r.jacobian.push_back(a[i * v.size() + j] / sigma);
      }
      r.s.push_back((m - y[i]) / sigma);
    }
    return r;
  };
}

// s_i = (A exp(-k t_i) - y_i) / sigma, of v = (A, k).
inline Model DecayModel(std::vector<double> times, std::vector<double> y, double sigma) {
  return [=](const std::vector<double>& v) {
    Residuals r;
    for (size_t i = 0; i < y.size(); ++i) {
      const double e = std::exp(-v[1] * times[i]);
      r.s.push_back((v[0] * e - y[i]) / sigma);
      r.jacobian.push_back(e / sigma);
      r.jacobian.push_back(-v[0] * times[i] * e / sigma);
    }
    return r;
  };
}

// Rosenbrock's valley, s = (10 (y - x^2), 1 - x); infinite for y > wall.
inline Model ValleyModel(double wall = kInfinity) {
  return [=](const std::vector<double>& v) {
    if (v[1] > wall) return Residuals{{kInfinity, 0}, {0, 0, 0, 0}};
    return Residuals{{10 * (v[1] - v[0] * v[0]), 1 - v[0]}, {-20 * v[0], 10, -1, 0}};
  };
}

}  // namespace costate::fit::testing

#endif  // COSTATE_TESTS_ENGINE_FIT_FAKE_OBJECTIVE_H_
