#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "engine/autodiff/assembly.h"
#include "engine/autodiff/autodiff.h"
#include "engine/autodiff/jvp_rules.h"
#include "engine/autodiff/terms.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/model/function_builder.h"

namespace costate {
namespace {

// Pushes one tangent per colour through the function and picks the entries out of the results.
class JacobianBuilder {
 public:
  JacobianBuilder(FunctionBuilder& b, const Function& f, int input, int output,
                  const SparseJacobian& plan)
      : b_(b), f_(f), input_(input), output_(output), plan_(plan), values_(RebuildAll(b, f)) {}

  absl::Status Run() {
    ListColumns();
    results_.resize(f_.results.size());
    for (size_t colour = 0; colour < columns_of_.size(); ++colour) {
      RETURN_IF_ERROR(PushColour(static_cast<int>(colour)));
    }
    for (size_t i = 0; i < f_.results.size(); ++i) {
      if (f_.results[i].buffer != output_) continue;
      WriteRows(f_.results[i], results_[i]);
      RETURN_IF_ERROR(CheckLength(b_));
    }
    return absl::OkStatus();
  }

 private:
  using Tangents = std::vector<ValueId>;  // of one result, per colour; or kNoValue

  // Columns of each colour that some row needs, ascending.
  void ListColumns() {
    std::vector<char> needed(plan_.pattern.num_columns, 0);
    for (int64_t column : plan_.pattern.columns) needed[column] = 1;
    int num_colours = 0;
    for (int64_t column = 0; column < plan_.pattern.num_columns; ++column) {
      if (needed[column]) num_colours = std::max(num_colours, plan_.colours[column] + 1);
    }
    columns_of_.resize(num_colours);
    for (int64_t column = 0; column < plan_.pattern.num_columns; ++column) {
      if (needed[column]) columns_of_[plan_.colours[column]].push_back(column);
    }
  }

  // Ones at the columns of the colour, for one read of the input.
  ValueId Seed(const Instruction& read, const std::vector<int64_t>& columns) {
    const int64_t begin = read.attributes[1];
    const int64_t size = NumElements(read.shape);
    const auto first = std::lower_bound(columns.begin(), columns.end(), begin);
    const auto last = std::lower_bound(first, columns.end(), begin + size);
    if (first == last) return kNoValue;
    if (last - first == size) return FullShape(b_, b_.Constant(1), read.shape);
    if (last - first == 1) {
      const ValueId one = b_.Constant({1}, Shape{1});
      return b_.Reshape(b_.Pad(one, {*first - begin, 1}, Shape{size}), read.shape);
    }
    std::vector<double> elements(size, 0);
    for (auto it = first; it != last; ++it) elements[*it - begin] = 1;
    seed_elements_ += size;
    return b_.Constant(std::move(elements), read.shape);
  }

  absl::Status PushColour(int colour) {
    std::vector<ValueId> tangents(f_.instructions.size(), kNoValue);
    std::vector<ValueId> operands;
    std::vector<ValueId> operand_tangents;
    for (size_t i = 0; i < f_.instructions.size(); ++i) {
      const Instruction& instruction = f_.instructions[i];
      b_.set_location(instruction.location);
      if (instruction.op == Op::kInput) {
        if (instruction.attributes[0] == input_)
          tangents[i] = Seed(instruction, columns_of_[colour]);
      } else {
        tangents[i] =
            PushForward(b_, {f_, instruction, Mapped(instruction, values_, &operands), values_[i]},
                        Mapped(instruction, tangents, &operand_tangents));
      }
    }
    b_.set_location({});
    for (size_t i = 0; i < f_.results.size(); ++i) {
      if (f_.results[i].buffer == output_) results_[i].push_back(tangents[f_.results[i].value]);
    }
    if (seed_elements_ > limits::kMaxScratchElements) {
      return absl::ResourceExhaustedError(absl::StrCat(b_.function().name,
                                                       ": its seeds need more than ",
                                                       limits::kMaxScratchElements, " elements"));
    }
    return CheckLength(b_);
  }

  absl::Span<const int64_t> Row(int64_t row) const {
    const SparsityPattern& pattern = plan_.pattern;
    return absl::MakeConstSpan(pattern.columns)
        .subspan(pattern.row_start[row], pattern.row_start[row + 1] - pattern.row_start[row]);
  }

  // The rows of one result, which are neighbours in the pattern.
  void WriteRows(const OutputEntry& entry, const Tangents& tangents) {
    const int64_t size = NumElements(f_.instructions[entry.value].shape);
    const absl::Span<const int64_t> first = Row(entry.offset);
    bool same = size > 1 && !first.empty() &&
                static_cast<int64_t>(first.size()) <= limits::kMaxTensorElements / size;
    for (int64_t i = 1; same && i < size; ++i) same = Row(entry.offset + i) == first;
    if (same) return WriteBlock(entry, size, first, tangents);
    for (int64_t i = 0; i < size; ++i) {
      int64_t place = plan_.pattern.row_start[entry.offset + i];
      for (int64_t column : Row(entry.offset + i)) {
        b_.Result(Element(tangents[plan_.colours[column]], i), 0, place++);
      }
    }
  }

  ValueId Element(ValueId tangent, int64_t i) {
    if (tangent == kNoValue) return b_.Constant(0);
    if (b_.shape(tangent).empty()) return tangent;
    return b_.Slice(Flatten(b_, tangent), {i, i + 1, 1});
  }

  // Rows with the same columns: the tangents side by side, transposed.
  void WriteBlock(const OutputEntry& entry, int64_t size, absl::Span<const int64_t> columns,
                  const Tangents& tangents) {
    std::vector<ValueId> rows;
    for (int64_t column : columns) {
      const ValueId tangent = tangents[plan_.colours[column]];
      rows.push_back(tangent == kNoValue ? Zeros(b_, Shape{1, size})
                                         : b_.Reshape(tangent, Shape{1, size}));
    }
    b_.Result(b_.Transpose(b_.Concat(std::move(rows), 0)), 0,
              plan_.pattern.row_start[entry.offset]);
  }

  FunctionBuilder& b_;
  const Function& f_;
  const int input_;
  const int output_;
  const SparseJacobian& plan_;
  std::vector<ValueId> values_;
  std::vector<std::vector<int64_t>> columns_of_;  // per colour
  std::vector<Tangents> results_;                 // per result of f
  int64_t seed_elements_ = 0;
};

}  // namespace

absl::StatusOr<SparseJacobian> Jacobian(const Function& f, int input, int output) {
  SparseJacobian jacobian;
  ASSIGN_OR_RETURN(jacobian.pattern, JacobianSparsity(f, input, output));
  jacobian.colours = ColourColumns(jacobian.pattern);
  FunctionBuilder b(absl::StrCat(f.name, "_jacobian"), f.inputs,
                    {{"jac", static_cast<int64_t>(jacobian.pattern.columns.size())}});
  RETURN_IF_ERROR(JacobianBuilder(b, f, input, output, jacobian).Run());
  jacobian.function = std::move(b).Build();
  return jacobian;
}

}  // namespace costate
