// Links object files into executable memory of this process. Only the symbols given at creation
// can be referred to; nothing is searched in the process.
//
// Thread-safety: all members may be called from any thread.
#ifndef COSTATE_ENGINE_CODEGEN_JIT_H_
#define COSTATE_ENGINE_CODEGEN_JIT_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "engine/codegen/runtime_symbols.h"

namespace llvm::orc {
class ExecutionSession;
class JITDylib;
class ObjectLinkingLayer;
}  // namespace llvm::orc

namespace costate::codegen {

// Code in executable memory, unmapped with the last reference. Holds the JIT.
class LoadedCode {
 public:
  virtual ~LoadedCode() = default;
  virtual void* entry() const = 0;
};

class Jit : public std::enable_shared_from_this<Jit> {
 public:
  static absl::StatusOr<std::shared_ptr<Jit>> Create(const std::vector<RuntimeSymbol>& symbols);
  ~Jit();
  Jit(const Jit&) = delete;
  Jit& operator=(const Jit&) = delete;

  // INTERNAL when an object is malformed, refers to an unknown symbol or lacks `entry_symbol`.
  // Pages are never writable and executable at once.
  absl::StatusOr<std::shared_ptr<const LoadedCode>> Load(const std::vector<std::string>& objects,
                                                         const std::string& entry_symbol);

 private:
  class Library;
  class Reports;

  Jit();

  std::unique_ptr<Reports> reports_;  // outlives the session, which writes to it
  std::unique_ptr<llvm::orc::ExecutionSession> session_;
  std::unique_ptr<llvm::orc::ObjectLinkingLayer> linker_;
  llvm::orc::JITDylib* runtime_ = nullptr;
  std::atomic<int64_t> next_name_{0};
};

}  // namespace costate::codegen

#endif  // COSTATE_ENGINE_CODEGEN_JIT_H_
