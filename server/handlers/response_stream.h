// Where a streaming handler sends its messages.
#ifndef COSTATE_SERVER_HANDLERS_RESPONSE_STREAM_H_
#define COSTATE_SERVER_HANDLERS_RESPONSE_STREAM_H_

#include "absl/status/status.h"

namespace costate {

// Thread-safety: one thread, the one that works on the call.
template <typename Message>
class ResponseStream {
 public:
  virtual ~ResponseStream() = default;

  // Sends a message; waits while the one before is in flight. An error means that nobody listens
  // any more, or that the reader took nothing for too long: the handler should stop.
  virtual absl::Status Write(const Message& message) = 0;

  // Whether Write would wait.
  virtual bool busy() const = 0;
};

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_RESPONSE_STREAM_H_
