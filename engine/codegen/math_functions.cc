#include "engine/codegen/math_functions.h"

#include <array>
#include <cstdint>
#include <limits>

#include "llvm/IR/Intrinsics.h"
#include "llvm/IR/IntrinsicsX86.h"
#include "llvm/IR/Module.h"

namespace costate::codegen {
namespace {

using llvm::Value;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
// Adding this rounds to an integer (to even at ties), kept in the low bits of the sum.
constexpr double kRoundingShift = 0x1.8p52;
constexpr int64_t kRoundingShiftBits = 0x4338000000000000;
constexpr int64_t kOneBits = 0x3ff0000000000000;
constexpr double kLog2E = 0x1.71547652b82fep+0;
// ln 2 in two parts, the first with 32 bits, so that n * kLn2High is exact for |n| < 2^21.
constexpr double kLn2High = 0x1.62e42fee00000p-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;

// (exp(r) - 1 - r) / r^2 on |r| <= ln(2)/2; Chebyshev fit, error in exp(r) below 2^-61.
constexpr std::array<double, 11> kExpTail = {
    0x1.0000000000000p-1,  0x1.5555555555557p-3,  0x1.5555555555556p-5,  0x1.11111111100dcp-7,
    0x1.6c16c16c162d4p-10, 0x1.a01a01abe7fe1p-13, 0x1.a01a01a6d889cp-16, 0x1.71de0231960ebp-19,
    0x1.27e4db646b17ep-22, 0x1.af4de97ca4194p-26, 0x1.1f730349868cep-29};

// (2 atanh(s)/s - 2) / s^2 in z = s^2 on s <= (sqrt(2)-1)/(sqrt(2)+1); Chebyshev fit, error
// relative to 2 atanh(s) below 2^-60.
constexpr std::array<double, 8> kLogSeries = {
    0x1.5555555555555p-1, 0x1.9999999999a38p-2, 0x1.2492492476c87p-2, 0x1.c71c720160b47p-3,
    0x1.745cf901605f7p-3, 0x1.3b1c360763b8ap-3, 0x1.0fbe83c2cbcf3p-3, 0x1.0c04595972ab8p-3};

class MathBuilder {
 public:
  MathBuilder(llvm::IRBuilder<>& builder, const HostTarget& host, llvm::Type* type)
      : b_(builder), host_(host), type_(type) {
    llvm::Type* integer = llvm::Type::getInt64Ty(type->getContext());
    const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
    integer_type_ =
        vector ? llvm::FixedVectorType::get(integer, vector->getNumElements()) : integer;
  }

  Value* Exp(Value* x) {
    x = ClampAbove(ClampBelow(x, -746), 710);
    const Reduced r = Reduce(x);
    return ScaleByPowerOfTwo(Add(ExpM1Reduced(r), C(1)), r);
  }

  // 2 (2^(k-1) p + (2^(k-1) - 1/2)), which neither overflows early nor rounds twice; k = 0 is
  // taken apart as the halves of a subnormal p may be inexact.
  Value* Expm1(Value* x) {
    const Reduced r = Reduce(ClampAbove(ClampBelow(x, -45), 710));
    Value* p = CarefulExpM1Reduced(r);
    Value* half_scale = PowerOfTwo(b_.CreateSub(r.k, I(1)));
    Value* half = Fma(half_scale, p, Sub(half_scale, C(0.5)));
    Value* sum = Add(half, half);
    Value* result = b_.CreateSelect(b_.CreateICmpEQ(r.k, I(0)), p, sum);
    return b_.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, result, x);
  }

  // With e = expm1(-2|x|) in (-1, 0]: tanh |x| = -e / (2 + e). Towards 1 this magnifies the
  // rounding of e, so there, with w = 1 + e = exp(-2|x|), tanh |x| = 1 - 2 w / (1 + w).
  Value* Tanh(Value* x) {
    Value* magnitude = Abs(x);
    Value* y = ClampBelow(Mul(magnitude, C(-2)), -45);
    const Reduced r = Reduce(y);
    Value* scale = PowerOfTwo(r.k);
    Value* p = CarefulExpM1Reduced(r);
    Value* e = Fma(scale, p, Sub(scale, C(1)));
    Value* w = Fma(scale, p, scale);
    Value* near_one = b_.CreateFCmpOLT(w, C(0.2));
    Value* quotient = Div(b_.CreateSelect(near_one, Mul(w, C(-2)), b_.CreateFNeg(e)),
                          b_.CreateSelect(near_one, Add(w, C(1)), Add(e, C(2))));
    Value* t = b_.CreateSelect(near_one, Add(quotient, C(1)), quotient);
    return b_.CreateBinaryIntrinsic(llvm::Intrinsic::copysign, t, x);
  }

  // With e = exp(-|x|) in [0, 1]: 1 / (1 + e) for x >= 0, else e / (1 + e).
  Value* Sigmoid(Value* x) {
    Value* y = ClampBelow(b_.CreateFNeg(Abs(x)), -746);
    const Reduced r = Reduce(y);
    Value* e = ScaleByPowerOfTwo(Add(ExpM1Reduced(r), C(1)), r);
    Value* numerator = b_.CreateSelect(b_.CreateFCmpOLT(x, C(0)), e, C(1));
    return Div(numerator, Add(e, C(1)));
  }

