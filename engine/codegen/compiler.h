// IR to machine code through LLVM ORC, with a memory and a disk cache. This header is free of
// LLVM.
#ifndef COSTATE_ENGINE_CODEGEN_COMPILER_H_
#define COSTATE_ENGINE_CODEGEN_COMPILER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/model/evaluator.h"

namespace costate {

struct CompilerOptions {
  // Directory of the object cache, created if missing; empty means memory only. Entries are
  // keyed by content, target, compiler version and spec, carry a checksum, and are written by
  // rename, so a torn or foreign file is a miss, never a fault.
  std::string cache_directory;
  int64_t max_memory_cache_bytes = int64_t{256} << 20;  // code and bookkeeping, least recent out
  int64_t max_disk_cache_bytes = int64_t{1} << 30;
  // Instructions of the IR per emitted machine function; larger functions are split.
  int block_size = 256;
  // 0: the host's SIMD width (8 with AVX-512, 4 with AVX, else 2).
  int simd_lanes = 0;
};

struct CompilerStats {
  int64_t compiled = 0;
  int64_t memory_hits = 0;
  int64_t disk_hits = 0;
  int64_t code_bytes = 0;
  absl::Duration compile_time;
};

// Thread-safety: all members may be called from any thread; two requests for one kernel compile
// it once.
class Compiler : public Evaluator {
 public:
  virtual CompilerStats stats() const = 0;
};

// UNAVAILABLE when the host has no usable target.
absl::StatusOr<std::unique_ptr<Compiler>> MakeCompiler(const CompilerOptions& options);

}  // namespace costate

#endif  // COSTATE_ENGINE_CODEGEN_COMPILER_H_
