#include "engine/codegen/library_math.h"

#include <cmath>

// X(op, name): the functions of one operand, then those of two.
#define COSTATE_LIBRARY_MATH_1(X) \
  X(kSin, sin)                    \
  X(kCos, cos)                    \
  X(kTan, tan)                    \
  X(kAsin, asin)                  \
  X(kAcos, acos)                  \
  X(kAtan, atan)                  \
  X(kSinh, sinh)                  \
  X(kCosh, cosh)                  \
  X(kAsinh, asinh)                \
  X(kAcosh, acosh)                \
  X(kAtanh, atanh)                \
  X(kErf, erf)
#define COSTATE_LIBRARY_MATH_2(X) \
  X(kPow, pow)                    \
  X(kAtan2, atan2)

#if defined(__x86_64__)
// Only the addresses are taken, so the types do not matter here; sleef.h would need this file
// to be compiled for AVX-512.
#define COSTATE_DECLARE(op, name)                      \
  extern "C" void Sleef_finz_##name##d1_u10purecfma(); \
  extern "C" void Sleef_finz_##name##d2_u10avx2128();  \
  extern "C" void Sleef_finz_##name##d4_u10avx2();     \
  extern "C" void Sleef_finz_##name##d8_u10avx512f();
COSTATE_LIBRARY_MATH_1(COSTATE_DECLARE)
COSTATE_LIBRARY_MATH_2(COSTATE_DECLARE)
#undef COSTATE_DECLARE
#endif

namespace costate::codegen {
namespace {

template <typename F>
void* Address(F* function) {
  return reinterpret_cast<void*>(function);
}

std::vector<LibraryFunction> CLibrary() {
  using Function1 = double(double);
  using Function2 = double(double, double);
  return {
#define COSTATE_ROW(op, name) {#name, Op::op, 1, Address<Function1>(&std::name)},
      COSTATE_LIBRARY_MATH_1(COSTATE_ROW)
#undef COSTATE_ROW
#define COSTATE_ROW(op, name) {#name, Op::op, 1, Address<Function2>(&std::name)},
          COSTATE_LIBRARY_MATH_2(COSTATE_ROW)
#undef COSTATE_ROW
  };
}

}  // namespace

std::vector<LibraryFunction> LibraryFunctions(InstructionSet instruction_set) {
  if (instruction_set == InstructionSet::kPortable) return CLibrary();
  std::vector<LibraryFunction> functions;
#if defined(__x86_64__)
  const auto add = [&](Op op, int width, const char* symbol, void (*function)()) {
    functions.push_back({symbol, op, width, Address(function)});
  };
#define COSTATE_ADD(op, name, width, suffix)                        \
  add(Op::op, width, "Sleef_finz_" #name "d" #width "_u10" #suffix, \
      &Sleef_finz_##name##d##width##_u10##suffix);
#define COSTATE_ROWS(op, name)       \
  COSTATE_ADD(op, name, 1, purecfma) \
  COSTATE_ADD(op, name, 2, avx2128)  \
  COSTATE_ADD(op, name, 4, avx2)     \
  if (instruction_set == InstructionSet::kAvx512) COSTATE_ADD(op, name, 8, avx512f)
  COSTATE_LIBRARY_MATH_1(COSTATE_ROWS)
  COSTATE_LIBRARY_MATH_2(COSTATE_ROWS)
#undef COSTATE_ROWS
#undef COSTATE_ADD
#endif
  return functions;
}

std::string LibrarySymbol(InstructionSet instruction_set, Op op, int width) {
  for (LibraryFunction& function : LibraryFunctions(instruction_set)) {
    if (function.op == op && function.width == width) return std::move(function.symbol);
  }
  return "";
}

}  // namespace costate::codegen
