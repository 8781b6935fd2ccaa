#include <array>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/reversible/coupled.h"
#include "engine/solvers/reversible/near_inverse.h"
#include "engine/solvers/reversible/one_evaluation.h"
#include "engine/solvers/rk/bosh3.h"
#include "engine/solvers/rk/dopri5.h"
#include "engine/solvers/rk/dopri8.h"
#include "engine/solvers/rk/ees25.h"
#include "engine/solvers/rk/ees27.h"
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

// Calls visit.template operator()<Table>() with the table of `method`, which has one.
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
    case Method::kEes25:
      return visit.template operator()<rk::Ees25>();
    case Method::kEes27:
      return visit.template operator()<rk::Ees27>();
    case Method::kAlf:
    case Method::kReversibleHeun:
    case Method::kLeapfrogMidpoint:
      break;
  }
  return visit.template operator()<rk::Euler>();
}

bool HasTable(Method method) {
  switch (method) {
    case Method::kAlf:
    case Method::kReversibleHeun:
    case Method::kLeapfrogMidpoint:
      return false;
    case Method::kEuler:
    case Method::kMidpoint:
    case Method::kHeun:
    case Method::kRalston2:
    case Method::kRalston3:
    case Method::kBosh3:
    case Method::kRk4:
    case Method::kTsit5:
    case Method::kDopri5:
    case Method::kDopri8:
    case Method::kEes25:
    case Method::kEes27:
      return true;
  }
  return false;
}

template <typename T>
constexpr MethodInfo CoupledInfo() {
  MethodInfo info = rk::InfoOf<T>();
  info.stages = reversible::CoupledStages(info.stages);
  info.fsal = false;
  info.carried = 2;
  info.reversal = Reversal::kExact;
  info.evaluations = 2 * T::kStages;
  return info;
}

template <typename T>
constexpr MethodInfo kInfo = rk::InfoOf<T>();
template <typename T>
constexpr MethodInfo kCoupledInfo = CoupledInfo<T>();

constexpr std::array kMethods = {
    Method::kEuler,    Method::kMidpoint,       Method::kHeun,
    Method::kRalston2, Method::kRalston3,       Method::kBosh3,
    Method::kRk4,      Method::kTsit5,          Method::kDopri5,
    Method::kDopri8,   Method::kEes25,          Method::kEes27,
    Method::kAlf,      Method::kReversibleHeun, Method::kLeapfrogMidpoint};
constexpr size_t kNumTables = 12;

}  // namespace

const MethodInfo& GetMethodInfo(const Scheme& scheme) {
  if (!HasTable(scheme.method)) return reversible::InfoOf(scheme);
  return *VisitTable(scheme.method, [&]<typename T>() {
    return scheme.coupling.has_value() ? &kCoupledInfo<T> : &kInfo<T>;
  });
}

absl::Span<const Method> RungeKuttaMethods() {
  return absl::MakeConstSpan(kMethods).first(kNumTables);
}
absl::Span<const Method> AllMethods() { return kMethods; }

absl::Status ValidateScheme(const Scheme& scheme) {
  const std::string name(GetMethodInfo(scheme.method).name);
  if (scheme.coupling.has_value()) {
    if (!HasTable(scheme.method)) {
      return FieldError("coupling", absl::StrCat(*scheme.coupling),
                        absl::StrCat("nothing: ", name, " is reversible by itself"));
    }
    if (!(*scheme.coupling > 0 && *scheme.coupling <= 1)) {
      return FieldError("coupling", absl::StrCat(*scheme.coupling), "a number in (0, 1]");
    }
  }
  if (scheme.method != Method::kAlf && scheme.eta != 1) {
    return FieldError("eta", absl::StrCat(scheme.eta),
                      absl::StrCat("nothing: ", name, " has no damping, alf has"));
  }
  if (!(scheme.eta > 0 && scheme.eta <= 1) || scheme.eta == 0.5) {
    return FieldError("eta", absl::StrCat(scheme.eta),
                      "a number in (0, 1] other than 0.5, which cannot be undone");
  }
  return absl::OkStatus();
}

namespace {

absl::Status CheckLanes(const VectorField& field, int lanes) {
  if (lanes == 1 || lanes == field.simd_lanes()) return absl::OkStatus();
  return FieldError("lanes", absl::StrCat(lanes), absl::StrCat("1 or ", field.simd_lanes()));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Stepper>> MakeStepper(const Scheme& scheme, const VectorField& field,
                                                     int lanes) {
  RETURN_IF_ERROR(CheckLanes(field, lanes));
  if (!HasTable(scheme.method)) {
    return reversible::MakeOneEvaluationStepper(scheme, field, lanes);
  }
  if (scheme.coupling.has_value()) return reversible::MakeCoupledStepper(scheme, field, lanes);
  return VisitTable(scheme.method,
                    [&]<typename T>() { return rk::MakeErkStepper<T>(field, lanes); });
}

absl::StatusOr<std::unique_ptr<StepInverse>> MakeStepInverse(const Scheme& scheme,
                                                             const VectorField& field, int lanes) {
  RETURN_IF_ERROR(CheckLanes(field, lanes));
  if (!HasTable(scheme.method)) return reversible::MakeOneEvaluationInverse(scheme, field, lanes);
  if (scheme.coupling.has_value()) return reversible::MakeCoupledInverse(scheme, field, lanes);
  if (GetMethodInfo(scheme).reversal == Reversal::kNear) {
    return reversible::MakeNearInverse(scheme.method, field, lanes);
  }
  return absl::InvalidArgumentError(absl::StrCat(std::string(GetMethodInfo(scheme).name),
                                                 " has no way back; give it a coupling"));
}

absl::StatusOr<std::unique_ptr<StepReplay>> MakeStepReplay(const Scheme& scheme,
                                                           const VectorField& field,
                                                           const ReplayUse& use) {
  if (!HasTable(scheme.method)) return reversible::MakeOneEvaluationReplay(scheme, field, use);
  if (scheme.coupling.has_value()) return reversible::MakeCoupledReplay(scheme, field, use);
  return VisitTable(scheme.method, [&]<typename T>() { return rk::MakeErkReplay<T>(field, use); });
}

absl::StatusOr<std::unique_ptr<LaneReplay>> MakeLaneReplay(const Scheme& scheme,
                                                           const VectorField& field) {
  if (field.simd_lanes() == 1) {
    return absl::InvalidArgumentError("one lane has nothing to share");
  }
  if (!HasTable(scheme.method)) return reversible::MakeOneEvaluationLaneReplay(scheme, field);
  if (scheme.coupling.has_value()) return reversible::MakeCoupledLaneReplay(scheme, field);
  return VisitTable(scheme.method, [&]<typename T>() { return rk::MakeErkLaneReplay<T>(field); });
}

rk::TableauView rk::GetTableau(Method method) {
  return VisitTable(method, []<typename T>() { return ViewOf<T>(); });
}

}  // namespace costate
