#include "server/convert/options.h"

#include "server/convert/array.h"

namespace costate {
namespace {

StepControl::Controller ControllerFromProto(v1::Controller controller) {
  switch (controller) {
    case v1::CONTROLLER_I:
      return StepControl::Controller::kI;
    case v1::CONTROLLER_PID:
      return StepControl::Controller::kPID;
    case v1::CONTROLLER_UNSPECIFIED:
    case v1::CONTROLLER_PI:
    case v1::Controller_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Controller_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return StepControl::Controller::kPI;
}

v1::Controller ControllerToProto(StepControl::Controller controller) {
  switch (controller) {
    case StepControl::Controller::kI:
      return v1::CONTROLLER_I;
    case StepControl::Controller::kPI:
      return v1::CONTROLLER_PI;
    case StepControl::Controller::kPID:
      return v1::CONTROLLER_PID;
  }
  return v1::CONTROLLER_UNSPECIFIED;
}

void AdaptiveFromProto(const v1::AdaptiveSteps& proto, StepControl* control) {
  if (proto.has_rtol()) control->rtol = proto.rtol();
  if (proto.atol_size() > 0) control->atol.assign(proto.atol().begin(), proto.atol().end());
  control->controller = ControllerFromProto(proto.controller());
  if (proto.has_beta1()) control->beta1 = proto.beta1();
  if (proto.has_beta2()) control->beta2 = proto.beta2();
  if (proto.has_beta3()) control->beta3 = proto.beta3();
  if (proto.has_safety()) control->safety = proto.safety();
  if (proto.has_min_factor()) control->min_factor = proto.min_factor();
  if (proto.has_max_factor()) control->max_factor = proto.max_factor();
  if (proto.has_initial_step()) control->initial_step = proto.initial_step();
  if (proto.has_min_step()) control->min_step = proto.min_step();
  if (proto.has_max_step()) control->max_step = proto.max_step();
}

void AdaptiveToProto(const StepControl& control, v1::AdaptiveSteps* proto) {
  proto->set_rtol(control.rtol);
  proto->mutable_atol()->Assign(control.atol.begin(), control.atol.end());
  proto->set_controller(ControllerToProto(control.controller));
  if (control.beta1.has_value()) proto->set_beta1(*control.beta1);
  if (control.beta2.has_value()) proto->set_beta2(*control.beta2);
  if (control.beta3.has_value()) proto->set_beta3(*control.beta3);
  proto->set_safety(control.safety);
  proto->set_min_factor(control.min_factor);
  proto->set_max_factor(control.max_factor);
  if (control.initial_step.has_value()) proto->set_initial_step(*control.initial_step);
  proto->set_min_step(control.min_step);
  if (control.max_step.has_value()) proto->set_max_step(*control.max_step);
}

StepControl ControlFromProto(const v1::SolveOptions& proto) {
  StepControl control;
  switch (proto.control_case()) {
    case v1::SolveOptions::CONTROL_NOT_SET:
      break;
    case v1::SolveOptions::kAdaptive:
      AdaptiveFromProto(proto.adaptive(), &control);
      break;
    case v1::SolveOptions::kFixed:
      control.kind = StepControl::Kind::kFixed;
      control.fixed_step = proto.fixed().step();
      break;
    case v1::SolveOptions::kGrid:
      control.kind = StepControl::Kind::kGrid;
      control.grid = ValuesFromProto(proto.grid().times());
      break;
  }
  return control;
}

SaveAt SaveFromProto(const v1::SaveAt& proto) {
  SaveAt save;
  switch (proto.what_case()) {
    case v1::SaveAt::WHAT_NOT_SET:
    case v1::SaveAt::kEnd:
      break;
    case v1::SaveAt::kTimes:
      save.kind = SaveAt::Kind::kTimes;
      save.times = ValuesFromProto(proto.times().times());
      break;
    case v1::SaveAt::kEverySteps:
      save.kind = SaveAt::Kind::kSteps;
      save.every = proto.every_steps();
      break;
  }
  return save;
}

void SaveToProto(const SaveAt& save, v1::SaveAt* proto) {
  switch (save.kind) {
    case SaveAt::Kind::kEnd:
      proto->set_end(true);
      return;
    case SaveAt::Kind::kTimes:
      ArrayToProto(save.times, {static_cast<int64_t>(save.times.size())},
                   proto->mutable_times()->mutable_times());
      return;
    case SaveAt::Kind::kSteps:
      proto->set_every_steps(save.every);
      return;
  }
}

AdjointOptions AdjointFromProto(const v1::GradientOptions& proto) {
  AdjointOptions adjoint;
  if (proto.memory_budget_bytes() > 0) adjoint.memory_budget = proto.memory_budget_bytes();
  adjoint.checkpoints = proto.checkpoints();
  adjoint.segments = proto.segments();
  adjoint.checkpoint_every = proto.checkpoint_every();
  const v1::BackwardSolve& backward = proto.backward();
  if (backward.method() != v1::METHOD_UNSPECIFIED) {
    adjoint.backward_method = MethodFromProto(backward.method());
  }
  if (backward.has_rtol()) adjoint.backward_rtol = backward.rtol();
  if (backward.has_atol()) adjoint.backward_atol = backward.atol();
  adjoint.seminorm = backward.seminorm();
  return adjoint;
}

}  // namespace

Method MethodFromProto(v1::Method method) {
  switch (method) {
    case v1::METHOD_EULER:
      return Method::kEuler;
    case v1::METHOD_MIDPOINT:
      return Method::kMidpoint;
    case v1::METHOD_HEUN:
      return Method::kHeun;
    case v1::METHOD_RALSTON2:
      return Method::kRalston2;
    case v1::METHOD_RALSTON3:
      return Method::kRalston3;
    case v1::METHOD_BOSH3:
      return Method::kBosh3;
    case v1::METHOD_RK4:
      return Method::kRk4;
    case v1::METHOD_TSIT5:
      return Method::kTsit5;
    case v1::METHOD_DOPRI5:
      return Method::kDopri5;
    case v1::METHOD_DOPRI8:
      return Method::kDopri8;
    case v1::METHOD_EES25:
      return Method::kEes25;
    case v1::METHOD_EES27:
      return Method::kEes27;
    case v1::METHOD_ALF:
      return Method::kAlf;
    case v1::METHOD_REVERSIBLE_HEUN:
      return Method::kReversibleHeun;
    case v1::METHOD_LEAPFROG_MIDPOINT:
      return Method::kLeapfrogMidpoint;
    case v1::METHOD_UNSPECIFIED:
    case v1::Method_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::Method_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return Method::kTsit5;
}

v1::Method MethodToProto(Method method) {
  switch (method) {
    case Method::kEuler:
      return v1::METHOD_EULER;
    case Method::kMidpoint:
      return v1::METHOD_MIDPOINT;
    case Method::kHeun:
      return v1::METHOD_HEUN;
    case Method::kRalston2:
      return v1::METHOD_RALSTON2;
    case Method::kRalston3:
      return v1::METHOD_RALSTON3;
    case Method::kBosh3:
      return v1::METHOD_BOSH3;
    case Method::kRk4:
      return v1::METHOD_RK4;
    case Method::kTsit5:
      return v1::METHOD_TSIT5;
    case Method::kDopri5:
      return v1::METHOD_DOPRI5;
    case Method::kDopri8:
      return v1::METHOD_DOPRI8;
    case Method::kEes25:
      return v1::METHOD_EES25;
    case Method::kEes27:
      return v1::METHOD_EES27;
    case Method::kAlf:
      return v1::METHOD_ALF;
    case Method::kReversibleHeun:
      return v1::METHOD_REVERSIBLE_HEUN;
    case Method::kLeapfrogMidpoint:
      return v1::METHOD_LEAPFROG_MIDPOINT;
  }
  return v1::METHOD_UNSPECIFIED;
}

google::protobuf::Duration DurationToProto(absl::Duration duration) {
  google::protobuf::Duration proto;
  proto.set_seconds(absl::ToInt64Seconds(duration));
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration % absl::Seconds(1))));
  return proto;
}

