#include "engine/autodiff/regions.h"

#include <utility>

namespace costate {
namespace {

// Deeper selects are masked at their operands alone, which bounds the walk to a common region.
constexpr int kMaxDepth = 64;

}  // namespace

Regions::Regions(const Function& f, const std::vector<char>& visited)
    : f_(f),
      regions_(1),
      owner_(f.instructions.size(), -1),
      branches_(f.instructions.size(), {-1, -1}) {
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
  const ValueId condition = f_.instructions[select].operands[0];
  const int taken = Enter(owner_[select], condition, true);
  const int other = Enter(owner_[select], condition, false);
  if (taken >= 0 && other >= 0) branches_[select] = {taken, other};
}

// Both sides of a conjunction that holds, or of a disjunction that does not, are entered one after
// the other. -1 if that is too deep.
int Regions::Enter(int parent, ValueId condition, bool holds) {
  std::vector<std::pair<ValueId, bool>> rest = {{condition, holds}};
  int region = parent;
  while (!rest.empty() && region >= 0) {
    const auto [next, next_holds] = rest.back();
    rest.pop_back();
    const Instruction& instruction = f_.instructions[next];
    if (instruction.op == Op::kNot) {
      rest.emplace_back(instruction.operands[0], !next_holds);
    } else if (instruction.op == (next_holds ? Op::kAnd : Op::kOr)) {
      if (static_cast<int>(rest.size()) >= kMaxDepth) return -1;
      rest.emplace_back(instruction.operands[1], next_holds);
      rest.emplace_back(instruction.operands[0], next_holds);
    } else {
      region = EnterOne(region, next, next_holds);
    }
  }
  return region;
}

int Regions::EnterOne(int parent, ValueId condition, bool holds) {
  for (int r = parent; r != 0; r = regions_[r].parent) {
    if (regions_[r].condition == condition && regions_[r].holds == holds) return parent;
  }
  if (regions_[parent].depth == kMaxDepth) return -1;
  const auto next = static_cast<int>(regions_.size());
  const auto [entry, inserted] = entered_.emplace(std::make_tuple(parent, condition, holds), next);
  if (inserted) {
    const Shape& shape = f_.instructions[condition].shape;
    regions_.push_back({parent, regions_[parent].depth + 1, condition, holds,
                        shape.empty() ? regions_[parent].shape : shape});
  }
  return entry->second;
}

void Regions::Use(ValueId operand, int region) {
  int& owner = owner_[operand];
  owner = owner < 0 ? region : CommonRegion(owner, region);
}

int Regions::RegionOfUse(ValueId user, int k) const {
  return k > 0 && branches_[user][0] >= 0 ? branches_[user][k - 1] : owner_[user];
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
    ValueId condition = values[entered.condition];
    if (!entered.holds) condition = b.Unary(Op::kNot, condition);
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
  if (left.parent == 0 && !left.holds) return b.Select(values[left.condition], zero, v);
  return b.Select(Condition(b, values, region), v, zero);
}

}  // namespace costate
