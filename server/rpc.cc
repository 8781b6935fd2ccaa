#include "server/rpc.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include "absl/strings/str_cat.h"
#include "google/protobuf/io/coded_stream.h"
#include "server/grpc_status.h"
#include "server/limits.h"
#include "server/validate/wire_scan.h"

namespace costate {
namespace internal {
namespace {

// Larger requests take long to read and check, so they wait with the batch work.
constexpr int64_t kInteractiveRequestBytes = int64_t{16} << 20;

ComputePool::TimePoint DeadlineOf(const Environment& environment,
                                  const grpc::CallbackServerContext& context) {
  const auto now = std::chrono::steady_clock::now();
  const ComputePool::TimePoint latest =
      now + absl::ToChronoNanoseconds(environment.options().max_deadline);
  if (context.deadline() == std::chrono::system_clock::time_point::max()) return latest;
  const auto left = context.deadline() - std::chrono::system_clock::now();
  return std::min(latest, now + std::chrono::duration_cast<std::chrono::nanoseconds>(left));
}

template <typename Reactor>
class Refusal : public Reactor {
 public:
  Refusal(Environment& environment, const RpcMethod& method, grpc::CallbackServerContext* context,
          absl::Status status)
      : environment_(environment), status_(std::move(status)) {
    options_.method = method.name;
    options_.peer = context->peer();
    this->Finish(FinalStatus(status_, context));
  }
  void OnDone() override {
    RecordAccess(environment_, options_, status_, CallRecord{}, arrival_);
    delete this;
  }

 private:
  Environment& environment_;
  CallOptions options_;
  const absl::Status status_;
  const ComputePool::TimePoint arrival_ = std::chrono::steady_clock::now();
};

double Milliseconds(absl::Duration duration) { return absl::ToDoubleMilliseconds(duration); }

}  // namespace

CallOptions MakeCallOptions(const Environment& environment, const RpcMethod& method,
                            grpc::CallbackServerContext* context, const grpc::ByteBuffer& request) {
  CallOptions options;
  options.method = method.name;
  options.peer = context->peer();
  options.deadline = DeadlineOf(environment, *context);
  options.request_bytes = static_cast<int64_t>(request.Length());
  options.task_class = options.request_bytes <= kInteractiveRequestBytes ? TaskClass::kInteractive
                                                                         : TaskClass::kBatch;
  return options;
}

absl::Status CheckRequestSize(const RpcMethod& method, int64_t bytes) {
  if (method.carries_arrays || bytes <= limits::kMaxControlMessageBytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "message: got ", bytes, " bytes, expected at most ", limits::kMaxControlMessageBytes));
}

absl::Status ParseRequest(grpc::ByteBuffer* buffer, google::protobuf::Message* message) {
  const size_t size = buffer->Length();
  if (size > static_cast<size_t>(std::numeric_limits<int>::max())) {
    return absl::ResourceExhaustedError("message: too large");
  }
  {
    grpc::ProtoBufferReader reader(buffer);
    google::protobuf::io::CodedInputStream input(&reader);
    absl::Status status = ScanMessage(&input, static_cast<int>(size), *message->GetDescriptor(),
                                      {limits::kMaxSubmessages, limits::kMaxUnknownFields});
    if (!status.ok()) return status;
  }
  bool parsed = false;
  {
    grpc::ProtoBufferReader reader(buffer);
    parsed = message->ParseFromZeroCopyStream(&reader);
  }
  buffer->Clear();
  if (parsed) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "malformed message: not a valid protocol buffer (texts must be UTF-8)");
}

absl::Status SerializeResponse(const google::protobuf::Message& message, grpc::ByteBuffer* buffer) {
  constexpr int kBlockBytes = 1 << 20;
  const size_t size = message.ByteSizeLong();
  if (size > static_cast<size_t>(std::numeric_limits<int>::max())) {
    return absl::ResourceExhaustedError("the answer is too large for a message");
  }
  grpc::ProtoBufferWriter writer(buffer, kBlockBytes, static_cast<int>(size));
  if (message.SerializeToZeroCopyStream(&writer)) return absl::OkStatus();
  return absl::InternalError("cannot serialise the answer");
}

Cancellation::Reason ReasonOfCancel(const grpc::CallbackServerContext& context) {
  constexpr std::chrono::milliseconds kClockSlack(2);
  const bool late = std::chrono::system_clock::now() + kClockSlack >= context.deadline();
  return late ? Cancellation::Reason::kDeadlineExceeded : Cancellation::Reason::kClientCancelled;
}

