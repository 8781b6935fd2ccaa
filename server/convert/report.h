// Gradient reports to the wire.
#ifndef COSTATE_SERVER_CONVERT_REPORT_H_
#define COSTATE_SERVER_CONVERT_REPORT_H_

#include "costate/v1/gradient.pb.h"
#include "engine/gradients/report.h"

namespace costate {

void GradientReportToProto(const GradientReport& report, v1::GradientReport* proto);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_REPORT_H_
