// Names of kernels by content.
#ifndef COSTATE_ENGINE_CODEGEN_CACHE_KEY_H_
#define COSTATE_ENGINE_CODEGEN_CACHE_KEY_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/codegen/plan.h"
#include "engine/codegen/target.h"
#include "engine/model/evaluator.h"
#include "engine/model/ir.h"

namespace costate::codegen {

// A BLAKE3 hash: equal keys mean equal kernels, also against an adversary.
using CacheKey = std::array<uint8_t, 32>;

// The hash of everything the code depends on: instructions, constants and buffer sizes (not
// names or source locations), the spec, the plan's options, the target and the versions of LLVM
// and of the emitter. Linear in the function, about 0.1 ms for 10,000 instructions.
CacheKey KernelKey(const Function& function, const KernelSpec& spec, const PlanOptions& options,
                   const HostTarget& host);

CacheKey HashBytes(std::string_view bytes);

std::string KeyToHex(const CacheKey& key);

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_CACHE_KEY_H_
