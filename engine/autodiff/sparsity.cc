#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "engine/autodiff/autodiff.h"
#include "engine/base/status_macros.h"
#include "engine/model/tensor_index.h"

namespace costate {
namespace {

constexpr int64_t kMaxEntries = int64_t{1} << 26;
constexpr int64_t kMaxWork = int64_t{1} << 32;
// Elements of values held at one time.
constexpr int64_t kMaxElements = int64_t{1} << 25;

// Columns an element depends on, ascending; null for none. Elements share equal sets.
using Set = std::shared_ptr<const std::vector<int32_t>>;

// Makes sets and counts what they cost.
class SetFactory {
 public:
  Set Make(std::vector<int32_t> columns) {
    if (columns.empty()) return nullptr;
    const auto size = static_cast<int64_t>(columns.size());
    live_ += size;
    return Set(new std::vector<int32_t>(std::move(columns)),
               [this, size](const std::vector<int32_t>* set) {
                 live_ -= size;
                 delete set;
               });
  }

  Set Union(const Set& a, const Set& b) {
    ++work_;
    if (a == b || b == nullptr) return a;
    if (a == nullptr) return b;
    std::vector<int32_t> joined;
    joined.reserve(a->size() + b->size());
    std::set_union(a->begin(), a->end(), b->begin(), b->end(), std::back_inserter(joined));
    work_ += static_cast<int64_t>(a->size() + b->size());
    if (joined.size() == a->size()) return a;
    if (joined.size() == b->size()) return b;
    return Make(std::move(joined));
  }

  Set UnionAll(const std::vector<Set>& sets) {
    absl::flat_hash_set<const void*> seen;
    std::vector<int32_t> joined;
    Set largest;
    for (const Set& set : sets) {
      if (set == nullptr || !seen.insert(set.get()).second) continue;
      joined.insert(joined.end(), set->begin(), set->end());
      if (largest == nullptr || set->size() > largest->size()) largest = set;
    }
    work_ += static_cast<int64_t>(sets.size() + 4 * joined.size());
    if (seen.size() < 2) return largest;
    std::sort(joined.begin(), joined.end());
    joined.erase(std::unique(joined.begin(), joined.end()), joined.end());
    return joined.size() == largest->size() ? largest : Make(std::move(joined));
  }

  void CountWork(int64_t work) { work_ += work; }
  bool exhausted() const { return live_ > kMaxEntries || work_ > kMaxWork; }

 private:
  int64_t live_ = 0;
  int64_t work_ = 0;
};

// The sets of the elements of a value: one for all, or one each.
struct Dependence {
  std::vector<Set> sets = {nullptr};
  const Set& at(int64_t i) const { return sets.size() == 1 ? sets[0] : sets[i]; }
  bool none() const { return sets.size() == 1 && sets[0] == nullptr; }
};

class DependenceAnalysis {
 public:
  DependenceAnalysis(const Function& f, int input) : f_(f), input_(input) {}

  // Per entry of output buffer `output`, in the order of its elements.
  absl::StatusOr<SparsityPattern> Run(int output) {
    const size_t end = f_.instructions.size();
    std::vector<size_t> last(end);
    for (size_t i = 0; i < end; ++i) {
      last[i] = i;
      for (ValueId operand : f_.instructions[i].operands) last[operand] = i;
    }
    for (const OutputEntry& entry : f_.results) {
      if (entry.buffer == output) last[entry.value] = end;
    }
    dependence_.resize(end);
    for (size_t i = 0; i < end; ++i) {
      dependence_[i] = Compute(f_.instructions[i]);
      const auto size = static_cast<int64_t>(dependence_[i].sets.size());
      factory_.CountWork(size);
      elements_ += size;
      for (ValueId operand : f_.instructions[i].operands) {
        if (last[operand] == i) Forget(operand);
      }
      if (last[i] == i) Forget(static_cast<ValueId>(i));
      if (factory_.exhausted() || elements_ > kMaxElements) return Exhausted();
    }
    return Collect(output);
  }

 private:
  absl::Status Exhausted() const {
    return absl::ResourceExhaustedError(
        absl::StrCat(f_.name, ": the sparsity pattern needs more than ", kMaxEntries, " entries, ",
                     kMaxElements, " elements at a time or ", kMaxWork, " units of work"));
  }

  void Forget(ValueId id) {
    elements_ -= static_cast<int64_t>(dependence_[id].sets.size()) - 1;
    dependence_[id] = Dependence{};
  }

  const Dependence& Of(const Instruction& instruction, size_t k) const {
    return dependence_[instruction.operands[k]];
  }
  const Shape& ShapeOf(const Instruction& instruction, size_t k) const {
    return f_.instructions[instruction.operands[k]].shape;
  }

