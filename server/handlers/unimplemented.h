// RPCs that are declared on the wire and not built yet.
#ifndef COSTATE_SERVER_HANDLERS_UNIMPLEMENTED_H_
#define COSTATE_SERVER_HANDLERS_UNIMPLEMENTED_H_

#include <string_view>

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace costate {

struct UnimplementedMethod {
  const char* method;   // "costate.v1.JobService/CreateJob"
  const char* instead;  // what works today
};

absl::Span<const UnimplementedMethod> UnimplementedMethods();

// UNIMPLEMENTED, saying what works instead.
absl::Status UnimplementedStatus(std::string_view method);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_UNIMPLEMENTED_H_
