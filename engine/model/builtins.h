// The functions and constants of the language: names, signatures, and how each becomes IR.
// grammar.md describes them for writers.
#ifndef COSTATE_ENGINE_MODEL_BUILTINS_H_
#define COSTATE_ENGINE_MODEL_BUILTINS_H_

#include <cstdint>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "engine/model/tensor_builder.h"

namespace costate {

struct Builtin {
  std::string_view name;
  std::string_view signature;  // "roll(x, shift)" or "roll(x, shift, axis)"
  int min_arguments;
  int max_arguments;  // kAnyNumber: no upper limit

  // Appends the call. INVALID_ARGUMENT with a message for the writer: wrong shape, a boolean, or
  // an argument that has to be a constant and is not.
  absl::StatusOr<ValueId> (*lower)(TensorBuilder& b, absl::Span<const ValueId> arguments);
};

inline constexpr int kAnyNumber = 1 << 20;

absl::Span<const Builtin> Builtins();

// Index into Builtins(), or -1.
int FindBuiltin(std::string_view name);

// The name this language has for a function other languages call `name`, with how to call it:
// "ln" -> "log(x)"; empty if there is none.
std::string_view ForeignFunctionHint(std::string_view name);

struct NamedConstant {
  std::string_view name;
  double value;
};

// Declarations may take these names.
absl::Span<const NamedConstant> NamedConstants();

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_BUILTINS_H_