absl::Duration DurationFromProto(const google::protobuf::Duration& proto) {
  return absl::Seconds(proto.seconds()) + absl::Nanoseconds(proto.nanos());
}

google::protobuf::Timestamp TimestampToProto(absl::Time time) {
  const absl::Duration since_epoch = time - absl::UnixEpoch();
  google::protobuf::Timestamp proto;
  proto.set_seconds(absl::ToInt64Seconds(since_epoch));
  proto.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(since_epoch % absl::Seconds(1))));
  return proto;
}

SolveOptions SolveOptionsFromProto(const v1::SolveOptions& proto, bool* method_auto) {
  SolveOptions options;
  *method_auto = proto.method() == v1::METHOD_UNSPECIFIED;
  options.method = MethodFromProto(proto.method());
  if (proto.has_coupling()) options.coupling = proto.coupling();
  if (proto.has_eta()) options.eta = proto.eta();
  options.control = ControlFromProto(proto);
  options.save = SaveFromProto(proto.save());
  if (proto.max_steps() > 0) options.max_steps = proto.max_steps();
  if (proto.has_wall_budget()) {
    options.wall_budget = DurationFromProto(proto.wall_budget());
  }
  options.return_grid = proto.return_grid();
  options.lanes = proto.lanes();
  return options;
}

void SolveOptionsToProto(const SolveOptions& options, v1::SolveOptions* proto) {
  proto->set_method(MethodToProto(options.method));
  if (options.coupling.has_value()) proto->set_coupling(*options.coupling);
  if (options.method == Method::kAlf) proto->set_eta(options.eta);
  switch (options.control.kind) {
    case StepControl::Kind::kAdaptive:
      AdaptiveToProto(options.control, proto->mutable_adaptive());
      break;
    case StepControl::Kind::kFixed:
      proto->mutable_fixed()->set_step(options.control.fixed_step.value_or(0));
      break;
    case StepControl::Kind::kGrid:
      ArrayToProto(options.control.grid, {static_cast<int64_t>(options.control.grid.size())},
                   proto->mutable_grid()->mutable_times());
      break;
  }
  SaveToProto(options.save, proto->mutable_save());
  proto->set_max_steps(options.max_steps);
  if (options.wall_budget != absl::InfiniteDuration()) {
    *proto->mutable_wall_budget() = DurationToProto(options.wall_budget);
  }
  proto->set_return_grid(options.return_grid);
  proto->set_lanes(options.lanes);
}

