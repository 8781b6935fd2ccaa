// The plan of a compiled function, made before any code is emitted: what varies between lanes,
// which values live in registers and which in memory, in which order and in which machine
// function each instruction runs. Free of LLVM.
//
//   ASSIGN_OR_RETURN(const Plan plan, MakePlan(function, spec, {.block_size = 256}));
#ifndef COSTATE_ENGINE_CODEGEN_PLAN_H_
#define COSTATE_ENGINE_CODEGEN_PLAN_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/codegen/instruction_kind.h"
#include "engine/model/evaluator.h"
#include "engine/model/ir.h"

namespace costate::codegen {

struct Location {
  enum class Base : uint8_t { kNone, kInput, kOutput, kConstant, kScratch };
  Base base = Base::kNone;
  int32_t index = 0;   // of the buffer or constant
  int64_t offset = 0;  // elements of a buffer or constant; doubles of scratch

  bool exists() const { return base != Base::kNone; }
};

struct ValuePlan {
  bool used = false;     // some result depends on it
  bool varying = false;  // differs between lanes; else computed once as a scalar
  bool small = false;    // held element by element
  // A large value that is other memory under another name: no code is emitted for it.
  bool alias = false;
  int64_t num_elements = 0;
  // What an alias is an alias of (else the value itself), and from which of its elements on.
  ValueId root = 0;
  int64_t root_offset = 0;
  int32_t block = -1;  // where it is computed; -1: leaves and aliases
  // Memory of the value. None: registers only, or only inside its loop.
  Location location;
};

// Some elements of one instruction, evaluated together with others of the same op.
struct BatchMember {
  ValueId value = 0;
  int32_t element = 0;
};

struct Step {
  enum class Kind : uint8_t {
    kSingle,  // values[0]
    kLoop,    // values: elementwise instructions over one number of elements, in order
    kBatch,   // members: equal scalar function calls, evaluated as one vector
    kStore,   // results: entries of Function::results to copy to their outputs
  };
  Kind kind = Kind::kSingle;
  std::vector<ValueId> values = {};
  std::vector<BatchMember> members = {};
  std::vector<int64_t> results = {};
};

struct Block {
  std::vector<Step> steps;
};

struct Plan {
  int lanes = 1;
  uint64_t uniform_outputs = 0;
  int64_t register_elements = kMaxRegisterElements;
  std::vector<ValuePlan> values;
  std::vector<Block> blocks;
  int64_t scratch_size = 0;    // doubles
  int64_t num_math_calls = 0;  // evaluations of costly functions, a batch counting once

  bool IsUniformOutput(int buffer) const {
    return buffer < 64 && ((uniform_outputs >> buffer) & 1) != 0;
  }
};

struct PlanOptions {
  int block_size = 256;  // cost of a block, about one per emitted instruction of the IR
  int batch_width = 1;   // scalar function calls to pack into one vector; 1: never
  int64_t register_elements = kMaxRegisterElements;  // 1 to kMaxRegisterElements
};

// Total time and memory are linear in the function (n log n in the number of distinct sizes).
// INVALID_ARGUMENT when a uniform output depends on a varying input; RESOURCE_EXHAUSTED when
// intermediates need more than limits::kMaxScratchElements per lane.
absl::StatusOr<Plan> MakePlan(const Function& function, const KernelSpec& spec,
                              const PlanOptions& options);

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_PLAN_H_
