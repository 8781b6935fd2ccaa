// One function evaluated in every way the compiler has.
#ifndef COSTATE_TESTS_ENGINE_CODEGEN_EVERY_WAY_H_
#define COSTATE_TESTS_ENGINE_CODEGEN_EVERY_WAY_H_

#include <memory>
#include <vector>

#include "engine/codegen/compiler.h"
#include "engine/model/ir.h"
#include "tests/engine/codegen/evaluation.h"

namespace costate {

// Compilers that differ in lanes, block size, what they keep in registers, and target.
class EveryWay {
 public:
  EveryWay();

  // Runs `function` on the inputs of up to eight lanes alone, in lanes and with choices of uniform
  // inputs (every one, by the first compiler), and expects the same bits throughout. Returns the
  // outputs of each lane. With fewer inputs than lanes the inputs repeat.
  std::vector<Buffers> Run(const Function& function, const std::vector<Buffers>& inputs);

 private:
  void RunOne(Compiler& compiler, const Function& function, const std::vector<Buffers>& inputs,
              const std::vector<Buffers>& expected, uint64_t uniform_inputs);

  std::vector<std::unique_ptr<Compiler>> compilers_;
};

}  // namespace costate

#endif  // COSTATE_TESTS_ENGINE_CODEGEN_EVERY_WAY_H_
