#include "engine/codegen/plan.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"

namespace costate::codegen {
namespace {

// Bounds of what one step may hold, so that a step never outgrows a block by much.
constexpr size_t kMaxLoopInstructions = 48;
constexpr int64_t kMaxStoresWithValue = 64;

bool IsLeaf(const Instruction& instruction) { return ClassOf(instruction.op) == OpClass::Leaf; }

bool IsUniform(uint64_t mask, int buffer) { return buffer < 64 && ((mask >> buffer) & 1) != 0; }

// Doubles a value takes in memory.
int64_t MemorySize(const ValuePlan& value, int lanes) {
  return value.num_elements * (value.varying ? lanes : 1);
}

// Scratch memory handed out in doubles; a freed piece serves the next value of its size.
class ScratchAllocator {
 public:
  int64_t Allocate(int64_t size) {
    std::vector<int64_t>& free = free_[size];
    if (!free.empty()) {
      const int64_t offset = free.back();
      free.pop_back();
      return offset;
    }
    const int64_t offset = end_;
    end_ += size;
    return offset;
  }
  void Free(int64_t offset, int64_t size) { free_[size].push_back(offset); }
  int64_t size() const { return end_; }

 private:
  absl::flat_hash_map<int64_t, std::vector<int64_t>> free_;
  int64_t end_ = 0;
};

class Planner {
 public:
  Planner(const Function& function, const KernelSpec& spec, const PlanOptions& options)
      : f_(function), spec_(spec), options_(options) {
    plan_.lanes = spec.lanes;
    plan_.uniform_outputs = spec.uniform_outputs;
    plan_.register_elements = options.register_elements;
  }

  absl::StatusOr<Plan> Run() {
    MarkUsed();
    DescribeValues();
    RETURN_IF_ERROR(CheckUniformOutputs());
    RETURN_IF_ERROR(SplitIntoBlocks());
    for (const std::vector<ValueId>& block : block_values_) ScheduleBlock(block);
    AddRemainingStores();
    NumberSteps();
    FindMemoryNeeds();
    PlaceInOutputs();
    RETURN_IF_ERROR(AllocateScratch());
    LocateLeavesAndAliases();
    return std::move(plan_);
  }

 private:
  const Instruction& At(ValueId id) const { return f_.instructions[id]; }
  ValuePlan& Value(ValueId id) { return plan_.values[id]; }

  bool OutputIsUniform(const OutputEntry& entry) const {
    return plan_.IsUniformOutput(entry.buffer);
  }

  void MarkUsed() {
    plan_.values.resize(f_.instructions.size());
    for (const OutputEntry& entry : f_.results) Value(entry.value).used = true;
    for (auto id = static_cast<ValueId>(f_.instructions.size()) - 1; id >= 0; --id) {
      if (!Value(id).used) continue;
      for (ValueId operand : At(id).operands) Value(operand).used = true;
    }
  }

  void DescribeValues() {
    for (size_t i = 0; i < f_.instructions.size(); ++i) {
      const auto id = static_cast<ValueId>(i);
      const Instruction& instruction = At(id);
      ValuePlan& value = Value(id);
      value.root = id;
      value.num_elements = NumElements(instruction.shape);
      value.small = value.num_elements <= plan_.register_elements;
      if (instruction.op == Op::kInput) {
        value.varying = spec_.lanes > 1 && !IsUniform(spec_.uniform_inputs,
                                                      static_cast<int>(instruction.attributes[0]));
      }
      for (ValueId operand : instruction.operands) value.varying |= Value(operand).varying;
      if (!value.small) DescribeAlias(instruction, value);
    }
  }

  void DescribeAlias(const Instruction& instruction, ValuePlan& value) {
    int64_t start = -1;
    if (instruction.op == Op::kReshape) start = 0;
    if (instruction.op == Op::kSlice) start = ContiguousSliceStart(f_, instruction);
    if (start < 0) return;
    const ValuePlan& operand = Value(instruction.operands[0]);
    value.alias = true;
    value.root = operand.root;
    value.root_offset = operand.root_offset + start;
  }

  absl::Status CheckUniformOutputs() {
    for (const OutputEntry& entry : f_.results) {
      if (spec_.lanes > 1 && OutputIsUniform(entry) && Value(entry.value).varying) {
        return absl::InvalidArgumentError(
            absl::StrCat("output ", f_.outputs[entry.buffer].name,
                         " is to be uniform but depends on a varying input"));
      }
    }
    return absl::OkStatus();
  }

