// Judges the bytes of a message before it is parsed, so that a small message cannot become a
// large object.
#ifndef COSTATE_SERVER_VALIDATE_WIRE_SCAN_H_
#define COSTATE_SERVER_VALIDATE_WIRE_SCAN_H_

#include <cstdint>

#include "absl/status/status.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/coded_stream.h"

namespace costate {

struct WireLimits {
  int64_t max_submessages;     // fields of message type, at every depth
  int64_t max_unknown_fields;  // fields the descriptor does not know
};

// Walks the wire format of a message of type `descriptor` in one pass, in constant memory and
// without recursion past the nesting of the message types. INVALID_ARGUMENT for malformed bytes
// and for counts past the limits. `input` stands at the start of the message, which is `size` bytes
// long.
absl::Status ScanMessage(google::protobuf::io::CodedInputStream* input, int size,
                         const google::protobuf::Descriptor& descriptor, const WireLimits& limits);

}  // namespace costate

#endif  // COSTATE_SERVER_VALIDATE_WIRE_SCAN_H_
