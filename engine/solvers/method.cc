#include <array>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/solvers/rk/bosh3.h"
#include "engine/solvers/rk/dopri5.h"
#include "engine/solvers/rk/dopri8.h"
#include "engine/solvers/rk/erk.h"
#include "engine/solvers/rk/euler.h"
#include "engine/solvers/rk/heun.h"
#include "engine/solvers/rk/midpoint.h"
#include "engine/solvers/rk/ralston2.h"
#include "engine/solvers/rk/ralston3.h"
#include "engine/solvers/rk/rk4.h"
#include "engine/solvers/rk/tsit5.h"
#include "engine/solvers/stepper.h"

namespace costate {
namespace {

// Calls visit.template operator()<Table>() with the table of `method`.
template <typename Visitor>
auto VisitTable(Method method, const Visitor& visit) {
  switch (method) {
    case Method::kEuler:
      break;
    case Method::kMidpoint:
      return visit.template operator()<rk::Midpoint>();
    case Method::kHeun:
      return visit.template operator()<rk::Heun>();
    case Method::kRalston2:
      return visit.template operator()<rk::Ralston2>();
    case Method::kRalston3:
      return visit.template operator()<rk::Ralston3>();
    case Method::kBosh3:
      return visit.template operator()<rk::Bosh3>();
    case Method::kRk4:
      return visit.template operator()<rk::Rk4>();
    case Method::kTsit5:
      return visit.template operator()<rk::Tsit5>();
    case Method::kDopri5:
      return visit.template operator()<rk::Dopri5>();
    case Method::kDopri8:
      return visit.template operator()<rk::Dopri8>();
  }
  return visit.template operator()<rk::Euler>();
}

template <typename T>
constexpr MethodInfo kInfo = rk::InfoOf<T>();

}  // namespace

const MethodInfo& GetMethodInfo(Method method) {
  return *VisitTable(method, []<typename T>() { return &kInfo<T>; });
}

absl::Span<const Method> AllMethods() {
  static constexpr std::array kMethods = {
      Method::kEuler, Method::kMidpoint, Method::kHeun,  Method::kRalston2, Method::kRalston3,
      Method::kBosh3, Method::kRk4,      Method::kTsit5, Method::kDopri5,   Method::kDopri8};
  return kMethods;
}

absl::StatusOr<std::unique_ptr<Stepper>> MakeStepper(Method method, const VectorField& field,
                                                     int lanes) {
  if (lanes != 1 && lanes != field.simd_lanes()) {
    return FieldError("lanes", absl::StrCat(lanes), absl::StrCat("1 or ", field.simd_lanes()));
  }
  return VisitTable(method, [&]<typename T>() { return rk::MakeErkStepper<T>(field, lanes); });
}

absl::StatusOr<std::unique_ptr<StepReplay>> MakeStepReplay(Method method, const VectorField& field,
                                                           const ReplayUse& use) {
  return VisitTable(method, [&]<typename T>() { return rk::MakeErkReplay<T>(field, use); });
}

absl::StatusOr<std::unique_ptr<LaneReplay>> MakeLaneReplay(Method method,
                                                           const VectorField& field) {
  return VisitTable(method, [&]<typename T>() { return rk::MakeErkLaneReplay<T>(field); });
}

rk::TableauView rk::GetTableau(Method method) {
  return VisitTable(method, []<typename T>() { return ViewOf<T>(); });
}

}  // namespace costate
