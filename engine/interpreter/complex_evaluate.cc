#include "engine/interpreter/complex_evaluate.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>

#include "engine/interpreter/evaluate.h"

namespace costate {
namespace {

using Complex = std::complex<double>;

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kTwoOverRootPi = 1.1283791670955125739;

// A value as its two parts, so that ops that are linear in it run on each of them.
struct Parts {
  std::vector<double> real, imaginary;
};

Complex Expm1(Complex z) {
  const double half = std::sin(z.imag() / 2);
  return {std::expm1(z.real()) * std::cos(z.imag()) - 2 * half * half,
          std::exp(z.real()) * std::sin(z.imag())};
}
Complex Log1p(Complex z) {
  const double a = z.real(), b = z.imag();
  return {0.5 * std::log1p(a * (2 + a) + b * b), std::atan2(b, 1 + a)};
}
Complex Powi(Complex x, int64_t exponent) {
  Complex product = 1, square = x;
  for (int64_t rest = std::llabs(exponent); rest > 0; rest /= 2) {
    if (rest % 2 == 1) product *= square;
    square *= square;
  }
  return exponent < 0 ? 1.0 / product : product;
}
// By logarithms; the sign of a negative base is taken out, which would cost digits there.
Complex Pow(Complex a, Complex b) {
  if (a.real() >= 0) return a == 0.0 ? Complex(std::pow(0.0, b.real())) : std::pow(a, b);
  if (b.imag() != 0 || b.real() != std::floor(b.real())) return kNaN;
  const Complex power = std::pow(-a, b);
  return std::fmod(b.real(), 2) == 0 ? power : -power;
}
Complex Atan2(Complex a, Complex b) {
  const double y = a.real(), x = b.real();
  return {std::atan2(y, x), (x * a.imag() - y * b.imag()) / (x * x + y * y)};
}
Complex Erf(Complex z) {
  return {std::erf(z.real()), z.imag() * kTwoOverRootPi * std::exp(-z.real() * z.real())};
}

// Elements of operand k, a scalar repeated.
class Reader {
 public:
  Reader(const Function& function, const std::vector<Parts>& values, const Instruction& at)
      : function_(function), values_(values), at_(at) {}
  Complex operator()(int k, int64_t i) const {
    const ValueId id = at_.operands[k];
    const int64_t place = function_.instructions[id].shape.empty() ? 0 : i;
    return {values_[id].real[place], values_[id].imaginary[place]};
  }

 private:
  const Function& function_;
  const std::vector<Parts>& values_;
  const Instruction& at_;
};

class Evaluation {
 public:
  Evaluation(const Function& function, const std::vector<std::vector<Complex>>& inputs)
      : function_(function), inputs_(inputs), values_(function.instructions.size()) {}

  std::vector<std::vector<Complex>> Run() {
    for (size_t i = 0; i < values_.size(); ++i) Evaluate(static_cast<ValueId>(i));
    std::vector<std::vector<Complex>> outputs;
    for (const Buffer& buffer : function_.outputs) outputs.emplace_back(buffer.size);
    for (const OutputEntry& entry : function_.results) {
      const Parts& value = values_[entry.value];
      for (size_t i = 0; i < value.real.size(); ++i) {
        outputs[entry.buffer][entry.offset + i] = {value.real[i], value.imaginary[i]};
      }
    }
    return outputs;
  }

 private:
  enum class Part { kReal, kImaginary };

  void Evaluate(ValueId id) {
    const Instruction& at = function_.instructions[id];
    Parts& value = values_[id];
    value.real.assign(NumElements(at.shape), 0.0);
    value.imaginary.assign(NumElements(at.shape), 0.0);
    switch (ClassOf(at.op)) {
      case OpClass::Leaf:
        return Load(at, &value);
      case OpClass::Structure:
        RunOn(at, {Part::kReal}, value.real.data());
        return RunOn(at, {Part::kImaginary}, value.imaginary.data());
      case OpClass::Compare:
      case OpClass::Logic:
        return RunOn(at, {Part::kReal}, value.real.data());
      case OpClass::Select:
        RunOn(at, {Part::kReal, Part::kReal, Part::kReal}, value.real.data());
        return RunOn(at, {Part::kReal, Part::kImaginary, Part::kImaginary}, value.imaginary.data());
      case OpClass::Contract:
        return Contract(at, &value);
      case OpClass::Unary:
      case OpClass::Binary:
        break;
    }
    const Reader x(function_, values_, at);
    std::vector<double> plain(value.real.size());
    RunOn(at, {Part::kReal}, plain.data());
    for (size_t i = 0; i < plain.size(); ++i) {
      const Complex element =
          std::isnan(plain[i]) ? Complex(kNaN, kNaN) : Apply(at, x, static_cast<int64_t>(i));
      value.real[i] = element.real();
      value.imaginary[i] = element.imag();
    }
  }