  int64_t Cost(ValueId id) const {
    const Instruction& instruction = At(id);
    const ValuePlan& value = plan_.values[id];
    if (UsesRuntime(f_, instruction, plan_.register_elements)) return 6;
    if (!value.small) return 3;
    int64_t per_element = 1;
    if (IsMathCall(instruction.op)) per_element = 3;
    if (instruction.op == Op::kPowi) {
      for (int64_t n = std::abs(instruction.attributes[0]); n > 1; n /= 2) per_element += 1 + n % 2;
    }
    int64_t elements = value.num_elements;
    for (ValueId operand : instruction.operands) {
      elements = std::max(
          elements, plan_.values[operand].small ? plan_.values[operand].num_elements : int64_t{0});
    }
    return per_element * elements;
  }

  absl::Status SplitIntoBlocks() {
    stores_of_value_.assign(f_.instructions.size(), 0);
    for (const OutputEntry& entry : f_.results) ++stores_of_value_[entry.value];
    int64_t cost = options_.block_size;
    int64_t total = static_cast<int64_t>(f_.results.size());
    for (size_t i = 0; i < f_.instructions.size(); ++i) {
      const auto id = static_cast<ValueId>(i);
      ValuePlan& value = Value(id);
      if (!value.used || value.alias || IsLeaf(At(id))) continue;
      if (cost >= options_.block_size) {
        block_values_.emplace_back();
        cost = 0;
      }
      block_values_.back().push_back(id);
      value.block = static_cast<int32_t>(block_values_.size()) - 1;
      const int64_t own = Cost(id);
      cost += own;
      total += own;
      if (total > limits::kMaxEmittedOperations) return TooManyOperations();
      if (StoredWithValue(id))
        cost += stores_of_value_[id] * (value.small ? value.num_elements : 1);
    }
    return absl::OkStatus();
  }

  absl::Status TooManyOperations() const {
    return absl::ResourceExhaustedError(
        absl::StrCat("function ", f_.name, " needs more than ", limits::kMaxEmittedOperations,
                     " scalar operations written out; use tensors"));
  }

  bool StoredWithValue(ValueId id) const {
    return plan_.values[id].block >= 0 && stores_of_value_[id] <= kMaxStoresWithValue;
  }

  bool IsBatchable(ValueId id) const {
    const ValuePlan& value = plan_.values[id];
    return options_.batch_width > 1 && value.small && !value.varying && IsMathCall(At(id).op);
  }

  // Orders a block by the number of function calls on the longest way to each value, so that
  // independent calls stand together. Even stages hold other instructions, odd ones calls.
  std::vector<ValueId> OrderByStage(const std::vector<ValueId>& values) {
    std::vector<int32_t> stages(values.size());
    int32_t last = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      int32_t calls = 0;
      for (ValueId operand : At(values[i]).operands) {
        const ValueId root = Value(operand).root;
        if (Value(root).block == Value(values[i]).block)
          calls = std::max(calls, calls_before_[root]);
      }
      const bool batchable = IsBatchable(values[i]);
      calls_before_[values[i]] = calls + (batchable ? 1 : 0);
      stages[i] = 2 * calls_before_[values[i]] - (batchable ? 1 : 0);
      last = std::max(last, stages[i]);
    }
    std::vector<std::vector<ValueId>> by_stage(last + 1);
    for (size_t i = 0; i < values.size(); ++i) by_stage[stages[i]].push_back(values[i]);
    std::vector<ValueId> ordered;
    ordered.reserve(values.size());
    for (std::vector<ValueId>& stage : by_stage) {
      std::stable_sort(stage.begin(), stage.end(), [this](ValueId a, ValueId b) {
        const auto key = [this](ValueId id) {
          return IsBatchable(id) ? static_cast<int>(At(id).op) : 0;
        };
        return key(a) < key(b);
      });
      ordered.insert(ordered.end(), stage.begin(), stage.end());
    }
    return ordered;
  }

  void ScheduleBlock(const std::vector<ValueId>& values) {
    calls_before_.resize(f_.instructions.size());
    step_in_block_.resize(f_.instructions.size());
    plan_.blocks.emplace_back();
    open_loops_.clear();
    open_batch_ = -1;
    const bool any_batchable =
        std::any_of(values.begin(), values.end(), [this](ValueId id) { return IsBatchable(id); });
    for (ValueId id : any_batchable ? OrderByStage(values) : values) {
      if (IsBatchable(id)) {
        AddToBatch(id);
      } else {
        open_batch_ = -1;
        if (IsLoopInstruction(f_, At(id), plan_.register_elements)) {
          AddToLoop(id);
        } else {
          AddSingle(id);
        }
      }
    }
  }

  int32_t AddStep(Step step) {
    std::vector<Step>& steps = plan_.blocks.back().steps;
    steps.push_back(std::move(step));
    return static_cast<int32_t>(steps.size()) - 1;
  }

  void AddSingle(ValueId id) {
    if (IsMathCall(At(id).op)) plan_.num_math_calls += Value(id).num_elements;
    step_in_block_[id] = AddStep({.kind = Step::Kind::kSingle, .values = {id}});
  }

