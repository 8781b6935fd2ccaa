// Derivatives as IR -> IR transforms. Every evaluator and every order of derivative comes from
// here; applying them twice gives second derivatives.
//
//   Jvp(rhs, {kTimeBuffer, kStateBuffer, kParamBuffer}):
//     {t, y, p, d_t, d_y, d_p} -> {dy, d_dy}
//   Vjp(rhs, {kTimeBuffer, kStateBuffer, kParamBuffer}):
//     {t, y, p, c_dy} -> {dy, c_t, c_y, c_p}
#ifndef COSTATE_ENGINE_AUTODIFF_AUTODIFF_H_
#define COSTATE_ENGINE_AUTODIFF_AUTODIFF_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/model/ir.h"

namespace costate {

// Derivatives at the points where an op has none: abs, sign, floor, min, max, comparisons and
// select take the derivative of the branch that gave the value (of the first operand at a tie of
// min or max; sign(0) = 0 for abs). sqrt, log and pow give inf or NaN as the formulas do, except
// that d(x^y)/dy is 0 where x = 0 and y > 0, and that sqrt and pow add 0 where their operand does
// not move (a tangent or cotangent of 0) at x = 0 or, for an exponent, at x < 0: a parameter that
// is held fixed spoils no other derivative. Where the value is NaN, so may be the derivative.
//
// Conditionals: the branch not taken adds exactly nothing, even where its own values or
// derivatives are infinite or NaN: in reverse, every cotangent that leaves a computation used by
// one branch only is select(condition, cotangent, 0). So `if x > 0 then sqrt(x) else 0` has the
// gradient 0 at and below 0. Exceptions, where an infinite or NaN partial derivative of the branch
// not taken still gives 0 * inf = NaN: a value that branches of different conditions share belongs
// to where they join; inside tensor conditionals only the elementwise part of a branch is masked;
// conditionals nested deeper than 64 mask at the select alone.

struct DerivativeOptions {
  // Whether the function's own outputs stay the first outputs. When they do, their bits equal
  // those of the function alone.
  bool keep_values = true;
};

// Inputs: those of f, then one tangent buffer ("d_" + name) per entry of `wrt` (input buffer
// indices, distinct). Outputs: those of f (if kept), then one tangent buffer per output of f.
// Cost: 2 to 3 times f. RESOURCE_EXHAUSTED past limits::kMaxInstructions; INVALID_ARGUMENT for a
// `wrt` that names no buffer or one twice, and past 64 buffers. Instructions keep the source
// location of what they differentiate. `f` must be verified; the result is.
absl::StatusOr<Function> Jvp(const Function& f, const std::vector<int>& wrt,
                             const DerivativeOptions& options = {});

// Inputs: those of f, then one cotangent buffer ("c_" + name) per output of f. Outputs: those of
// f (if kept), then one cotangent buffer ("c_" + name) per entry of `wrt`. Elements f never reads
// get 0. Cost: 3 to 4 times f, in the number of instructions too. Errors as Jvp.
absl::StatusOr<Function> Vjp(const Function& f, const std::vector<int>& wrt,
                             const DerivativeOptions& options = {});

// Structurally non-zero entries, compressed by rows: the columns of row i are
// columns[row_start[i] .. row_start[i+1]), ascending.
struct SparsityPattern {
  int64_t num_rows = 0;
  int64_t num_columns = 0;
  std::vector<int64_t> row_start;
  std::vector<int64_t> columns;
};

// Which elements of output buffer `output` have a derivative with respect to which elements of
// input buffer `input`: dependence through floor, sign and conditions does not count.
// Element-exact through elementwise and structural ops, row-exact through contractions (zeros of
// constant matrices are left out). O(instructions * pattern) time; past 2^26 entries, in the
// result or between, and past 2^32 units of work it is RESOURCE_EXHAUSTED.
absl::StatusOr<SparsityPattern> JacobianSparsity(const Function& f, int input, int output);

// Colours columns so that no two of one colour share a row (greedy, largest degree first;
// Coleman and More 1983). Returns a colour per column, 0-based and gapless. When the sum of
// squared row lengths passes 2^33 every column gets a colour of its own.
std::vector<int> ColourColumns(const SparsityPattern& pattern);

// The Jacobian as a function {inputs of f} -> {values}: one value per pattern entry, in its
// order, by one tangent per colour. Structurally constant zero entries are absent.
struct SparseJacobian {
  SparsityPattern pattern;
  std::vector<int> colours;
  Function function;  // outputs: {"jac"[nnz]}
};
absl::StatusOr<SparseJacobian> Jacobian(const Function& f, int input, int output);

}  // namespace costate

#endif  // COSTATE_ENGINE_AUTODIFF_AUTODIFF_H_
