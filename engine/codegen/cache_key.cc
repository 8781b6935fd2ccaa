#include "engine/codegen/cache_key.h"

#include <cstring>
#include <type_traits>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/BLAKE3.h"

namespace costate::codegen {
namespace {

// Changes whenever the emitter gives other code for the same function.
constexpr int64_t kEmitterVersion = 1;

// Collects small pieces in a buffer, as the hash prefers long ones.
class Hasher {
 public:
  template <typename T>
  void Add(T value) {
    static_assert(std::is_arithmetic_v<T>);
    if (used_ + sizeof(T) > buffer_.size()) Flush();
    std::memcpy(buffer_.data() + used_, &value, sizeof(T));
    used_ += sizeof(T);
  }
  void AddBytes(const void* data, size_t size) {
    Add(static_cast<uint64_t>(size));
    Flush();
    hasher_.update({static_cast<const uint8_t*>(data), size});
  }
  CacheKey Finish() {
    Flush();
    return hasher_.final<32>();
  }

 private:
  void Flush() {
    hasher_.update({buffer_.data(), used_});
    used_ = 0;
  }

  llvm::BLAKE3 hasher_;
  std::array<uint8_t, 16 << 10> buffer_;
  size_t used_ = 0;
};

void AddInstruction(Hasher& hasher, const Instruction& instruction) {
  const uint64_t counts = instruction.operands.size() << 32 | instruction.attributes.size() << 16 |
                          instruction.shape.size() << 8 | static_cast<uint64_t>(instruction.dtype);
  hasher.Add(counts);
  hasher.Add(static_cast<uint8_t>(instruction.op));
  for (int64_t extent : instruction.shape) hasher.Add(extent);
  for (ValueId operand : instruction.operands) hasher.Add(operand);
  for (int64_t attribute : instruction.attributes) hasher.Add(attribute);
}

}  // namespace

CacheKey KernelKey(const Function& function, const KernelSpec& spec, const PlanOptions& options,
                   const HostTarget& host) {
  Hasher hasher;
  hasher.Add(kEmitterVersion);
  for (const std::string_view text :
       {std::string_view(LLVM_VERSION_STRING), std::string_view(host.triple),
        std::string_view(host.cpu), std::string_view(host.features)}) {
    hasher.AddBytes(text.data(), text.size());
  }
  hasher.Add(static_cast<int64_t>(host.instruction_set));
  hasher.Add(static_cast<int64_t>(host.simd_lanes));
  hasher.Add(static_cast<int64_t>(options.block_size));
  hasher.Add(static_cast<int64_t>(options.batch_width));
  hasher.Add(options.register_elements);
  hasher.Add(static_cast<int64_t>(spec.lanes));
  hasher.Add(spec.uniform_inputs);
  hasher.Add(spec.uniform_outputs);
  for (const auto* buffers : {&function.inputs, &function.outputs}) {
    hasher.Add(static_cast<uint64_t>(buffers->size()));
    for (const Buffer& buffer : *buffers) hasher.Add(buffer.size);
  }
  hasher.Add(static_cast<uint64_t>(function.instructions.size()));
  for (const Instruction& instruction : function.instructions) AddInstruction(hasher, instruction);
  hasher.Add(static_cast<uint64_t>(function.results.size()));
  for (const OutputEntry& entry : function.results) {
    hasher.Add(entry.value);
    hasher.Add(entry.buffer);
    hasher.Add(entry.offset);
  }
  hasher.Add(static_cast<uint64_t>(function.constants.size()));
  for (const std::vector<double>& constant : function.constants) {
    if (constant.size() == 1) {
      hasher.Add(uint64_t{sizeof(double)});
      hasher.Add(constant[0]);
    } else {
      hasher.AddBytes(constant.data(), constant.size() * sizeof(double));
    }
  }
  return hasher.Finish();
}

CacheKey HashBytes(std::string_view bytes) {
  return llvm::BLAKE3::hash<32>({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

std::string KeyToHex(const CacheKey& key) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(key.data()), key.size()));
}

}  // namespace costate::codegen
