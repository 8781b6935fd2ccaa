// A scalar expression in the model language, outside of a model text, as an IR function.
#ifndef COSTATE_ENGINE_EXPRESSION_SCOPE_H_
#define COSTATE_ENGINE_EXPRESSION_SCOPE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/ir.h"

namespace costate {

// What a name stands for: a tensor in buffer y or p of the function.
struct ScopeName {
  std::string name;
  Shape shape;
  bool in_params = false;
  int64_t offset = 0;     // in p; in y unless the scope is packed
  std::string ambiguous;  // why the name may not be used; empty: it may
};

struct ExpressionScope {
  std::vector<ScopeName> names;  // distinct identifiers
  // Only the names in y that are used get a place there, in order, and every use of the time
  // counts as one of names[time].
  bool packed = false;
  int time = -1;           // index of what `t` stands for; -1: the time, buffer t
  int64_t num_values = 0;  // elements of y, unless packed
  int64_t num_params = 0;  // elements of p
};

struct ScalarExpression {
  Function function;              // {t[1], y, p} -> {value[1]}
  std::vector<int> packed_names;  // the names in y, in order, if the scope is packed
  bool uses_params = false;       // an element of p before `num_own_params`, see below
};

// INVALID_ARGUMENT at `field`, with every issue of the text, its line, caret and hint;
// RESOURCE_EXHAUSTED past a limit. `uses_params` looks at names in p below `num_own_params`.
absl::StatusOr<ScalarExpression> CompileScalarExpression(std::string_view text,
                                                         const ExpressionScope& scope,
                                                         std::string_view field,
                                                         int64_t num_own_params);

}  // namespace costate

#endif  // COSTATE_ENGINE_EXPRESSION_SCOPE_H_
