// Models from text, without a compiler.
#ifndef COSTATE_TESTS_SERVER_COMPILED_MODEL_H_
#define COSTATE_TESTS_SERVER_COMPILED_MODEL_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "engine/engine.h"
#include "engine/interpreter/interpreter.h"
#include "engine/model/model.h"

namespace costate {

inline Engine& InterpretingEngine() {
  static Engine& engine = *new Engine({.evaluator = MakeInterpreter()});
  return engine;
}

inline std::shared_ptr<const Model> ModelOf(const std::string& text) {
  ParsedModel parsed = ParseModel(text);
  EXPECT_TRUE(parsed.ok()) << FormatIssues("model", text, parsed.issues);
  return InterpretingEngine().Compile(std::move(parsed.ir)).value();
}

// A scalar and a matrix of states, a vector parameter, two outputs.
inline constexpr char kTensorModel[] = R"(model tensors
param k = 2 in [0, 10]
param w[3] = [1, 2, 3]
state x = 1
state y[2, 2] = [[1, 2], [3, 4]]
x' = -k*x
y' = -y * sum(w)
output twice = 2*x
output z = y
)";

}  // namespace costate

#endif  // COSTATE_TESTS_SERVER_COMPILED_MODEL_H_
