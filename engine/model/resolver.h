// Name resolution: what every name of a syntax tree stands for.
#ifndef COSTATE_ENGINE_MODEL_RESOLVER_H_
#define COSTATE_ENGINE_MODEL_RESOLVER_H_

#include "engine/model/issue_list.h"
#include "engine/model/syntax.h"

namespace costate {

// Fills Node::ref and target of names and calls, pairs states with their equations, gives
// outputs without a value the value of their name, and marks declarations that have an issue as
// broken. Reports unknown names (the first use of each), duplicates, wrong argument counts, and
// missing and stray equations. Linear in the size of the tree.
void ResolveNames(Syntax* syntax, IssueList* issues);

// On a resolved tree: reports cycles, and values that depend on what they may not: defaults,
// bounds and extents on anything but constants, initial values on states. Marks the
// declarations at fault as broken. Linear in the size of the tree, cycles aside.
void CheckDependencies(Syntax* syntax, IssueList* issues);

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_RESOLVER_H_
