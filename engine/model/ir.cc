#include "engine/model/ir.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace costate {
namespace {

struct OpRow {
  std::string_view name;
  OpClass op_class;
  int operands;
  int attributes;
};

constexpr std::array<OpRow, kNumOps> kOps = {{
#define COSTATE_OP_ROW(enumerator, name, op_class, operands, attributes) \
  OpRow{name, OpClass::op_class, operands, attributes},
    COSTATE_OP_LIST(COSTATE_OP_ROW)
#undef COSTATE_OP_ROW
}};

const OpRow& RowOf(Op op) { return kOps[static_cast<size_t>(op)]; }

}  // namespace

std::string_view OpName(Op op) { return RowOf(op).name; }

std::optional<Op> FindOp(std::string_view name) {
  for (int i = 0; i < kNumOps; ++i) {
    if (kOps[i].name == name) return static_cast<Op>(i);
  }
  return std::nullopt;
}

OpClass ClassOf(Op op) { return RowOf(op).op_class; }

int NumOperands(Op op) { return RowOf(op).operands; }

int NumAttributes(Op op) { return RowOf(op).attributes; }

bool IsElementwise(Op op) {
  switch (ClassOf(op)) {
    case OpClass::Unary:
    case OpClass::Binary:
    case OpClass::Compare:
    case OpClass::Logic:
    case OpClass::Select:
      return true;
    case OpClass::Leaf:
    case OpClass::Structure:
    case OpClass::Contract:
      return false;
  }
  return false;
}

int64_t NumElements(const Shape& shape) {
  int64_t product = 1;
  for (int64_t extent : shape) product *= extent;
  return product;
}

std::string ShapeToString(const Shape& shape) {
  return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
}

}  // namespace costate
