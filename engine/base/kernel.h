// A kernel: one numerical function, ready to run, over W lanes at once.
//
// Kernels are what solvers and gradients call. They come from compiled code, from the
// interpreter or from a C++ function; the caller cannot tell which.
//
//   const double* in[] = {t, y, p};
//   double* out[] = {dy};
//   kernel(in, out, scratch);   // scratch: kernel.scratch_size() doubles
#ifndef COSTATE_ENGINE_BASE_KERNEL_H_
#define COSTATE_ENGINE_BASE_KERNEL_H_

#include <cstdint>
#include <memory>
#include <utility>

namespace costate {

// The widest lane count any evaluator may use (8 doubles: one 512-bit register).
inline constexpr int kMaxLanes = 8;

// Layout. A buffer is *varying* or *uniform*. A varying buffer of k elements holds
// k * lanes doubles, [element][lane]. A uniform buffer holds k doubles shared by all lanes.
// Which inputs and outputs are uniform is part of the request that built the kernel.
// Buffers need the alignment of double only, and outputs must not overlap inputs.
//
// Per lane, a kernel gives the same bits for every lane count and every choice of uniform
// buffers.
//
// Thread-safety: a Kernel is immutable; concurrent calls are safe with distinct outputs and
// scratch. Copies share the underlying code, which lives as long as any copy.
class Kernel {
 public:
  // Calling convention of every kernel entry point, compiled ones included.
  //   context: opaque state of the kernel, null for compiled code
  //   inputs, outputs: one pointer per buffer, in the order of the function's signature
  //   scratch: at least scratch_size() doubles, contents undefined before and after
  using Entry = void (*)(const void* context, const double* const* inputs, double* const* outputs,
                         double* scratch);

  Kernel() = default;
  // `owner` keeps code and context alive; `context` is passed to `entry` as it is.
  Kernel(Entry entry, const void* context, std::shared_ptr<const void> owner, int lanes,
         int64_t scratch_size)
      : entry_(entry),
        context_(context),
        owner_(std::move(owner)),
        lanes_(lanes),
        scratch_size_(scratch_size) {}

  void operator()(const double* const* inputs, double* const* outputs, double* scratch) const {
    entry_(context_, inputs, outputs, scratch);
  }

  explicit operator bool() const { return entry_ != nullptr; }
  int lanes() const { return lanes_; }
  int64_t scratch_size() const { return scratch_size_; }  // in doubles

 private:
  Entry entry_ = nullptr;
  const void* context_ = nullptr;
  std::shared_ptr<const void> owner_;
  int lanes_ = 1;
  int64_t scratch_size_ = 0;
};

}  // namespace costate

#endif  // COSTATE_ENGINE_BASE_KERNEL_H_
