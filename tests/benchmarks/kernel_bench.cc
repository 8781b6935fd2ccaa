// Compiled right-hand sides against the same equations in C++, and the time to compile.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "engine/codegen/compiler.h"
#include "engine/model/function_builder.h"
#include "engine/model/model.h"
#include "tests/benchmarks/reference_fields.h"
#include "tests/benchmarks/report.h"

namespace costate {
namespace {

template <typename T>
T OrDie(absl::StatusOr<T> result) {
  if (!result.ok()) {
    std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(result);
}

ModelIr LoadProblem(const std::string& name) {
  std::ifstream file(std::string(COSTATE_SOURCE_DIR) + "/tests/problems/" + name + ".ode");
  std::stringstream text;
  text << file.rdbuf();
  ParsedModel parsed = ParseModel(text.str());
  if (!parsed.ok()) {
    std::fprintf(stderr, "cannot read the model %s\n", name.c_str());
    std::exit(1);
  }
  return std::move(parsed.ir);
}

std::unique_ptr<Compiler> FreshCompiler() { return OrDie(MakeCompiler({})); }

// State in the middle of things, the same in all lanes: [element][lane].
std::vector<double> Lanes(const std::vector<double>& values, int lanes) {
  std::vector<double> result;
  for (double value : values) result.insert(result.end(), lanes, value);
  return result;
}

void EvaluationTimes(BenchTable& table, const std::string& name, const std::vector<double>& y,
                     Kernel::Entry reference_entry) {
  const ModelIr model = LoadProblem(name);
  std::vector<double> p;
  for (const TensorInfo& param : model.params) {
    p.insert(p.end(), param.defaults.begin(), param.defaults.end());
  }
  const auto compiler = FreshCompiler();
  const Kernel reference(reference_entry, nullptr, nullptr, 1, 0);
  const double time = 0.5;
  std::vector<double> dy_reference(y.size());
  const double* reference_inputs[] = {&time, y.data(), p.data()};
  double* reference_outputs[] = {dy_reference.data()};
  for (const int lanes : {1, compiler->simd_lanes()}) {
    const Kernel kernel = OrDie(compiler->Build(model.rhs, {.lanes = lanes}));
    const std::vector<double> t(lanes, time), ys = Lanes(y, lanes), ps = Lanes(p, lanes);
    std::vector<double> dy(y.size() * lanes), scratch(kernel.scratch_size());
    const double* inputs[] = {t.data(), ys.data(), ps.data()};
    double* outputs[] = {dy.data()};
    const PairedTimes times =
        MedianPair([&] { kernel(inputs, outputs, scratch.data()); },
                   [&] { reference(reference_inputs, reference_outputs, nullptr); });
    table.Row(name + " right-hand side, W = " + std::to_string(lanes) + ", per trajectory",
              times.first_ns / lanes, "ns", "the same in C++", times.second_ns,
              lanes == 1 ? "<= 1.1x" : "<= 0.45x");
  }
}

// y_i' = (1/(1 + exp(-(v + p_i)/5)) - y_i)/(1 + p_i), v = y_0, written out equation by equation.
Function ScalarEquations(int64_t n) {
  FunctionBuilder b("rhs", {{"t", 1}, {"y", n}, {"p", n}}, {{"dy", n}});
  const ValueId one = b.Constant(1.0);
  const ValueId v = b.Input(kStateBuffer, 0, {});
  for (int64_t i = 0; i < n; ++i) {
    const ValueId p = b.Input(kParamBuffer, i, {});
    const ValueId minus = b.Unary(Op::kNeg, b.Binary(Op::kAdd, v, p));
    const ValueId e = b.Unary(Op::kExp, b.Binary(Op::kDiv, minus, b.Constant(5.0)));
    const ValueId gate = b.Binary(Op::kDiv, one, b.Binary(Op::kAdd, one, e));
    const ValueId distance = b.Binary(Op::kSub, gate, b.Input(kStateBuffer, i, {}));
    b.Result(b.Binary(Op::kDiv, distance, b.Binary(Op::kAdd, one, p)), 0, i);
  }
  return std::move(b).Build();
}

double BuildMilliseconds(Compiler& compiler, const Function& function, int lanes) {
  const auto start = std::chrono::steady_clock::now();
  OrDie(compiler.Build(function, {.lanes = lanes}));
  return 1e3 * SecondsSince(start);
}

void CompileTimes(BenchTable& table) {
  const Function sir = LoadProblem("sir").rhs;
  std::vector<double> first, cached;
  for (int round = 0; round < 9; ++round) {
    const auto compiler = FreshCompiler();
    first.push_back(BuildMilliseconds(*compiler, sir, 1));
    cached.push_back(BuildMilliseconds(*compiler, sir, 1));
  }
  std::nth_element(first.begin(), first.begin() + 4, first.end());
  std::nth_element(cached.begin(), cached.begin() + 4, cached.end());
  table.Row("compile SIR", first[4], "ms", "", 0, "< 30 ms");
  table.Row("SIR again", cached[4], "ms", "", 0, "< 1 ms");
  for (const int lanes : {1, FreshCompiler()->simd_lanes()}) {
    double per_equation = 0;
    for (const int64_t n : {100, 1000, 5000}) {
      const Function function = ScalarEquations(n);
      const auto compiler = FreshCompiler();
      const double ms = BuildMilliseconds(*compiler, function, lanes);
      const std::string what =
          "compile " + std::to_string(n) + " equations, W = " + std::to_string(lanes);
      table.Row(what, ms, "ms", n == 100 ? "" : "linear in n from 100", n * per_equation,
                n == 5000  ? "<= 1.5x, < 8000 ms"
                : n == 100 ? ""
                           : "<= 1.5x");
      if (n == 100) per_equation = ms / 100;
      if (n < 5000) continue;
      table.Row(what + ", again", BuildMilliseconds(*compiler, function, lanes), "ms", "", 0,
                "< 1 ms");
    }
  }
}

void EquationTimes(BenchTable& table) {
  constexpr int64_t kSize = 1000;
  const auto compiler = FreshCompiler();
  const Function function = ScalarEquations(kSize);
  for (const int lanes : {1, compiler->simd_lanes()}) {
    const Kernel kernel = OrDie(compiler->Build(function, {.lanes = lanes}));
    const std::vector<double> t(lanes, 0), y(kSize * lanes, 0.3), p(kSize * lanes, 0.7);
    std::vector<double> dy(kSize * lanes), scratch(kernel.scratch_size());
    const double* inputs[] = {t.data(), y.data(), p.data()};
    double* outputs[] = {dy.data()};
    const double ns = MedianNanoseconds([&] { kernel(inputs, outputs, scratch.data()); });
    table.Row("one of 1000 sigmoid equations, W = " + std::to_string(lanes), ns / (kSize * lanes),
              "ns", "", 0, "");
  }
}

void Main() {
  BenchTable table("kernels");
  EvaluationTimes(table, "lorenz", {1.2, -3.4, 20}, ReferenceLorenz);
  EvaluationTimes(table, "sir", {500, 200, 63}, ReferenceSir);
  EvaluationTimes(table, "neuron",
                  {-45, 0.5, 0.1, 0.4, 0.2, 0.3, 0.2, 0.3, 0.1, 0.2, 0.3, 0.1, 0.2},
                  ReferenceNeuron);
  EquationTimes(table);
  CompileTimes(table);
}

}  // namespace
}  // namespace costate

int main() { costate::Main(); }