grpc::Status FinalStatus(const absl::Status& status, grpc::CallbackServerContext* context) {
  if (const std::optional<absl::Duration> delay = RetryDelay(status); delay.has_value()) {
    context->AddTrailingMetadata("grpc-retry-pushback-ms",
                                 absl::StrCat(absl::ToInt64Milliseconds(*delay)));
  }
  return ToGrpcStatus(status);
}

void RecordAccess(Environment& environment, const CallOptions& options, const absl::Status& status,
                  const CallRecord& record, ComputePool::TimePoint arrival) {
  const absl::Duration total = absl::FromChrono(std::chrono::steady_clock::now() - arrival);
  environment.metrics().RecordCall(options.method, status.code(), total, record);
  environment.log().Write(LogLevel::kInfo, "rpc",
                          {{"method", options.method},
                           {"code", absl::StatusCodeToString(status.code())},
                           {"peer", options.peer},
                           {"total_ms", Milliseconds(total)},
                           {"queue_ms", Milliseconds(record.queue)},
                           {"compile_ms", Milliseconds(record.compile)},
                           {"engine_ms", Milliseconds(record.engine)},
                           {"accepted_steps", record.work.forward.accepted_steps},
                           {"rejected_steps", record.work.forward.rejected_steps},
                           {"rhs_evaluations", record.work.forward.rhs_evaluations},
                           {"cost", record.cost},
                           {"model", record.model},
                           {"request_bytes", record.request_bytes},
                           {"response_bytes", record.response_bytes},
                           {"messages", record.messages}});
  if (!HidesMessage(status)) return;
  environment.log().Write(LogLevel::kError, "internal_error",
                          {{"method", options.method}, {"detail", std::string(status.message())}});
}

absl::Status StreamWriter::WriteMessage(const google::protobuf::Message& message) {
  std::unique_lock<std::mutex> lock(mutex_);
  if (absl::Status status = WaitLocked(&lock); !status.ok()) return status;
  buffer_.Clear();
  if (absl::Status status = SerializeResponse(message, &buffer_); !status.ok()) return status;
  sent_bytes_ += static_cast<int64_t>(buffer_.Length());
  ++sent_messages_;
  writing_ = true;
  lock.unlock();
  StartWrite(&buffer_);
  return absl::OkStatus();
}

bool StreamWriter::IsWriting() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return writing_;
}

absl::Status StreamWriter::WaitForWrites() {
  std::unique_lock<std::mutex> lock(mutex_);
  return WaitLocked(&lock);
}

// Deadline and drain do not come through the reactor, so the wait looks at the flag by itself.
absl::Status StreamWriter::WaitLocked(std::unique_lock<std::mutex>* lock) {
  constexpr std::chrono::milliseconds kLook(5);
  const auto stalled = std::chrono::steady_clock::now() +
                       absl::ToChronoNanoseconds(environment_.options().max_stream_stall);
  if (writing_) {
    call_->PauseSlot();
    while (writing_ && !failed_ && !call_->cancellation().cancelled() &&
           std::chrono::steady_clock::now() < stalled) {
      written_.wait_for(*lock, kLook);
    }
    call_->ResumeSlot();
  }
  if (call_->cancellation().cancelled()) return CancellationStatus(call_->cancellation().reason());
  if (failed_) return absl::CancelledError("the client is gone");
  if (!writing_) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat("the reader took nothing for ",
                   absl::FormatDuration(environment_.options().max_stream_stall)));
}

void StreamWriter::AbandonWrites() {
  constexpr std::chrono::milliseconds kPatience(100);
  std::unique_lock<std::mutex> lock(mutex_);
  if (written_.wait_for(lock, kPatience, [this] { return !writing_; })) return;
  lock.unlock();
  context_->TryCancel();
  lock.lock();
  call_->PauseSlot();
  written_.wait(lock, [this] { return !writing_; });
  call_->ResumeSlot();
}

void StreamWriter::OnWriteDone(bool ok) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    writing_ = false;
    failed_ = failed_ || !ok;
    // Under the lock: once the writer sees the end of the write, this object may be finished.
    written_.notify_all();
  }
  if (!ok) call_->Cancel(Cancellation::Reason::kClientCancelled);
}

void StreamWriter::OnCancel() { call_->Cancel(ReasonOfCancel(*context_)); }

}  // namespace internal

grpc::ServerWriteReactor<grpc::ByteBuffer>* RefuseStream(Environment& environment,
                                                         const RpcMethod& method,
                                                         grpc::CallbackServerContext* context,
                                                         absl::Status status) {
  return new internal::Refusal<grpc::ServerWriteReactor<grpc::ByteBuffer>>(
      environment, method, context, std::move(status));
}

}  // namespace costate