  Value* Log(Value* x) { return LogSpecialValues(x, LogPositive(x, C(0)), x); }

  // log(u) + c/u where u = fl(1 + x) and c = 1 + x - u exactly.
  Value* Log1p(Value* x) {
    Value* u = Add(x, C(1));
    Value* below = Sub(x, Sub(u, C(1)));
    Value* above = Sub(C(1), Sub(u, x));
    Value* rest = b_.CreateSelect(b_.CreateFCmpOLT(x, C(1)), below, above);
    Value* result = LogSpecialValues(u, LogPositive(u, Div(rest, u)), x);
    return b_.CreateSelect(b_.CreateFCmpOEQ(x, C(0)), x, result);
  }

 private:
  // x = k ln 2 + r + rest with |r| <= ln(2)/2 (a little more at ties), rest what r lost in
  // rounding.
  struct Reduced {
    Value* k;        // integer
    Value* k_value;  // the same as double
    Value* r;
    Value* rest;
  };

  Value* C(double x) { return llvm::ConstantFP::get(type_, x); }
  Value* I(int64_t x) {
    return llvm::ConstantInt::get(integer_type_, static_cast<uint64_t>(x), /*IsSigned=*/true);
  }
  Value* Add(Value* a, Value* b) { return b_.CreateFAdd(a, b); }
  Value* Sub(Value* a, Value* b) { return b_.CreateFSub(a, b); }
  Value* Mul(Value* a, Value* b) { return b_.CreateFMul(a, b); }
  Value* Div(Value* a, Value* b) { return b_.CreateFDiv(a, b); }
  Value* Abs(Value* a) { return b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, a); }
  Value* Fma(Value* a, Value* b, Value* c) {
    return b_.CreateIntrinsic(llvm::Intrinsic::fma, {type_}, {a, b, c});
  }
  Value* Bits(Value* x) { return b_.CreateBitCast(x, integer_type_); }
  Value* FromBits(Value* x) { return b_.CreateBitCast(x, type_); }

  // NaN passes both clamps.
  Value* ClampBelow(Value* x, double low) {
    return b_.CreateSelect(b_.CreateFCmpOLT(x, C(low)), C(low), x);
  }
  Value* ClampAbove(Value* x, double high) {
    return b_.CreateSelect(b_.CreateFCmpOGT(x, C(high)), C(high), x);
  }

  Reduced Reduce(Value* x) {
    Value* shifted = Fma(x, C(kLog2E), C(kRoundingShift));
    Value* k_value = Sub(shifted, C(kRoundingShift));
    Value* k = b_.CreateSub(Bits(shifted), I(kRoundingShiftBits));
    Value* high = Fma(k_value, C(-kLn2High), x);
    Value* r = Fma(k_value, C(-kLn2Low), high);
    return {k, k_value, r, Fma(k_value, C(-kLn2Low), Sub(high, r))};
  }

  // exp(r) - 1 = r + r^2 q(r), q by Estrin's scheme. Good enough where 1 is added.
  Value* ExpM1Reduced(const Reduced& reduced) {
    Value* r2 = Mul(reduced.r, reduced.r);
    return Fma(r2, Polynomial(kExpTail, reduced.r, r2), reduced.r);
  }

  // exp(r + rest) - 1 = r + (r^2 q(r) + rest).
  Value* CarefulExpM1Reduced(const Reduced& reduced) {
    Value* r = reduced.r;
    Value* r2 = Mul(r, r);
    return Add(r, Fma(r2, Polynomial(kExpTail, r, r2), reduced.rest));
  }

  template <size_t N>
  Value* Polynomial(const std::array<double, N>& coefficients, Value* x, Value* x2) {
    std::array<Value*, N> terms;
    for (size_t i = 0; i < N; ++i) terms[i] = C(coefficients[i]);
    size_t count = N;
    Value* power = x;
    while (count > 1) {
      for (size_t i = 0; i < count; i += 2) {
        terms[i / 2] = i + 1 < count ? Fma(terms[i + 1], power, terms[i]) : terms[i];
      }
      count = (count + 1) / 2;
      power = power == x ? x2 : Mul(power, power);
    }
    return terms[0];
  }

  // 2^k for -1022 <= k <= 1023.
  Value* PowerOfTwo(Value* k) {
    return FromBits(b_.CreateAdd(b_.CreateShl(k, I(52)), I(kOneBits)));
  }

  // p 2^k for p in [1/2, 2] and -1080 <= k <= 1026, rounded once.
  Value* ScaleByPowerOfTwo(Value* p, const Reduced& reduced) {
    if (host_.instruction_set == InstructionSet::kAvx512) return ScaleF(p, reduced.k_value);
    Value* half = b_.CreateSub(b_.CreateLShr(b_.CreateAdd(reduced.k, I(2048)), I(1)), I(1024));
    Value* rest = b_.CreateSub(reduced.k, half);
    return Mul(Mul(p, PowerOfTwo(half)), PowerOfTwo(rest));
  }