  Dependence Compute(const Instruction& instruction) {
    if (instruction.dtype == DType::kBool) return {};
    const auto independent = [&](ValueId id) { return dependence_[id].none(); };
    if (instruction.op != Op::kInput &&
        std::all_of(instruction.operands.begin(), instruction.operands.end(), independent)) {
      return {};
    }
    switch (ClassOf(instruction.op)) {
      case OpClass::Leaf:
        return Read(instruction);
      case OpClass::Unary:
        return Unary(instruction);
      case OpClass::Binary:
        return Elementwise(instruction, 0);
      case OpClass::Select:
        return Elementwise(instruction, 1);
      case OpClass::Structure:
        return Structure(instruction);
      case OpClass::Contract:
        return instruction.op == Op::kOuter ? Outer(instruction) : Matmul(instruction);
      case OpClass::Compare:
      case OpClass::Logic:
        break;
    }
    return {};
  }

  Dependence Read(const Instruction& instruction) {
    if (instruction.op != Op::kInput || instruction.attributes[0] != input_) return {};
    Dependence result;
    result.sets.resize(NumElements(instruction.shape));
    for (size_t i = 0; i < result.sets.size(); ++i) {
      result.sets[i] = factory_.Make({static_cast<int32_t>(instruction.attributes[1] + i)});
    }
    return result;
  }

  Dependence Unary(const Instruction& instruction) {
    const bool flat = instruction.op == Op::kFloor || instruction.op == Op::kSign ||
                      (instruction.op == Op::kPowi && instruction.attributes[0] == 0);
    return flat ? Dependence{} : Of(instruction, 0);
  }

  // The union of operands `first` and `first` + 1; scalars are repeated.
  Dependence Elementwise(const Instruction& instruction, size_t first) {
    const Dependence& a = Of(instruction, first);
    const Dependence& b = Of(instruction, first + 1);
    Dependence result;
    result.sets.resize(std::max(a.sets.size(), b.sets.size()));
    for (size_t i = 0; i < result.sets.size(); ++i) {
      result.sets[i] = factory_.Union(a.at(i), b.at(i));
    }
    return result;
  }

  Dependence Structure(const Instruction& instruction);
  Dependence Sum(const Instruction& instruction);
  Dependence Concat(const Instruction& instruction);
  Dependence Outer(const Instruction& instruction);
  Dependence Matmul(const Instruction& instruction);
  absl::StatusOr<SparsityPattern> Collect(int output);

  // Null, or the elements of a constant operand.
  const double* ConstantElements(const Instruction& instruction, size_t k) const {
    const Instruction& operand = f_.instructions[instruction.operands[k]];
    return operand.op == Op::kConstant ? f_.constants[operand.attributes[0]].data() : nullptr;
  }

