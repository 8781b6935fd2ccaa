// Answers of gradient calls, whether they solve or use a kept solve.
#ifndef COSTATE_SERVER_HANDLERS_GRADIENT_ANSWER_H_
#define COSTATE_SERVER_HANDLERS_GRADIENT_ANSWER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "costate/v1/gradient.pb.h"
#include "engine/base/status_macros.h"
#include "engine/engine.h"
#include "server/call.h"
#include "server/convert/gradient.h"
#include "server/convert/solve.h"
#include "server/handlers/answer.h"

namespace costate {

// Columns of `wrt` by name; unknown names are found by the engine.
int64_t CountColumns(const ModelIr& ir, const std::vector<std::string>& wrt);

// What to do about a gradient that does not fit into a message.
inline constexpr char kFewerTrajectories[] =
    "use fewer trajectories or columns at once, or leave out saved values and reports";

// `gradient_options` of `response` holds those that were asked for. After EndOfEngine.
absl::Status AnswerGradient(CallContext& call, const GradientResult& result,
                            const ModelInWords& words, const WantedParts& wanted,
                            v1::ComputeGradientResponse* response);

// A result of one trajectory goes into an answer of its own kind. After EndOfEngine.
template <typename Result, typename Response>
absl::Status Answer(CallContext& call, const Result& result, const ModelInWords& words,
                    void (*convert)(const Result&, const ModelInWords&, Response*),
                    Response* response) {
  convert(result, words, response);
  response->set_model(words.model.resource_name());
  TimingToProto(call, response->mutable_timing());
  return CheckAnswerFits(call, static_cast<double>(response->ByteSizeLong()),
                         "save fewer times or ask for fewer columns at once");
}

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_GRADIENT_ANSWER_H_
