// Models made from models, IR to IR.
#ifndef COSTATE_ENGINE_COMPOSE_H_
#define COSTATE_ENGINE_COMPOSE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "engine/model/function_builder.h"
#include "engine/model/ir.h"

namespace costate {

// Copies the body of `f` into `b`; `input` gives the value that stands for each kInput instruction.
// Returns the values in `b`, by instruction of `f`.
std::vector<ValueId> InlineBody(FunctionBuilder& b, const Function& f,
                                absl::FunctionRef<ValueId(const Instruction& input)> input);

// The elements [offset, offset + NumElements(shape)) of output `buffer` of `f` as a tensor;
// `values` are those InlineBody returned.
ValueId ReadResult(FunctionBuilder& b, const Function& f, const std::vector<ValueId>& values,
                   int buffer, int64_t offset, const Shape& shape);

// `base`, or the first of base_1, base_2, ... that no tensor of the model is called.
std::string UnusedName(const ModelIr& model, std::string_view base);

// The model with one state more, q behind the others: q' = sum of the integrands, q(t0) = 0. An
// integrand is a function {t, z[n + k], p} -> {g[1]} of z = {y, outputs}.
ModelIr WithRunningLoss(const ModelIr& model, const std::vector<Function>& integrands);

// The model with the derivatives of everything along one direction: states {y, s}, parameters
// {p, v} and outputs {out, r} with
//   s' = f_y s + f_p v,   s(t0) = init_p v,   r = out_y s + out_p v.
// RESOURCE_EXHAUSTED past the limits of a model.
absl::StatusOr<ModelIr> WithTangents(const ModelIr& model);

}  // namespace costate

#endif  // COSTATE_ENGINE_COMPOSE_H_
