// One instruction on one lane.
#ifndef COSTATE_ENGINE_INTERPRETER_EVALUATE_H_
#define COSTATE_ENGINE_INTERPRETER_EVALUATE_H_

#include "engine/model/ir.h"

namespace costate {

// An operand: its instruction (for the shape) and its elements, row-major. Conditions are 0 or 1.
struct EvaluatedOperand {
  const Instruction* instruction;
  const double* elements;
};

// Writes the elements of `instruction` (verified; any op but the leaves) to `result`, which must
// not overlap the operands.
void EvaluateInstruction(const Instruction& instruction, const EvaluatedOperand* operands,
                         double* result);

}  // namespace costate

#endif  // COSTATE_ENGINE_INTERPRETER_EVALUATE_H_
