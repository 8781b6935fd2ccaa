// Solve options and their enums.
#ifndef COSTATE_SERVER_CONVERT_OPTIONS_H_
#define COSTATE_SERVER_CONVERT_OPTIONS_H_

#include "costate/v1/gradient.pb.h"
#include "costate/v1/solve.pb.h"
#include "engine/engine.h"

namespace costate {

// Validated before; tsit5 where it is unspecified.
Method MethodFromProto(v1::Method method);
v1::Method MethodToProto(Method method);

// The defaults of engine/solvers/problem.h stand where the message is silent. Sets
// `method_auto` when the method is left to the engine.
SolveOptions SolveOptionsFromProto(const v1::SolveOptions& proto, bool* method_auto);
// Everything that is known, so that sending it back repeats the solve.
void SolveOptionsToProto(const SolveOptions& options, v1::SolveOptions* proto);

// Without the report.
GradientOptions GradientOptionsFromProto(const v1::GradientOptions& proto);
// Wanted unless it is off.
ReportOptions ReportOptionsFromProto(const v1::ReportOptions& proto);
// Validated before; kAuto where it is unspecified.
GradientMethod GradientMethodFromProto(v1::GradientMethod method);
TangentControl TangentControlFromProto(v1::TangentControl control);
v1::TangentControl TangentControlToProto(TangentControl control);
v1::GradientMethod GradientMethodToProto(GradientMethod method);

google::protobuf::Duration DurationToProto(absl::Duration duration);
// Validated before.
absl::Duration DurationFromProto(const google::protobuf::Duration& proto);
google::protobuf::Timestamp TimestampToProto(absl::Time time);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_OPTIONS_H_