  void Load(const Instruction& at, Parts* value) const {
    if (at.op == Op::kConstant) {
      value->real = function_.constants[at.attributes[0]];
      return;
    }
    const Complex* from = inputs_[at.attributes[0]].data() + at.attributes[1];
    for (size_t i = 0; i < value->real.size(); ++i) {
      value->real[i] = from[i].real();
      value->imaginary[i] = from[i].imag();
    }
  }

  // The real instruction on one part of each operand (the last part for all further ones).
  void RunOn(const Instruction& at, const std::vector<Part>& parts, double* result) const {
    std::vector<EvaluatedOperand> operands;
    for (size_t k = 0; k < at.operands.size(); ++k) {
      const Parts& value = values_[at.operands[k]];
      const bool real = parts[std::min(k, parts.size() - 1)] == Part::kReal;
      operands.push_back({&function_.instructions[at.operands[k]],
                          real ? value.real.data() : value.imaginary.data()});
    }
    EvaluateInstruction(at, operands.data(), result);
  }

  // Bilinear ones.
  void Contract(const Instruction& at, Parts* value) const {
    std::vector<double> other(value->real.size());
    RunOn(at, {Part::kReal, Part::kReal}, value->real.data());
    RunOn(at, {Part::kImaginary, Part::kImaginary}, other.data());
    for (size_t i = 0; i < other.size(); ++i) value->real[i] -= other[i];
    RunOn(at, {Part::kReal, Part::kImaginary}, value->imaginary.data());
    RunOn(at, {Part::kImaginary, Part::kReal}, other.data());
    for (size_t i = 0; i < other.size(); ++i) value->imaginary[i] += other[i];
  }

  static Complex Apply(const Instruction& at, const Reader& x, int64_t i) {
    const Complex a = x(0, i);
    switch (at.op) {
        // clang-format off
      case Op::kNeg: return -a;
      case Op::kAbs: return a.real() < 0 ? -a : a;
      case Op::kSign: return a.real() > 0 ? 1.0 : a.real() < 0 ? -1.0 : a.real();
      case Op::kFloor: return std::floor(a.real());
      case Op::kSqrt: return std::sqrt(a);
      case Op::kExp: return std::exp(a);
      case Op::kExpm1: return Expm1(a);
      case Op::kLog: return std::log(a);
      case Op::kLog1p: return Log1p(a);
      case Op::kSin: return std::sin(a);
      case Op::kCos: return std::cos(a);
      case Op::kTan: return std::tan(a);
      case Op::kAsin: return std::asin(a);
      case Op::kAcos: return std::acos(a);
      case Op::kAtan: return std::atan(a);
      case Op::kSinh: return std::sinh(a);
      case Op::kCosh: return std::cosh(a);
      case Op::kTanh: return std::tanh(a);
      case Op::kAsinh: return std::asinh(a);
      case Op::kAcosh: return std::acosh(a);
      case Op::kAtanh: return std::atanh(a);
      // Of the decaying exponential, so that neither side overflows.
      case Op::kSigmoid: return a.real() >= 0 ? 1.0 / (1.0 + std::exp(-a))
                                              : std::exp(a) / (1.0 + std::exp(a));
      case Op::kErf: return Erf(a);
      case Op::kPowi: return Powi(a, at.attributes[0]);
      case Op::kAdd: return a + x(1, i);
      case Op::kSub: return a - x(1, i);
      case Op::kMul: return a * x(1, i);
      case Op::kDiv: return a / x(1, i);
      case Op::kPow: return Pow(a, x(1, i));
      case Op::kAtan2: return Atan2(a, x(1, i));
      case Op::kMin: return a.real() <= x(1, i).real() ? a : x(1, i);
      case Op::kMax: return a.real() >= x(1, i).real() ? a : x(1, i);
        // clang-format on
#define COSTATE_CASE(op, ...) case Op::op:
        COSTATE_LEAF_OP_LIST(COSTATE_CASE)
        COSTATE_COMPARE_OP_LIST(COSTATE_CASE)
        COSTATE_LOGIC_OP_LIST(COSTATE_CASE)
        COSTATE_SELECT_OP_LIST(COSTATE_CASE)
        COSTATE_STRUCTURE_OP_LIST(COSTATE_CASE)
        COSTATE_CONTRACT_OP_LIST(COSTATE_CASE)
#undef COSTATE_CASE
        break;
    }
    return kNaN;  // not of these classes
  }

  const Function& function_;
  const std::vector<std::vector<Complex>>& inputs_;
  std::vector<Parts> values_;
};

}  // namespace

std::vector<std::vector<Complex>> InterpretComplex(
    const Function& function, const std::vector<std::vector<Complex>>& inputs) {
  return Evaluation(function, inputs).Run();
}

}  // namespace costate
