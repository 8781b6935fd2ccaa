// What every method must do, as one parameterised suite. A method's entry is one declaration of
// what it claims; see method_test.cc.
#ifndef COSTATE_TESTS_ENGINE_SOLVERS_METHOD_SUITE_H_
#define COSTATE_TESTS_ENGINE_SOLVERS_METHOD_SUITE_H_

#include <ostream>
#include <string_view>

#include "engine/solvers/problem.h"

namespace costate {

struct MethodClaims {
  Method method;
  std::string_view name;
  int order;
  int error_order;  // 0: no estimate, adaptive steps are refused
  int dense_order;
  bool fsal;
  int quadrature_order;  // of y' = f(t) alone; may be more than the order
  int coarse_steps;      // of the order tests, over [0, 2]; refined up to threefold

  friend std::ostream& operator<<(std::ostream& out, const MethodClaims& claims) {
    return out << claims.name;
  }
};

}  // namespace costate

#endif  // COSTATE_TESTS_ENGINE_SOLVERS_METHOD_SUITE_H_
