#include "engine/fit/unidentified.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace costate::fit {
namespace {

constexpr size_t kMaxNamedElements = 6;

// Exponents that are taken for what they look like.
constexpr double kSimplePowers[] = {1, -1, 2, -2, 0.5, -0.5, 3, -3};
constexpr double kPowerTolerance = 2e-3;

// An element that takes part in a direction.
struct Part {
  const FreeElement* element = nullptr;
  double value = 0;
  double change = 0;  // of the natural value
  // Of its logarithm; 0 where the value is 0.
  double relative() const { return value == 0 ? 0 : change / value; }
};

bool IsLogarithmic(const Part& part) {
  return part.element->scale == Scale::kLog || part.element->scale == Scale::kLog10;
}

std::optional<double> SimplePower(double exponent) {
  for (const double power : kSimplePowers) {
    if (std::abs(exponent / power - 1) < kPowerTolerance) return power;
  }
  return std::nullopt;
}

// "b*s0", "b/s0^2": what does not change when ln b moves by 1 and ln s0 by -1/exponent.
std::string Product(const Part& a, const Part& b, double exponent) {
  const double size = std::abs(exponent);
  const std::string power = size == 1 ? "" : absl::StrFormat("^%.3g", size);
  return absl::StrCat(a.element->name, exponent > 0 ? "*" : "/", b.element->name, power);
}

std::string Sum(const Part& a, const Part& b, double factor) {
  const double size = std::abs(factor);
  const std::string times = std::abs(size - 1) < 5e-4 ? "" : absl::StrFormat("%.3g*", size);
  return absl::StrCat(a.element->name, factor > 0 ? " + " : " - ", times, b.element->name);
}

std::string DescribePair(const Part& a, const Part& b) {
  // Along the direction, ln a + exponent ln b and a + factor b stay as they are.
  const double exponent = b.relative() == 0 ? 0 : -a.relative() / b.relative();
  const std::optional<double> simple = SimplePower(exponent);
  const bool logarithms = IsLogarithmic(a) && IsLogarithmic(b);
  const bool linear = a.element->scale == Scale::kLinear && b.element->scale == Scale::kLinear;
  const double factor = -a.change / b.change;
  const bool plain_sum = linear && SimplePower(factor).has_value();
  const std::string combination = logarithms || (simple.has_value() && !plain_sum)
                                      ? Product(a, b, simple.has_value() ? *simple : exponent)
                                      : Sum(a, b, factor);
  return absl::StrCat("Only ", combination, " is determined by the data, neither ", a.element->name,
                      " nor ", b.element->name, " alone.");
}

// "b +1 %", "k -0.5 %", "x0 +0.01".
std::string DescribeChange(const Part& part, double factor) {
  if (part.value == 0) {
    return absl::StrFormat("%s %+.3g", part.element->name, factor * part.change);
  }
  return absl::StrFormat("%s %+.3g %%", part.element->name, 100 * factor * part.relative());
}

std::string DescribeMany(std::vector<Part> parts) {
  double largest = 0;
  for (const Part& part : parts) largest = std::max(largest, std::abs(part.relative()));
  if (largest == 0) {
    for (const Part& part : parts) largest = std::max(largest, std::abs(part.change));
  }
  const size_t named = std::min(parts.size(), kMaxNamedElements);
  std::vector<std::string> changes, names;
  for (size_t i = 0; i < named; ++i) {
    changes.push_back(DescribeChange(parts[i], 0.01 / largest));
    names.push_back(parts[i].element->name);
  }
  const std::string more =
      parts.size() > named ? absl::StrCat(", and ", parts.size() - named, " more") : "";
  return absl::StrCat("The data do not tell ", absl::StrJoin(names, ", "), more,
                      " apart: ", absl::StrJoin(changes, ", "), more,
                      " together leave the fit as it is.");
}

}  // namespace

std::string DescribeFlat(const FreeElement& element) {
  return absl::StrCat("The data do not depend on ", element.name,
                      ": no value of it fits better than another.");
}

std::string DescribeDirection(absl::Span<const FreeElement> elements,
                              absl::Span<const double> natural, absl::Span<const double> slopes,
                              absl::Span<const double> direction) {
  std::vector<Part> parts;
  for (size_t j = 0; j < elements.size(); ++j) {
    if (direction[j] == 0) continue;
    parts.push_back({&elements[j], natural[j], slopes[j] * direction[j]});
  }
  if (parts.size() == 1) return DescribeFlat(*parts[0].element);
  if (parts.size() == 2) return DescribePair(parts[0], parts[1]);
  return DescribeMany(std::move(parts));
}

std::string DescribeBound(const FreeElement& element, double value, bool pushes) {
  if (element.lower == element.upper) {
    return absl::StrFormat("%s is held at %.6g by its bounds.", element.name, value);
  }
  const bool lower = std::abs(value - element.lower) <= std::abs(value - element.upper);
  const std::string where =
      absl::StrFormat("%s lies on its %s bound %.6g", element.name, lower ? "lower" : "upper",
                      lower ? element.lower : element.upper);
  return absl::StrCat(where, pushes ? ", and the fit would be better beyond" : "",
                      "; it is taken as known, without an error.");
}

std::string DescribeWide(const FreeElement& element) {
  return absl::StrCat("The data say little of ", element.name,
                      ": its 95 % interval covers all that its bounds allow.");
}

}  // namespace costate::fit
