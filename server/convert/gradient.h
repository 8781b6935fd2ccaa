// Gradients and products to the wire.
#ifndef COSTATE_SERVER_CONVERT_GRADIENT_H_
#define COSTATE_SERVER_CONVERT_GRADIENT_H_

#include <string>
#include <vector>

#include "costate/v1/gradient.pb.h"
#include "engine/engine.h"
#include "engine/kept_solve.h"
#include "server/convert/solve.h"

namespace costate {

std::vector<std::string> NamesFromProto(
    const google::protobuf::RepeatedPtrField<std::string>& names);

// What an answer has only on request.
struct WantedParts {
  bool saved = false;
  bool times = false;
  bool report = false;
};

// Everything but resource name and timing. `gradient_options` of an answer holds those of the
// request already.
void GradientResultToProto(const GradientResult& result, const ModelInWords& words,
                           const WantedParts& wanted, v1::ComputeGradientResponse* proto);
void VjpResultToProto(const VjpResult& result, const ModelInWords& words,
                      v1::ComputeVjpResponse* proto);
// Everything but names, times, sizes and timing.
void KeptSolveToProto(const KeptSolve& kept, const ModelInWords& words,
                      v1::KeepSolveResponse* proto);
void JvpResultToProto(const JvpResult& result, const ModelInWords& words,
                      v1::ComputeJvpResponse* proto);
void SensitivityResultToProto(const SensitivityResult& result, const ModelInWords& words,
                              v1::ComputeSensitivitiesResponse* proto);
void HvpResultToProto(const HvpResult& result, const ModelInWords& words,
                      v1::ComputeHvpResponse* proto);
void CheckResultToProto(const CheckResult& result, const ModelInWords& words,
                        v1::CheckGradientResponse* proto);

}  // namespace costate

#endif  // COSTATE_SERVER_CONVERT_GRADIENT_H_
