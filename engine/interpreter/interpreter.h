// Slow, obvious evaluation of IR: the oracle of every other evaluator, and the evaluator of
// builds without the compiler.
#ifndef COSTATE_ENGINE_INTERPRETER_INTERPRETER_H_
#define COSTATE_ENGINE_INTERPRETER_INTERPRETER_H_

#include <memory>
#include <vector>

#include "engine/model/evaluator.h"
#include "engine/model/ir.h"

namespace costate {

// Evaluates lane by lane, instruction by instruction, with the C math library.
std::unique_ptr<Evaluator> MakeInterpreter();

// One evaluation in one lane: inputs[i] has function.inputs[i].size elements; returns the output
// buffers. The easy path, for tests and constants.
std::vector<std::vector<double>> Interpret(const Function& function,
                                           const std::vector<std::vector<double>>& inputs);

}  // namespace costate

#endif  // COSTATE_ENGINE_INTERPRETER_INTERPRETER_H_