  void AddToBatch(ValueId id) {
    std::vector<Step>& steps = plan_.blocks.back().steps;
    for (int32_t element = 0; element < Value(id).num_elements; ++element) {
      const bool fits =
          open_batch_ >= 0 && At(steps[open_batch_].members[0].value).op == At(id).op &&
          steps[open_batch_].members.size() < static_cast<size_t>(options_.batch_width) &&
          DefinedBefore(id, open_batch_);
      if (!fits) {
        open_batch_ = AddStep({.kind = Step::Kind::kBatch});
        ++plan_.num_math_calls;
      }
      steps[open_batch_].members.push_back({id, element});
    }
    step_in_block_[id] = open_batch_;
  }

  // Whether all operands of `id` are known before step `step` of the current block.
  bool DefinedBefore(ValueId id, int32_t step) {
    for (ValueId operand : At(id).operands) {
      const ValueId root = Value(operand).root;
      if (Value(root).block == Value(id).block && step_in_block_[root] >= step) return false;
    }
    return true;
  }

  // A loop takes a later instruction if nothing that instruction reads is computed after the
  // loop; what the loop itself computes must be read at the same element.
  bool FitsLoop(ValueId id, int32_t step) {
    for (ValueId operand : At(id).operands) {
      const ValueId root = Value(operand).root;
      if (Value(root).block != Value(id).block || step_in_block_[root] < step) continue;
      if (step_in_block_[root] > step || !SameElements(operand)) return false;
    }
    return true;
  }

  bool SameElements(ValueId id) {
    return Value(id).root_offset == 0 &&
           Value(id).num_elements == Value(Value(id).root).num_elements;
  }

  void AddToLoop(ValueId id) {
    if (IsMathCall(At(id).op)) ++plan_.num_math_calls;
    const std::pair<int64_t, bool> key(Value(id).num_elements, Value(id).varying);
    std::vector<Step>& steps = plan_.blocks.back().steps;
    if (const auto it = open_loops_.find(key); it != open_loops_.end()) {
      if (steps[it->second].values.size() < kMaxLoopInstructions && FitsLoop(id, it->second)) {
        steps[it->second].values.push_back(id);
        step_in_block_[id] = it->second;
        return;
      }
    }
    open_loops_[key] = step_in_block_[id] = AddStep({.kind = Step::Kind::kLoop, .values = {id}});
  }

  // Results that are leaves, aliases or stored very often come last, in blocks of their own.
  void AddRemainingStores() {
    std::vector<Step> with_block(plan_.blocks.size(), Step{.kind = Step::Kind::kStore});
    int64_t cost = options_.block_size;
    for (size_t i = 0; i < f_.results.size(); ++i) {
      const ValuePlan& value = Value(f_.results[i].value);
      if (StoredWithValue(f_.results[i].value)) {
        with_block[value.block].results.push_back(static_cast<int64_t>(i));
        continue;
      }
      if (cost >= options_.block_size) {
        plan_.blocks.emplace_back();
        plan_.blocks.back().steps.push_back({.kind = Step::Kind::kStore});
        cost = 0;
      }
      plan_.blocks.back().steps.back().results.push_back(static_cast<int64_t>(i));
      cost += value.small ? value.num_elements : 6;
    }
    for (size_t b = 0; b < with_block.size(); ++b) {
      if (!with_block[b].results.empty()) plan_.blocks[b].steps.push_back(std::move(with_block[b]));
    }
  }

  void NumberSteps() {
    const size_t n = f_.instructions.size();
    needs_memory_.assign(n, false);
    last_use_.assign(n, -1);
    int64_t first = 0;
    for (Block& block : plan_.blocks) {
      first_step_.push_back(first);
      first += static_cast<int64_t>(block.steps.size());
    }
  }

  void FindMemoryNeeds() {
    for (size_t b = 0; b < plan_.blocks.size(); ++b) {
      for (size_t s = 0; s < plan_.blocks[b].steps.size(); ++s) {
        const Step& step = plan_.blocks[b].steps[s];
        const Position here{static_cast<int32_t>(b), static_cast<int32_t>(s),
                            first_step_[b] + static_cast<int64_t>(s),
                            step.kind == Step::Kind::kLoop};
        for (ValueId id : step.values) UseOperands(id, here);
        for (const BatchMember& member : step.members) UseOperands(member.value, here);
        for (int64_t result : step.results) Use(f_.results[result].value, here, false);
      }
    }
  }

  struct Position {
    int32_t block;
    int32_t step;
    int64_t global_step;
    bool in_loop;
  };

  void UseOperands(ValueId id, const Position& here) {
    const bool runtime = UsesRuntime(f_, At(id), plan_.register_elements);
    if (runtime) needs_memory_[id] = true;
    last_use_[id] = std::max(last_use_[id], here.global_step);
    for (ValueId operand : At(id).operands) Use(operand, here, runtime);
  }

