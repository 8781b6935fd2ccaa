// Syntax trees as text, for tests.
#ifndef COSTATE_TESTS_ENGINE_MODEL_SYNTAX_TEXT_H_
#define COSTATE_TESTS_ENGINE_MODEL_SYNTAX_TEXT_H_

#include <string>

#include "engine/model/syntax.h"

namespace costate {

// Prefix form: "(+ a (* 2 b))", "(call f a b)", "(index y (slice 1 _ _))", "[a b]", "" if empty.
std::string ExpressionText(const Syntax& syntax, const Expression& expression);

}  // namespace costate

#endif  // COSTATE_TESTS_ENGINE_MODEL_SYNTAX_TEXT_H_
