// Every op of the IR, once.
//
// COSTATE_OP_LIST(X) expands X(enumerator, text_name, class, num_operands, num_attributes) for
// each op; a negative count means "any number". COSTATE_UNARY_OP_LIST and its like expand the
// ops of one class. Switches over Op have no `default`, so a new op breaks the build everywhere
// it must be handled:
//
//   1. a row here                        2. shape rule: model/shape_inference.cc
//   3. model/graph docs in proto Graph   4. interpreter/interpreter.cc
//   5. codegen/emit_*.cc                 6. autodiff/jvp_rules.cc, vjp_rules.cc
//   7. a language name, if users write it: model/builtins.cc
//   8. a row in the random-graph generator and the golden corpus of the tests
//
// Classes:
//   Leaf         no operands
//   Unary        f64 -> f64, elementwise
//   Binary       (f64, f64) -> f64, elementwise
//   Compare      (f64, f64) -> bool, elementwise
//   Logic        bool -> bool, elementwise
//   Select       (bool, f64, f64) -> f64, elementwise
//   Structure    moves, repeats or sums elements
//   Contract     matrix products
// Elementwise operands have the shape of the result, or are scalars (rank 0).
// Structure and Contract ops take and give f64.
//
// Values, where the name leaves a choice (every evaluator agrees on these):
//   sign(x)     1 if x > 0, -1 if x < 0, else x itself (so NaN stays NaN)
//   sigmoid(x)  1 / (1 + exp(-x))
//   min(a, b)   a if a <= b or a is NaN, else b (NaN if either is; a at a tie)
//   max(a, b)   a if a >= b or a is NaN, else b
//   eq, lt, le  false if either is NaN; ne is then true
//   The order of additions in sum, sum_to and matmul is the evaluator's own, but the same in
//   every lane; of one element, the sum is that element. Elementwise ops never use fma.
//
// Attributes (all integers, in this order):
//   kInput        buffer index, element offset of the first element (row-major from there)
//   kPowi         exponent n, -1024 <= n <= 1024; value is the product by binary powering,
//                 for n < 0 its reciprocal; n = 0 gives 1
//   kSum          axis, or -1 for the sum of all elements (to a scalar)
//   kReshape      (result shape says it)
//   kBroadcastTo  (result shape says it; NumPy rules)
//   kSumTo        (result shape says it; the adjoint of kBroadcastTo)
//   kSlice        per axis: start, stop, step (0 <= start < stop <= dim, step >= 1)
//   kPad          per axis: start, step; operand element i goes to start + i*step, 0 elsewhere
//                 (the adjoint of kSlice; result shape says the size)
//   kConcat       axis
//   kMatmul       transpose_a, transpose_b (0 or 1; only of rank-2 operands).
//                 Ranks: (2,2) -> 2, (2,1) -> 1, (1,2) -> 1, (1,1) -> scalar
//   kTranspose    (rank 2 only)
//   kOuter        (rank 1, rank 1) -> rank 2
//   kConstant     index into Function::constants
#ifndef COSTATE_ENGINE_MODEL_OP_LIST_H_
#define COSTATE_ENGINE_MODEL_OP_LIST_H_

#define COSTATE_LEAF_OP_LIST(X)        \
  X(kConstant, "constant", Leaf, 0, 1) \
  X(kInput, "input", Leaf, 0, 2)

#define COSTATE_UNARY_OP_LIST(X)      \
  X(kNeg, "neg", Unary, 1, 0)         \
  X(kAbs, "abs", Unary, 1, 0)         \
  X(kSign, "sign", Unary, 1, 0)       \
  X(kFloor, "floor", Unary, 1, 0)     \
  X(kSqrt, "sqrt", Unary, 1, 0)       \
  X(kExp, "exp", Unary, 1, 0)         \
  X(kExpm1, "expm1", Unary, 1, 0)     \
  X(kLog, "log", Unary, 1, 0)         \
  X(kLog1p, "log1p", Unary, 1, 0)     \
  X(kSin, "sin", Unary, 1, 0)         \
  X(kCos, "cos", Unary, 1, 0)         \
  X(kTan, "tan", Unary, 1, 0)         \
  X(kAsin, "asin", Unary, 1, 0)       \
  X(kAcos, "acos", Unary, 1, 0)       \
  X(kAtan, "atan", Unary, 1, 0)       \
  X(kSinh, "sinh", Unary, 1, 0)       \
  X(kCosh, "cosh", Unary, 1, 0)       \
  X(kTanh, "tanh", Unary, 1, 0)       \
  X(kAsinh, "asinh", Unary, 1, 0)     \
  X(kAcosh, "acosh", Unary, 1, 0)     \
  X(kAtanh, "atanh", Unary, 1, 0)     \
  X(kSigmoid, "sigmoid", Unary, 1, 0) \
  X(kErf, "erf", Unary, 1, 0)         \
  X(kPowi, "powi", Unary, 1, 1)

#define COSTATE_BINARY_OP_LIST(X)  \
  X(kAdd, "add", Binary, 2, 0)     \
  X(kSub, "sub", Binary, 2, 0)     \
  X(kMul, "mul", Binary, 2, 0)     \
  X(kDiv, "div", Binary, 2, 0)     \
  X(kPow, "pow", Binary, 2, 0)     \
  X(kAtan2, "atan2", Binary, 2, 0) \
  X(kMin, "min", Binary, 2, 0)     \
  X(kMax, "max", Binary, 2, 0)

#define COSTATE_COMPARE_OP_LIST(X) \
  X(kLt, "lt", Compare, 2, 0)      \
  X(kLe, "le", Compare, 2, 0)      \
  X(kEq, "eq", Compare, 2, 0)      \
  X(kNe, "ne", Compare, 2, 0)

#define COSTATE_LOGIC_OP_LIST(X) \
  X(kAnd, "and", Logic, 2, 0)    \
  X(kOr, "or", Logic, 2, 0)      \
  X(kNot, "not", Logic, 1, 0)

#define COSTATE_SELECT_OP_LIST(X) X(kSelect, "select", Select, 3, 0)

#define COSTATE_STRUCTURE_OP_LIST(X)               \
  X(kSum, "sum", Structure, 1, 1)                  \
  X(kReshape, "reshape", Structure, 1, 0)          \
  X(kTranspose, "transpose", Structure, 1, 0)      \
  X(kBroadcastTo, "broadcast_to", Structure, 1, 0) \
  X(kSumTo, "sum_to", Structure, 1, 0)             \
  X(kSlice, "slice", Structure, 1, -1)             \
  X(kPad, "pad", Structure, 1, -1)                 \
  X(kConcat, "concat", Structure, -1, 1)

#define COSTATE_CONTRACT_OP_LIST(X)    \
  X(kMatmul, "matmul", Contract, 2, 2) \
  X(kOuter, "outer", Contract, 2, 0)

// Every elementwise op.
#define COSTATE_ELEMENTWISE_OP_LIST(X) \
  COSTATE_UNARY_OP_LIST(X)             \
  COSTATE_BINARY_OP_LIST(X)            \
  COSTATE_COMPARE_OP_LIST(X)           \
  COSTATE_LOGIC_OP_LIST(X)             \
  COSTATE_SELECT_OP_LIST(X)

// Every op.
#define COSTATE_OP_LIST(X)       \
  COSTATE_LEAF_OP_LIST(X)        \
  COSTATE_ELEMENTWISE_OP_LIST(X) \
  COSTATE_STRUCTURE_OP_LIST(X)   \
  COSTATE_CONTRACT_OP_LIST(X)

#endif  // COSTATE_ENGINE_MODEL_OP_LIST_H_