GradientOptions GradientOptionsFromProto(const v1::GradientOptions& proto) {
  GradientOptions options;
  options.method = GradientMethodFromProto(proto.method());
  options.tangent_control = TangentControlFromProto(proto.tangent_control());
  options.adjoint = AdjointFromProto(proto);
  options.want_times = proto.want_time_gradient();
  options.difference.frozen_grid = proto.difference().frozen_grid();
  if (proto.difference().has_step()) options.difference.step = proto.difference().step();
  return options;
}

ReportOptions ReportOptionsFromProto(const v1::ReportOptions& proto) {
  ReportOptions options;
  options.wanted = proto.level() != v1::ReportOptions::LEVEL_OFF;
  options.tolerance_refinement = proto.tolerance_refinement();
  options.second_method = proto.second_method();
  options.directional_difference = proto.directional_difference();
  options.growth = proto.growth();
  options.linear_range = proto.linear_range();
  options.every = proto.every();
  return options;
}

GradientMethod GradientMethodFromProto(v1::GradientMethod method) {
  switch (method) {
    case v1::GRADIENT_METHOD_FORWARD:
      return GradientMethod::kForward;
    case v1::GRADIENT_METHOD_BACKPROP:
      return GradientMethod::kBackprop;
    case v1::GRADIENT_METHOD_CHECKPOINTED:
      return GradientMethod::kCheckpointed;
    case v1::GRADIENT_METHOD_SEGMENTED:
      return GradientMethod::kSegmented;
    case v1::GRADIENT_METHOD_BACKSOLVE:
      return GradientMethod::kBacksolve;
    case v1::GRADIENT_METHOD_INTERPOLATING:
      return GradientMethod::kInterpolating;
    case v1::GRADIENT_METHOD_QUADRATURE:
      return GradientMethod::kQuadrature;
    case v1::GRADIENT_METHOD_GAUSS:
      return GradientMethod::kGauss;
    case v1::GRADIENT_METHOD_FINITE_DIFFERENCE:
      return GradientMethod::kFiniteDifference;
    case v1::GRADIENT_METHOD_COMPLEX_STEP:
      return GradientMethod::kComplexStep;
    case v1::GRADIENT_METHOD_REVERSIBLE:
      return GradientMethod::kReversible;
    case v1::GRADIENT_METHOD_UNSPECIFIED:
    case v1::GradientMethod_INT_MIN_SENTINEL_DO_NOT_USE_:
    case v1::GradientMethod_INT_MAX_SENTINEL_DO_NOT_USE_:
      break;
  }
  return GradientMethod::kAuto;
}

TangentControl TangentControlFromProto(v1::TangentControl control) {
  return control == v1::TANGENT_CONTROL_PRIMAL_ONLY ? TangentControl::kPrimalOnly
                                                    : TangentControl::kFull;
}

v1::TangentControl TangentControlToProto(TangentControl control) {
  switch (control) {
    case TangentControl::kFull:
      return v1::TANGENT_CONTROL_FULL;
    case TangentControl::kPrimalOnly:
      return v1::TANGENT_CONTROL_PRIMAL_ONLY;
  }
  return v1::TANGENT_CONTROL_UNSPECIFIED;
}

v1::GradientMethod GradientMethodToProto(GradientMethod method) {
  switch (method) {
    case GradientMethod::kAuto:
      return v1::GRADIENT_METHOD_UNSPECIFIED;
    case GradientMethod::kForward:
      return v1::GRADIENT_METHOD_FORWARD;
    case GradientMethod::kBackprop:
      return v1::GRADIENT_METHOD_BACKPROP;
    case GradientMethod::kCheckpointed:
      return v1::GRADIENT_METHOD_CHECKPOINTED;
    case GradientMethod::kSegmented:
      return v1::GRADIENT_METHOD_SEGMENTED;
    case GradientMethod::kReversible:
      return v1::GRADIENT_METHOD_REVERSIBLE;
    case GradientMethod::kBacksolve:
      return v1::GRADIENT_METHOD_BACKSOLVE;
    case GradientMethod::kInterpolating:
      return v1::GRADIENT_METHOD_INTERPOLATING;
    case GradientMethod::kQuadrature:
      return v1::GRADIENT_METHOD_QUADRATURE;
    case GradientMethod::kGauss:
      return v1::GRADIENT_METHOD_GAUSS;
    case GradientMethod::kFiniteDifference:
      return v1::GRADIENT_METHOD_FINITE_DIFFERENCE;
    case GradientMethod::kComplexStep:
      return v1::GRADIENT_METHOD_COMPLEX_STEP;
  }
  return v1::GRADIENT_METHOD_UNSPECIFIED;
}

}  // namespace costate
