// The intermediate representation: a model as flat lists of typed tensor instructions.
//
// A Function maps input buffers to output buffers. Its body is a list of instructions in SSA
// form: instruction i defines value i, operands refer to earlier values only. Values may be
// shared (a DAG), there are no loops, calls or effects. All algorithms over it are loops over
// the list, never recursion.
//
//   rhs: inputs {t[1], y[3], p[2]} -> outputs {dy[3]}
//     %0 = input {1, 0} : f64
//     %1 = exp %0 : f64
//     return dy[0] = %1, ...
#ifndef COSTATE_ENGINE_MODEL_IR_H_
#define COSTATE_ENGINE_MODEL_IR_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/inlined_vector.h"
#include "engine/model/op_list.h"

namespace costate {

enum class Op : uint8_t {
#define COSTATE_OP_ENUM(enumerator, name, op_class, operands, attributes) enumerator,
  COSTATE_OP_LIST(COSTATE_OP_ENUM)
#undef COSTATE_OP_ENUM
};

enum class OpClass : uint8_t { Leaf, Unary, Binary, Compare, Logic, Select, Structure, Contract };

// Number of ops; a value of Op outside [0, kNumOps) can only come from a hand-made Function and
// is refused by VerifyFunction. The functions below need a valid op.
#define COSTATE_OP_COUNT(enumerator, name, op_class, operands, attributes) +1
inline constexpr int kNumOps = 0 COSTATE_OP_LIST(COSTATE_OP_COUNT);
#undef COSTATE_OP_COUNT

std::string_view OpName(Op op);
std::optional<Op> FindOp(std::string_view name);
OpClass ClassOf(Op op);
int NumOperands(Op op);     // -1: any number, at least one
int NumAttributes(Op op);   // -1: two (kPad) or three (kSlice) per axis
bool IsElementwise(Op op);  // Unary, Binary, Compare, Logic, Select

// Element type of a value. Predicates exist only inside a function.
enum class DType : uint8_t { kF64, kBool };

// Extents, row-major, empty for a scalar. At most limits::kMaxTensorRank axes, each >= 1.
using Shape = absl::InlinedVector<int64_t, 2>;

int64_t NumElements(const Shape& shape);
std::string ShapeToString(const Shape& shape);  // "[50, 2]", "[]" for a scalar

using ValueId = int32_t;

// Where in the model text an instruction came from; line 0 means unknown.
struct SourceLocation {
  int32_t line = 0;    // from 1
  int32_t column = 0;  // from 1, in code points
  int32_t length = 1;  // in code points
};

struct Instruction {
  Op op;
  DType dtype = DType::kF64;
  Shape shape;
  absl::InlinedVector<ValueId, 3> operands;
  absl::InlinedVector<int64_t, 2> attributes;  // meaning per op: op_list.h
  SourceLocation location;
};

// A named flat array of doubles, the unit of the calling convention.
struct Buffer {
  std::string name;
  int64_t size = 0;  // elements
};

// The elements of `value` go to output `buffer`, row-major from element `offset` on.
struct OutputEntry {
  ValueId value = 0;
  int32_t buffer = 0;
  int64_t offset = 0;
};

// Invariants (see VerifyFunction): operands precede their users; shapes and dtypes agree with
// the op; input ranges lie inside their buffer; output entries cover every element of every
// output buffer exactly once and are f64; constants have as many elements as their shape.
struct Function {
  std::string name;
  std::vector<Buffer> inputs;
  std::vector<Buffer> outputs;
  std::vector<Instruction> instructions;
  std::vector<OutputEntry> results;
  std::vector<std::vector<double>> constants;  // row-major elements
};

// A declared parameter or state tensor, or an output. Elements of all tensors of a kind are
// concatenated in declaration order, each row-major, into the flat vector p, y or out.
struct TensorInfo {
  std::string name;
  Shape shape;
  int64_t offset = 0;            // of its first element in the flat vector
  std::vector<double> defaults;  // parameters only: row-major elements
  double lower = 0, upper = 0;   // parameters only: bounds of every element; -inf, inf if unset
  SourceLocation location;
};

// A whole model. Buffers by function (sizes: n = num_states, m = num_params, k = num_outputs):
//   init:    {t[1], p[m]}       -> {y[n]}      initial state at t0
//   rhs:     {t[1], y[n], p[m]} -> {dy[n]}     y' = f(t, y, p)
//   outputs: {t[1], y[n], p[m]} -> {out[k]}
// Indices of the input buffers of rhs and outputs:
inline constexpr int kTimeBuffer = 0;
inline constexpr int kStateBuffer = 1;
inline constexpr int kParamBuffer = 2;

struct ModelIr {
  std::string name;  // as written; may be empty
  std::vector<TensorInfo> params;
  std::vector<TensorInfo> states;
  std::vector<TensorInfo> outputs;
  Function init;
  Function rhs;
  Function output_map;

  int64_t num_states() const { return rhs.outputs[0].size; }
  int64_t num_params() const { return rhs.inputs[kParamBuffer].size; }
  int64_t num_outputs() const { return output_map.outputs[0].size; }
};

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_IR_H_
