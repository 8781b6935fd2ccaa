// Nodes and weights on [-1, 1].
#ifndef COSTATE_ENGINE_GRADIENTS_QUADRATURE_RULES_H_
#define COSTATE_ENGINE_GRADIENTS_QUADRATURE_RULES_H_

#include <array>

#include "absl/types/span.h"

namespace costate {

struct QuadratureNode {
  double x = 0, w = 0;
};

// Gauss-Legendre, q = 1..5 nodes in ascending order: exact to degree 2 q - 1 (Abramowitz and
// Stegun, table 25.4).
absl::Span<const QuadratureNode> GaussLegendre(int q);

// The Gauss-Kronrod pair (7, 15) in ascending order: `kronrod` is exact to degree 22, `gauss` to
// 13 with weight 0 where it has no node (Piessens et al. 1983, QUADPACK, qk15).
struct KronrodNode {
  double x = 0, kronrod = 0, gauss = 0;
};
inline constexpr int kKronrodNodes = 15;
const std::array<KronrodNode, kKronrodNodes>& GaussKronrod15();

}  // namespace costate

#endif  // COSTATE_ENGINE_GRADIENTS_QUADRATURE_RULES_H_
