// Which lets and functions an expression needs.
#ifndef COSTATE_ENGINE_MODEL_DEPENDENCIES_H_
#define COSTATE_ENGINE_MODEL_DEPENDENCIES_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "engine/model/syntax.h"

namespace costate {

// A let (kLet) or function (kFun) and its index in the list of its kind.
struct Definition {
  RefKind kind = RefKind::kLet;
  int32_t index = -1;

  friend bool operator==(const Definition&, const Definition&) = default;
};

inline constexpr int kMaxReportedCycles = 100;

const Declaration& DeclarationOf(const Syntax& syntax, Definition definition);

// The definitions the expressions need, directly or through others, each after those it needs
// itself, in the order of first use. Broken ones are left out. Where a definition needs itself,
// `on_cycle` (if set) gets the members in order, for the first kMaxReportedCycles cycles closed,
// and the order has no meaning for them. Names are resolved. Linear in the nodes visited; no
// recursion.
std::vector<Definition> DefinitionsNeededBy(
    const Syntax& syntax, const std::vector<Expression>& roots,
    const std::function<void(const std::vector<Definition>&)>& on_cycle = nullptr);

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_DEPENDENCIES_H_
