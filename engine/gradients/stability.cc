#include "engine/gradients/stability.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "engine/solvers/rk/erk.h"

namespace costate {
namespace {

constexpr double kScanStep = 1e-3;
constexpr double kFarthest = 100;
constexpr double kRounding = 1e-9;  // |R| = 1 at the origin, give or take

// R(z), stage by stage.
double StabilityFunction(const rk::TableauView& table, double z) {
  const int stages = table.info.stages;
  std::vector<double> k(stages);
  double result = 1;
  for (int i = 0; i < stages; ++i) {
    double y = 1;
    for (int j = 0; j < i; ++j) y += table.a[i * table.rows + j] * k[j];
    k[i] = z * y;
    result += table.b[i] * k[i];
  }
  return result;
}

double FindLimit(Method method) {
  if (GetMethodInfo(method).carried > 1) return std::numeric_limits<double>::quiet_NaN();
  const rk::TableauView table = rk::GetTableau(method);
  double x = 0;
  while (x < kFarthest && std::fabs(StabilityFunction(table, -(x + kScanStep))) <= 1 + kRounding) {
    x += kScanStep;
  }
  return x;
}

}  // namespace

double RealStabilityLimit(Method method) {
  static const std::vector<double>& limits = *[] {
    auto* all = new std::vector<double>;  // looked for once, in the order of the methods
    for (const Method one : AllMethods()) all->push_back(FindLimit(one));
    return all;
  }();
  const absl::Span<const Method> methods = AllMethods();
  return limits[std::find(methods.begin(), methods.end(), method) - methods.begin()];
}

}  // namespace costate
