#include "server/validate/wire_scan.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/wire_format_lite.h"

namespace costate {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

// Deeper than any message of the API nests.
constexpr size_t kMaxDepth = 64;

absl::Status Malformed() {
  return absl::InvalidArgumentError("malformed message: not a valid protocol buffer");
}

// A message that is being walked, and where the one around it goes on.
struct Frame {
  const Descriptor* descriptor;
  CodedInputStream::Limit outer_limit;
};

class Scanner {
 public:
  Scanner(CodedInputStream* input, const WireLimits& limits) : input_(input), limits_(limits) {}

  absl::Status Scan(const Descriptor& descriptor) {
    stack_.push_back({&descriptor, 0});
    while (true) {
      const uint32_t tag = input_->ReadTag();
      if (tag != 0) {
        if (absl::Status status = Field(tag); !status.ok()) return status;
        continue;
      }
      if (!input_->ConsumedEntireMessage()) return Malformed();
      if (stack_.size() == 1) return absl::OkStatus();
      input_->PopLimit(stack_.back().outer_limit);
      stack_.pop_back();
    }
  }

 private:
  absl::Status Field(uint32_t tag) {
    const FieldDescriptor* field =
        stack_.back().descriptor->FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    const auto wire_type = WireFormatLite::GetTagWireType(tag);
    if (field == nullptr && ++num_unknown_ > limits_.max_unknown_fields) {
      return absl::InvalidArgumentError(absl::StrCat("message: got more than ",
                                                     limits_.max_unknown_fields,
                                                     " fields this server does not know"));
    }
    if (field != nullptr && field->type() == FieldDescriptor::TYPE_MESSAGE &&
        wire_type == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      return Enter(*field->message_type());
    }
    return WireFormatLite::SkipField(input_, tag) ? absl::OkStatus() : Malformed();
  }

  absl::Status Enter(const Descriptor& descriptor) {
    if (++num_submessages_ > limits_.max_submessages) {
      return absl::InvalidArgumentError(
          absl::StrCat("message: got more than ", limits_.max_submessages, " submessages"));
    }
    int length;
    if (stack_.size() >= kMaxDepth || !input_->ReadVarintSizeAsInt(&length)) return Malformed();
    if (const int left = input_->BytesUntilLimit(); left >= 0 && length > left) return Malformed();
    stack_.push_back({&descriptor, input_->PushLimit(length)});
    return absl::OkStatus();
  }

  CodedInputStream* input_;
  WireLimits limits_;
  std::vector<Frame> stack_;
  int64_t num_submessages_ = 0;
  int64_t num_unknown_ = 0;
};

}  // namespace

absl::Status ScanMessage(CodedInputStream* input, int size, const Descriptor& descriptor,
                         const WireLimits& limits) {
  input->PushLimit(size);
  return Scanner(input, limits).Scan(descriptor);
}

}  // namespace costate
