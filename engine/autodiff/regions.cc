#include "engine/autodiff/regions.h"

namespace costate {
namespace {

// Deeper selects are masked at their operands alone, which bounds the walk to a common region.
constexpr int kMaxDepth = 64;

}  // namespace

Regions::Regions(const Function& f, const std::vector<char>& visited)
    : f_(f),
      regions_(1),
      owner_(f.instructions.size(), -1),
      first_branch_(f.instructions.size(), 0) {
  for (const OutputEntry& entry : f.results) owner_[entry.value] = 0;
  for (size_t i = f.instructions.size(); i-- > 0;) {
    const Instruction& instruction = f.instructions[i];
    if (!visited[i]) continue;
    if (owner_[i] < 0 || instruction.op == Op::kInput) owner_[i] = 0;
    while (!Fits(instruction, owner_[i])) owner_[i] = regions_[owner_[i]].parent;
    const auto id = static_cast<ValueId>(i);
    if (instruction.op == Op::kSelect) Open(id);
    for (size_t k = 0; k < instruction.operands.size(); ++k) {
      Use(instruction.operands[k], RegionOfUse(id, static_cast<int>(k)));
    }
  }
  conditions_.assign(regions_.size(), kNoValue);
}

void Regions::Open(ValueId select) {
  const Region parent = regions_[owner_[select]];
  if (parent.depth == kMaxDepth) return;
  first_branch_[select] = static_cast<int>(regions_.size());
  Region region;
  region.parent = owner_[select];
  region.depth = parent.depth + 1;
  region.select = select;
  region.shape = f_.instructions[f_.instructions[select].operands[0]].shape;
  if (region.shape.empty()) region.shape = parent.shape;
  for (region.branch = 1; region.branch <= 2; ++region.branch) regions_.push_back(region);
}

void Regions::Use(ValueId operand, int region) {
  int& owner = owner_[operand];
  owner = owner < 0 ? region : CommonRegion(owner, region);
}

int Regions::RegionOfUse(ValueId user, int k) const {
  return first_branch_[user] > 0 && k > 0 ? first_branch_[user] + k - 1 : owner_[user];
}

int Regions::CommonRegion(int a, int b) const {
  while (a != b) {
    int& deeper = regions_[a].depth >= regions_[b].depth ? a : b;
    deeper = regions_[deeper].parent;
  }
  return a;
}

// Inside a tensor conditional, each element must depend on the same element of its operands only.
bool Regions::Fits(const Instruction& instruction, int region) const {
  const Shape& shape = regions_[region].shape;
  return shape.empty() || (IsElementwise(instruction.op) && instruction.shape == shape);
}

ValueId Regions::Condition(FunctionBuilder& b, absl::Span<const ValueId> values, int region) {
  std::vector<int> path;
  for (int r = region; r != 0 && conditions_[r] == kNoValue; r = regions_[r].parent) {
    path.push_back(r);
  }
  for (size_t i = path.size(); i-- > 0;) {
    const Region& entered = regions_[path[i]];
    ValueId condition = values[f_.instructions[entered.select].operands[0]];
    if (entered.branch == 2) condition = b.Unary(Op::kNot, condition);
    if (entered.parent != 0) {
      condition = b.Binary(Op::kAnd, conditions_[entered.parent], condition);
    }
    conditions_[path[i]] = condition;
  }
  return conditions_[region];
}

ValueId Regions::Leave(FunctionBuilder& b, absl::Span<const ValueId> values, ValueId user, int k,
                       ValueId v) {
  const int region = RegionOfUse(user, k);
  if (region == owner_[f_.instructions[user].operands[k]]) return v;
  const Region& left = regions_[region];
  const ValueId zero = b.Constant(0);
  if (left.parent == 0 && left.branch == 2) {
    return b.Select(values[f_.instructions[left.select].operands[0]], zero, v);
  }
  return b.Select(Condition(b, values, region), v, zero);
}

}  // namespace costate