  // The processor's own p 2^floor(k), which has the same bits as the two products above.
  Value* ScaleF(Value* p, Value* k) {
    constexpr int kCurrentRounding = 4;
    llvm::LLVMContext& context = type_->getContext();
    llvm::Type* i8 = llvm::Type::getInt8Ty(context);
    Value* all = llvm::ConstantInt::get(i8, 0xff);
    Value* rounding = b_.getInt32(kCurrentRounding);
    const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type_);
    if (vector == nullptr) {
      auto* pair = llvm::FixedVectorType::get(type_, 2);
      Value* none = llvm::PoisonValue::get(pair);
      Value* zero = llvm::Constant::getNullValue(pair);
      Value* scaled =
          b_.CreateIntrinsic(llvm::Intrinsic::x86_avx512_mask_scalef_sd, {},
                             {b_.CreateInsertElement(none, p, uint64_t{0}),
                              b_.CreateInsertElement(none, k, uint64_t{0}), zero, all, rounding});
      return b_.CreateExtractElement(scaled, uint64_t{0});
    }
    Value* zero = llvm::Constant::getNullValue(type_);
    switch (vector->getNumElements()) {
      case 2:
        return b_.CreateIntrinsic(llvm::Intrinsic::x86_avx512_mask_scalef_pd_128, {},
                                  {p, k, zero, all});
      case 4:
        return b_.CreateIntrinsic(llvm::Intrinsic::x86_avx512_mask_scalef_pd_256, {},
                                  {p, k, zero, all});
      default:
        return b_.CreateIntrinsic(llvm::Intrinsic::x86_avx512_mask_scalef_pd_512, {},
                                  {p, k, zero, all, rounding});
    }
  }

  // log(x) + correction for finite x > 0: x = 2^e m, m in [sqrt(1/2), sqrt(2)), f = m - 1,
  // s = f / (2 + f), log m = f - f^2/2 + s (f^2/2 + R(s^2)). Form of FDLIBM's e_log.c (Sun
  // Microsystems, 1993), where the derivation is given; own coefficients.
  Value* LogPositive(Value* x, Value* correction) {
    constexpr int64_t kSqrtHalfBits = 0x3fe6a09e667f3bcd;
    Value* tiny = b_.CreateFCmpOLT(x, C(0x1p-1022));
    Value* normal = b_.CreateSelect(tiny, Mul(x, C(0x1p54)), x);
    Value* bits = Bits(normal);
    // 1023 is added before the shift so that a logical one serves.
    Value* biased = b_.CreateLShr(b_.CreateAdd(bits, I(kOneBits - kSqrtHalfBits)), I(52));
    Value* e_bits = b_.CreateShl(b_.CreateSub(biased, I(1023)), I(52));
    Value* f = Sub(FromBits(b_.CreateSub(bits, e_bits)), C(1));
    Value* e = Sub(FromBits(b_.CreateAdd(biased, I(kRoundingShiftBits))),
                   b_.CreateSelect(tiny, C(kRoundingShift + 1023 + 54), C(kRoundingShift + 1023)));
    Value* s = Div(f, Add(f, C(2)));
    Value* z = Mul(s, s);
    Value* series = Mul(z, Polynomial(kLogSeries, z, Mul(z, z)));
    Value* half_square = Mul(Mul(f, C(0.5)), f);
    Value* low = Fma(s, Add(half_square, series), Fma(e, C(kLn2Low), correction));
    return Fma(e, C(kLn2High), Sub(f, Sub(half_square, low)));
  }

  // `result` for finite x > 0; `argument` is returned for inf and NaN.
  Value* LogSpecialValues(Value* x, Value* result, Value* argument) {
    result = b_.CreateSelect(b_.CreateFCmpOLT(x, C(kInfinity)), result, argument);
    result = b_.CreateSelect(b_.CreateFCmpOLT(x, C(0)), C(kNan), result);
    return b_.CreateSelect(b_.CreateFCmpOEQ(x, C(0)), C(-kInfinity), result);
  }

  llvm::IRBuilder<>& b_;
  const HostTarget& host_;
  llvm::Type* type_;
  llvm::Type* integer_type_;
};

}  // namespace

bool IsEmittedMath(Op op) {
  return op == Op::kExp || op == Op::kExpm1 || op == Op::kLog || op == Op::kLog1p ||
         op == Op::kTanh || op == Op::kSigmoid;
}

Value* EmitMathFunction(llvm::IRBuilder<>& builder, const HostTarget& host, Op op, Value* x) {
  MathBuilder math(builder, host, x->getType());
  if (op == Op::kExp) return math.Exp(x);
  if (op == Op::kExpm1) return math.Expm1(x);
  if (op == Op::kLog) return math.Log(x);
  if (op == Op::kLog1p) return math.Log1p(x);
  if (op == Op::kTanh) return math.Tanh(x);
  return math.Sigmoid(x);
}

}  // namespace costate::codegen