  const Function& f_;
  const int input_;
  SetFactory factory_;  // outlives the sets, which report to it
  std::vector<Dependence> dependence_;
  int64_t elements_ = 0;
};

Dependence DependenceAnalysis::Structure(const Instruction& instruction) {
  const Dependence& x = Of(instruction, 0);
  const Shape& shape = ShapeOf(instruction, 0);
  if (instruction.op == Op::kSum || instruction.op == Op::kSumTo) return Sum(instruction);
  if (instruction.op == Op::kConcat) return Concat(instruction);
  if (instruction.op == Op::kReshape) return x;
  if (instruction.op != Op::kPad && x.sets.size() == 1) return x;
  Dependence result;
  result.sets.assign(NumElements(instruction.shape), nullptr);
  const auto pick = [&](int64_t i, int64_t j) { result.sets[i] = x.at(j); };
  if (instruction.op == Op::kTranspose) {
    ForEachPlace(instruction.shape, {1, shape[1]}, 0, pick);
  } else if (instruction.op == Op::kBroadcastTo) {
    ForEachPlace(instruction.shape, BroadcastStrides(shape, instruction.shape), 0, pick);
  } else if (instruction.op == Op::kSlice) {
    ForEachSliced(instruction, instruction.shape, shape, pick);
  } else {
    ForEachSliced(instruction, shape, instruction.shape,
                  [&](int64_t i, int64_t j) { result.sets[j] = x.at(i); });
  }
  return result;
}

Dependence DependenceAnalysis::Sum(const Instruction& instruction) {
  const Dependence& x = Of(instruction, 0);
  const Shape& shape = ShapeOf(instruction, 0);
  if (x.sets.size() == 1) return x;
  std::vector<int64_t> strides(shape.size(), 0);  // of the result, as the operand is walked
  if (instruction.op == Op::kSumTo) {
    strides = BroadcastStrides(instruction.shape, shape);
  } else if (instruction.attributes[0] >= 0) {
    strides = RowMajorStrides(instruction.shape);
    strides.insert(strides.begin() + instruction.attributes[0], 0);
  }
  std::vector<std::vector<Set>> terms(NumElements(instruction.shape));
  ForEachPlace(shape, strides, 0, [&](int64_t i, int64_t j) { terms[j].push_back(x.at(i)); });
  Dependence result;
  result.sets.resize(terms.size());
  for (size_t j = 0; j < terms.size(); ++j) result.sets[j] = factory_.UnionAll(terms[j]);
  return result;
}

Dependence DependenceAnalysis::Concat(const Instruction& instruction) {
  Dependence result;
  result.sets.resize(NumElements(instruction.shape));
  const int64_t axis = instruction.attributes[0];
  const std::vector<int64_t> strides = RowMajorStrides(instruction.shape);
  int64_t begin = 0;
  for (size_t k = 0; k < instruction.operands.size(); ++k) {
    const Dependence& part = Of(instruction, k);
    const Shape& shape = ShapeOf(instruction, k);
    ForEachPlace(shape, strides, begin * strides[axis],
                 [&](int64_t i, int64_t j) { result.sets[j] = part.at(i); });
    begin += shape[axis];
  }
  return result;
}

Dependence DependenceAnalysis::Outer(const Instruction& instruction) {
  Dependence result;
  result.sets.resize(NumElements(instruction.shape));
  const int64_t columns = instruction.shape[1];
  for (size_t i = 0; i < result.sets.size(); ++i) {
    result.sets[i] =
        factory_.Union(Of(instruction, 0).at(i / columns), Of(instruction, 1).at(i % columns));
  }
  return result;
}

// A row of the left factor and a column of the right one, without the zeros of constant factors.
Dependence DependenceAnalysis::Matmul(const Instruction& instruction) {
  const Shape& a = ShapeOf(instruction, 0);
  const Shape& b = ShapeOf(instruction, 1);
  const bool transpose_a = instruction.attributes[0] == 1;
  const bool transpose_b = instruction.attributes[1] == 1;
  const int64_t rows = a.size() == 1 ? 1 : a[transpose_a ? 1 : 0];
  const int64_t inner = a.size() == 1 ? a[0] : a[transpose_a ? 0 : 1];
  const int64_t columns = b.size() == 1 ? 1 : b[transpose_b ? 0 : 1];
  const auto place_a = [&](int64_t i, int64_t k) {
    return transpose_a ? k * rows + i : i * inner + k;
  };
  const auto place_b = [&](int64_t k, int64_t j) {
    return transpose_b ? j * inner + k : k * columns + j;
  };
  const double* constant_a = ConstantElements(instruction, 0);
  const double* constant_b = ConstantElements(instruction, 1);
  // The union over k of the sets of one factor, where the other factor is not a constant zero.
  std::vector<Set> terms;
  const auto left = [&](int64_t i, int64_t j) {
    terms.clear();
    for (int64_t k = 0; k < inner; ++k) {
      if (constant_b != nullptr && constant_b[place_b(k, j)] == 0) continue;
      terms.push_back(Of(instruction, 0).at(place_a(i, k)));
    }
    return factory_.UnionAll(terms);
  };
  const auto right = [&](int64_t i, int64_t j) {
    terms.clear();
    for (int64_t k = 0; k < inner; ++k) {
      if (constant_a != nullptr && constant_a[place_a(i, k)] == 0) continue;
      terms.push_back(Of(instruction, 1).at(place_b(k, j)));
    }
    return factory_.UnionAll(terms);
  };
  Dependence result;
  result.sets.resize(rows * columns);
  std::vector<Set> row_sets(rows);
  std::vector<Set> column_sets(columns);
  if (constant_b == nullptr) {
    for (int64_t i = 0; i < rows; ++i) row_sets[i] = left(i, 0);
  }
  if (constant_a == nullptr) {
    for (int64_t j = 0; j < columns; ++j) column_sets[j] = right(0, j);
  }
  for (int64_t i = 0; i < rows && !factory_.exhausted(); ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      result.sets[i * columns + j] =
          factory_.Union(constant_b == nullptr ? row_sets[i] : left(i, j),
                         constant_a == nullptr ? column_sets[j] : right(i, j));
    }
  }
  return result;
}

absl::StatusOr<SparsityPattern> DependenceAnalysis::Collect(int output) {
  SparsityPattern pattern;
  pattern.num_rows = f_.outputs[output].size;
  pattern.num_columns = f_.inputs[input_].size;
  std::vector<Set> rows(pattern.num_rows);
  for (const OutputEntry& entry : f_.results) {
    if (entry.buffer != output) continue;
    const int64_t size = NumElements(f_.instructions[entry.value].shape);
    for (int64_t i = 0; i < size; ++i) rows[entry.offset + i] = dependence_[entry.value].at(i);
  }
  pattern.row_start.push_back(0);
  for (const Set& row : rows) {
    pattern.row_start.push_back(pattern.row_start.back() +
                                (row == nullptr ? 0 : static_cast<int64_t>(row->size())));
  }
  if (pattern.row_start.back() > kMaxEntries) return Exhausted();
  pattern.columns.reserve(pattern.row_start.back());
  for (const Set& row : rows) {
    if (row != nullptr) pattern.columns.insert(pattern.columns.end(), row->begin(), row->end());
  }
  return pattern;
}

}  // namespace

absl::StatusOr<SparsityPattern> JacobianSparsity(const Function& f, int input, int output) {
  if (input < 0 || input >= static_cast<int>(f.inputs.size()) || output < 0 ||
      output >= static_cast<int>(f.outputs.size())) {
    return absl::InvalidArgumentError(
        absl::StrCat(f.name, ": no input ", input, " or no output ", output));
  }
  return DependenceAnalysis(f, input).Run(output);
}

}  // namespace costate
