// Which values only one branch of a conditional uses.
//
// A region is one branch of one select; regions nest. A value belongs to the innermost region all
// its uses lie in. In reverse, the cotangents inside a region may be anything while its branch is
// not taken; they are masked where they leave it, so that the branch not taken adds exactly 0.
#ifndef COSTATE_ENGINE_AUTODIFF_REGIONS_H_
#define COSTATE_ENGINE_AUTODIFF_REGIONS_H_

#include <vector>

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
  bool Opens(ValueId select) const { return first_branch_[select] > 0; }

 private:
  struct Region {
    int parent = 0;
    int depth = 0;
    ValueId select = 0;  // of f
    int branch = 1;      // operand of the select: 1 or 2
    Shape shape;         // of the conditions on the way here; empty if all are scalars
  };

  void Open(ValueId select);
  void Use(ValueId operand, int region);
  int RegionOfUse(ValueId user, int k) const;
  int CommonRegion(int a, int b) const;
  bool Fits(const Instruction& instruction, int region) const;
  ValueId Condition(FunctionBuilder& b, absl::Span<const ValueId> values, int region);

  const Function& f_;
  std::vector<Region> regions_;       // 0: the whole function
  std::vector<int> owner_;            // per value; -1: no use seen yet
  std::vector<int> first_branch_;     // per select: its region of operand 1, that of 2 follows; or 0
  std::vector<ValueId> conditions_;   // per region, in the builder, or kNoValue
};

}  // namespace costate

#endif  // COSTATE_ENGINE_AUTODIFF_REGIONS_H_
