// Which values only one branch of a conditional uses.
//
// A region is where a condition holds (or does not); regions nest, and select instructions of one
// condition share theirs. A value belongs to the innermost region all its uses lie in. In reverse,
// the cotangents inside a region may be anything while its branch is not taken; they are masked
// where they leave it, so that the branch not taken adds exactly 0.
#ifndef COSTATE_ENGINE_AUTODIFF_REGIONS_H_
#define COSTATE_ENGINE_AUTODIFF_REGIONS_H_

#include <array>
#include <tuple>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/types/span.h"
#include "engine/model/function_builder.h"
#include "engine/model/ir.h"

namespace costate {

// Thread-safety: none. O(instructions) time and memory.
class Regions {
 public:
  // `visited`: the values of `f` the reverse sweep may reach; other uses do not count. `f` must
  // outlive this.
  Regions(const Function& f, const std::vector<char>& visited);

  // The cotangent `v` that `user` sends to its operand `k`, masked if the operand lies outside the
  // region of this use. v has the shape of the user, or any shape where the user is not
  // elementwise. `values`: the values of f in the builder.
  ValueId Leave(FunctionBuilder& b, absl::Span<const ValueId> values, ValueId user, int k,
                ValueId v);

  // Whether the branches of this select are regions; if not, it masks its cotangents itself.
  bool Opens(ValueId select) const { return branches_[select][0] >= 0; }

 private:
  struct Region {
    int parent = 0;
    int depth = 0;
    ValueId condition = 0;  // of f; within the parent
    bool holds = true;      // or does not
    Shape shape;            // of the conditions on the way here; empty if all are scalars
  };

  void Open(ValueId select);
  int Enter(int parent, ValueId condition, bool holds);
  int EnterOne(int parent, ValueId condition, bool holds);
  void Use(ValueId operand, int region);
  int RegionOfUse(ValueId user, int k) const;
  int CommonRegion(int a, int b) const;
  bool Fits(const Instruction& instruction, int region) const;
  ValueId Condition(FunctionBuilder& b, absl::Span<const ValueId> values, int region);

  const Function& f_;
  std::vector<Region> regions_;                                       // 0: the whole function
  absl::flat_hash_map<std::tuple<int, ValueId, bool>, int> entered_;  // parent, condition, holds
  std::vector<int> owner_;                    // per value; -1: no use seen yet
  std::vector<std::array<int, 2>> branches_;  // per select: regions of operands 1 and 2; or -1
  std::vector<ValueId> conditions_;           // per region, in the builder, or kNoValue
};

}  // namespace costate

#endif  // COSTATE_ENGINE_AUTODIFF_REGIONS_H_