  void Use(ValueId operand, const Position& here, bool from_memory) {
    const ValueId root = Value(operand).root;
    last_use_[root] = std::max(last_use_[root], here.global_step);
    if (IsLeaf(At(root))) return;
    const bool same_block = Value(root).block == here.block;
    if (Value(root).small) {
      if (from_memory || !same_block) needs_memory_[root] = true;
      return;
    }
    const bool within_loop =
        here.in_loop && same_block && step_in_block_[root] == here.step && SameElements(operand);
    if (!within_loop) needs_memory_[root] = true;
  }

  // A large result is computed right in its output buffer where the layouts agree.
  void PlaceInOutputs() {
    std::vector<bool> placed(f_.results.size(), false);
    for (size_t i = 0; i < f_.results.size(); ++i) {
      const OutputEntry& entry = f_.results[i];
      const ValueId root = Value(entry.value).root;
      ValuePlan& value = Value(root);
      const bool same_layout = plan_.lanes == 1 || OutputIsUniform(entry) == !value.varying;
      if (value.small || IsLeaf(At(root)) || !same_layout || !SameElements(entry.value) ||
          value.location.exists()) {
        continue;
      }
      value.location = {Location::Base::kOutput, entry.buffer, entry.offset};
      placed[i] = true;
    }
    for (Block& block : plan_.blocks) {
      for (Step& step : block.steps) {
        std::erase_if(step.results, [&](int64_t result) { return placed[result]; });
      }
    }
  }

  absl::Status AllocateScratch() {
    ScratchAllocator scratch;
    std::vector<std::vector<ValueId>> dying(
        first_step_.empty() ? 0 : first_step_.back() + plan_.blocks.back().steps.size());
    for (size_t i = 0; i < f_.instructions.size(); ++i) {
      const auto id = static_cast<ValueId>(i);
      if (needs_memory_[id] && !Value(id).location.exists()) dying[last_use_[id]].push_back(id);
    }
    const auto allocate = [&](ValueId id) {
      ValuePlan& value = Value(id);
      if (!needs_memory_[id] || value.location.exists()) return;
      value.location = {Location::Base::kScratch, 0,
                        scratch.Allocate(MemorySize(value, plan_.lanes))};
    };
    size_t global_step = 0;
    for (const Block& block : plan_.blocks) {
      for (const Step& step : block.steps) {
        for (ValueId id : step.values) allocate(id);
        for (const BatchMember& member : step.members) allocate(member.value);
        for (ValueId id : dying[global_step]) {
          scratch.Free(Value(id).location.offset, MemorySize(Value(id), plan_.lanes));
        }
        ++global_step;
      }
    }
    plan_.scratch_size = scratch.size();
    if (scratch.size() > limits::kMaxScratchElements * plan_.lanes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("function ", f_.name, " needs ", scratch.size() / plan_.lanes,
                       " intermediate elements, more than ", limits::kMaxScratchElements));
    }
    return absl::OkStatus();
  }

  void LocateLeavesAndAliases() {
    for (size_t i = 0; i < f_.instructions.size(); ++i) {
      const auto id = static_cast<ValueId>(i);
      const Instruction& instruction = At(id);
      ValuePlan& value = Value(id);
      if (instruction.op == Op::kInput) {
        value.location = {Location::Base::kInput, static_cast<int32_t>(instruction.attributes[0]),
                          instruction.attributes[1]};
      } else if (instruction.op == Op::kConstant) {
        value.location = {Location::Base::kConstant,
                          static_cast<int32_t>(instruction.attributes[0]), 0};
      } else if (value.alias) {
        const ValuePlan& root = Value(value.root);
        value.location = root.location;
        const bool scratch = root.location.base == Location::Base::kScratch;
        value.location.offset += value.root_offset * (scratch && root.varying ? plan_.lanes : 1);
      }
    }
  }

  const Function& f_;
  const KernelSpec& spec_;
  const PlanOptions& options_;
  Plan plan_;
  std::vector<int64_t> stores_of_value_;
  std::vector<std::vector<ValueId>> block_values_;
  std::vector<int32_t> calls_before_;   // per value of the current block
  std::vector<int32_t> step_in_block_;  // per value
  std::map<std::pair<int64_t, bool>, int32_t> open_loops_;
  int32_t open_batch_ = -1;
  std::vector<int64_t> first_step_;  // per block
  std::vector<bool> needs_memory_;
  std::vector<int64_t> last_use_;  // global step
};

}  // namespace

absl::StatusOr<Plan> MakePlan(const Function& function, const KernelSpec& spec,
                              const PlanOptions& options) {
  return Planner(function, spec, options).Run();
}

}  // namespace costate::codegen
