// The schemes that tests of stability run over.
#ifndef COSTATE_TESTS_ENGINE_STABILITY_SCHEME_TESTING_H_
#define COSTATE_TESTS_ENGINE_STABILITY_SCHEME_TESTING_H_

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "engine/solvers/stepper.h"

namespace costate::stability {

inline std::string Describe(const Scheme& scheme) {
  std::string text(GetMethodInfo(scheme.method).name);
  if (scheme.coupling.has_value()) text += " coupling " + std::to_string(*scheme.coupling);
  if (scheme.eta != 1) text += " eta " + std::to_string(scheme.eta);
  return text;
}

// Every method alone, every table coupled, ALF damped.
inline std::vector<Scheme> AllSchemes() {
  std::vector<Scheme> schemes;
  for (const Method method : AllMethods()) schemes.emplace_back(method);
  for (const Method method : RungeKuttaMethods()) {
    for (const double coupling : {0.5, 0.9, 0.999, 1.0}) schemes.emplace_back(method, coupling, 1);
  }
  for (const double eta : {0.99, 0.8, 0.3}) {
    schemes.emplace_back(Method::kAlf, std::nullopt, eta);
  }
  return schemes;
}

}  // namespace costate::stability

#endif  // COSTATE_TESTS_ENGINE_STABILITY_SCHEME_TESTING_H_
