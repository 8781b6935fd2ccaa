// Resolved syntax to model IR: shapes, defaults and bounds, then init, rhs and outputs.
#ifndef COSTATE_ENGINE_MODEL_LOWER_H_
#define COSTATE_ENGINE_MODEL_LOWER_H_

#include "engine/model/ir.h"
#include "engine/model/issue_list.h"
#include "engine/model/syntax.h"

namespace costate {

// The result is meaningful only if `issues` stays empty.
ModelIr LowerModel(const Syntax& syntax, IssueList* issues);

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_LOWER_H_
