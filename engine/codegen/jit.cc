#include "engine/codegen/jit.h"

#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "llvm/ExecutionEngine/Orc/Core.h"
#include "llvm/ExecutionEngine/Orc/ExecutorProcessControl.h"
#include "llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h"
#include "llvm/ExecutionEngine/Orc/TaskDispatch.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/MemoryBuffer.h"

namespace costate::codegen {
namespace {

absl::Status ToStatus(llvm::Error error) {
  return absl::InternalError(llvm::toString(std::move(error)));
}

}  // namespace

// Why linking failed is told to the session's reporter, not to the caller; kept here for it.
class Jit::Reports {
 public:
  void Add(llvm::Error error) {
    const std::string text = llvm::toString(std::move(error));
    const std::lock_guard lock(mutex_);
    text_ = text;
  }
  std::string last() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  mutable std::mutex mutex_;
  std::string text_;
};

class Jit::Library : public LoadedCode {
 public:
  Library(std::shared_ptr<Jit> jit, llvm::orc::JITDylib& dylib)
      : jit_(std::move(jit)), dylib_(dylib) {}
  ~Library() override { llvm::consumeError(jit_->session_->removeJITDylib(dylib_)); }

  void* entry() const override { return entry_; }
  void set_entry(void* entry) { entry_ = entry; }

 private:
  std::shared_ptr<Jit> jit_;
  llvm::orc::JITDylib& dylib_;
  void* entry_ = nullptr;
};

Jit::Jit() : reports_(std::make_unique<Reports>()) {}

Jit::~Jit() {
  if (session_ != nullptr) llvm::consumeError(session_->endSession());
}

absl::StatusOr<std::shared_ptr<Jit>> Jit::Create(const std::vector<RuntimeSymbol>& symbols) {
  auto control = llvm::orc::SelfExecutorProcessControl::Create(
      nullptr, std::make_unique<llvm::orc::InPlaceTaskDispatcher>());
  if (!control) return ToStatus(control.takeError());
  std::shared_ptr<Jit> jit(new Jit);
  jit->session_ = std::make_unique<llvm::orc::ExecutionSession>(std::move(*control));
  jit->session_->setErrorReporter(
      [reports = jit->reports_.get()](llvm::Error error) { reports->Add(std::move(error)); });
  jit->linker_ = std::make_unique<llvm::orc::ObjectLinkingLayer>(*jit->session_);
  jit->runtime_ = &jit->session_->createBareJITDylib("runtime");
  llvm::orc::SymbolMap map;
  for (const RuntimeSymbol& symbol : symbols) {
    map[jit->session_->intern(symbol.name)] = {llvm::orc::ExecutorAddr::fromPtr(symbol.address),
                                               llvm::JITSymbolFlags::Exported};
  }
  if (llvm::Error error = jit->runtime_->define(llvm::orc::absoluteSymbols(std::move(map)))) {
    return ToStatus(std::move(error));
  }
  return jit;
}

absl::StatusOr<std::shared_ptr<const LoadedCode>> Jit::Load(const std::vector<std::string>& objects,
                                                            const std::string& entry_symbol) {
  llvm::orc::JITDylib& dylib =
      session_->createBareJITDylib(absl::StrCat("kernel", next_name_.fetch_add(1)));
  dylib.addToLinkOrder(*runtime_);
  auto library = std::make_shared<Library>(shared_from_this(), dylib);
  for (const std::string& object : objects) {
    auto buffer = llvm::MemoryBuffer::getMemBufferCopy(object);
    if (llvm::Error error = linker_->add(dylib, std::move(buffer))) {
      return ToStatus(std::move(error));
    }
  }
  auto entry = session_->lookup({&dylib}, session_->intern(entry_symbol));
  if (!entry) {
    const std::string what = llvm::toString(entry.takeError());
    return absl::InternalError(absl::StrCat(what, ": ", reports_->last()));
  }
  library->set_entry(entry->getAddress().toPtr<void*>());
  return library;
}

}  // namespace costate::codegen
