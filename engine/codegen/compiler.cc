#include "engine/codegen/compiler.h"

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/codegen/cache_key.h"
#include "engine/codegen/disk_cache.h"
#include "engine/codegen/emitter.h"
#include "engine/codegen/host_compiler.h"
#include "engine/codegen/jit.h"
#include "engine/codegen/kernel_cache.h"
#include "engine/codegen/plan.h"

namespace costate {
namespace codegen {
namespace {

class LlvmCompiler : public Compiler {
 public:
  LlvmCompiler(const CompilerOptions& options, HostTarget host, const Tuning& tuning,
               int simd_lanes, std::shared_ptr<Jit> jit, std::unique_ptr<DiskCache> disk)
      : plan_options_{.block_size = options.block_size,
                      .batch_width = tuning.batch_calls ? host.simd_lanes : 1,
                      .register_elements = tuning.register_elements},
        host_(std::move(host)),
        simd_lanes_(simd_lanes),
        jit_(std::move(jit)),
        disk_(std::move(disk)),
        memory_(options.max_memory_cache_bytes) {}

  std::string_view name() const override { return "llvm"; }
  int simd_lanes() const override { return simd_lanes_; }

  absl::StatusOr<Kernel> Build(const Function& function, const KernelSpec& requested) override {
    ASSIGN_OR_RETURN(const KernelSpec spec, Normalise(function, requested));
    const CacheKey key = KernelKey(function, spec, plan_options_, host_);
    return memory_.GetOrBuild(key, [&] { return BuildNew(function, spec, key); });
  }

  CompilerStats stats() const override {
    const std::lock_guard lock(mutex_);
    CompilerStats stats = stats_;
    stats.memory_hits = memory_.hits();
    return stats;
  }

 private:
  // One spec for every way to ask for the same kernel.
  absl::StatusOr<KernelSpec> Normalise(const Function& function, const KernelSpec& spec) const {
    if (spec.lanes != 1 && spec.lanes != simd_lanes_) {
      return FieldError("lanes", absl::StrCat(spec.lanes), absl::StrCat("1 or ", simd_lanes_));
    }
    KernelSpec normal = spec;
    const auto mask = [&](size_t buffers) {
      if (spec.lanes == 1) return uint64_t{0};
      return buffers >= 64 ? ~uint64_t{0} : (uint64_t{1} << buffers) - 1;
    };
    normal.uniform_inputs &= mask(function.inputs.size());
    normal.uniform_outputs &= mask(function.outputs.size());
    return normal;
  }

  absl::StatusOr<BuiltKernel> BuildNew(const Function& function, const KernelSpec& spec,
                                       const CacheKey& key) {
    if (disk_ != nullptr) {
      if (const auto cached = disk_->Load(key); cached.has_value()) {
        absl::StatusOr<BuiltKernel> kernel = Link(*cached, spec);
        if (kernel.ok()) {
          const std::lock_guard lock(mutex_);
          ++stats_.disk_hits;
          return kernel;
        }
        disk_->Remove(key);
      }
    }
    const absl::Time start = absl::Now();
    ASSIGN_OR_RETURN(const CachedObjects compiled, CompileObjects(function, spec));
    ASSIGN_OR_RETURN(BuiltKernel kernel, Link(compiled, spec));
    const absl::Duration duration = absl::Now() - start;
    if (disk_ != nullptr) disk_->Store(key, compiled);
    const std::lock_guard lock(mutex_);
    ++stats_.compiled;
    stats_.compile_time += duration;
    stats_.code_bytes += kernel.bytes;
    return kernel;
  }

  absl::StatusOr<CachedObjects> CompileObjects(const Function& function, const KernelSpec& spec) {
    ASSIGN_OR_RETURN(const Plan plan, MakePlan(function, spec, plan_options_));
    CachedObjects compiled;
    compiled.scratch_size = plan.scratch_size;
    ASSIGN_OR_RETURN(compiled.objects, EmitObjects(function, plan, host_));
    return compiled;
  }

  absl::StatusOr<BuiltKernel> Link(const CachedObjects& compiled, const KernelSpec& spec) {
    ASSIGN_OR_RETURN(std::shared_ptr<const LoadedCode> code,
                     jit_->Load(compiled.objects, kEntrySymbol));
    const auto entry = reinterpret_cast<Kernel::Entry>(code->entry());
    BuiltKernel built;
    for (const std::string& object : compiled.objects) {
      built.bytes += static_cast<int64_t>(object.size());
    }
    built.kernel = Kernel(entry, nullptr, std::move(code), spec.lanes, compiled.scratch_size);
    return built;
  }

  const PlanOptions plan_options_;
  const HostTarget host_;
  const int simd_lanes_;
  const std::shared_ptr<Jit> jit_;
  const std::unique_ptr<DiskCache> disk_;
  KernelCache memory_;
  mutable std::mutex mutex_;  // guards stats_
  CompilerStats stats_;
};

absl::Status CheckOptions(const CompilerOptions& options) {
  if (options.block_size < 1) {
    return FieldError("block_size", absl::StrCat(options.block_size), "at least 1");
  }
  const int lanes = options.simd_lanes;
  if (lanes != 0 && lanes != 1 && lanes != 2 && lanes != 4 && lanes != 8) {
    return FieldError("simd_lanes", absl::StrCat(lanes), "0, 1, 2, 4 or 8");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Compiler>> MakeCompilerFor(const CompilerOptions& options,
                                                          HostTarget host, const Tuning& tuning) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(std::shared_ptr<Jit> jit, Jit::Create(RuntimeSymbols(host.instruction_set)));
  std::unique_ptr<DiskCache> disk;
  if (!options.cache_directory.empty()) {
    ASSIGN_OR_RETURN(disk, DiskCache::Open(options.cache_directory, options.max_disk_cache_bytes));
  }
  const int lanes = options.simd_lanes == 0 ? host.simd_lanes : options.simd_lanes;
  return std::make_unique<LlvmCompiler>(options, std::move(host), tuning, lanes, std::move(jit),
                                        std::move(disk));
}

}  // namespace codegen

absl::StatusOr<std::unique_ptr<Compiler>> MakeCompiler(const CompilerOptions& options) {
  ASSIGN_OR_RETURN(codegen::HostTarget host, codegen::DetectHost());
  return codegen::MakeCompilerFor(options, std::move(host));
}

}  // namespace costate
