// The one wrapper around every RPC: connects gRPC's callback reactors with server/call.h.
//
// Requests and responses travel as bytes up to here. They are parsed, checked and serialised on
// the compute pool, never on gRPC's threads, and a message is scanned before it is parsed, so that
// a few bytes cannot become a large object.
#ifndef COSTATE_SERVER_RPC_H_
#define COSTATE_SERVER_RPC_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include <grpcpp/grpcpp.h>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "google/protobuf/arena.h"
#include "google/protobuf/message.h"
#include "server/call.h"
#include "server/environment.h"
#include "server/handlers/response_stream.h"

namespace costate {

// What is fixed of a method.
struct RpcMethod {
  const char* name;             // "costate.v1.SolveService/Solve"
  bool carries_arrays = false;  // else limits::kMaxControlMessageBytes applies
  bool mostly_waits = false;    // a stream of events, of which more may be open than of others
};

template <typename Request, typename Response>
using PrepareHandler = std::function<absl::StatusOr<Work>(CallContext&, const Request&, Response*)>;

// A handler that is done when it returns.
template <typename Request, typename Response>
PrepareHandler<Request, Response> Immediate(absl::Status (*handler)(CallContext&, const Request&,
                                                                    Response*)) {
  return [handler](CallContext& call, const Request& request,
                   Response* response) -> absl::StatusOr<Work> {
    absl::Status status = handler(call, request, response);
    if (!status.ok()) return status;
    return Work{};
  };
}

namespace internal {

CallOptions MakeCallOptions(const Environment& environment, const RpcMethod& method,
                            grpc::CallbackServerContext* context, const grpc::ByteBuffer& request);

// RESOURCE_EXHAUSTED for a request past the limit of its method.
absl::Status CheckRequestSize(const RpcMethod& method, int64_t bytes);

// The streams of the method's sort that are open, and how many may be.
inline std::atomic<int64_t>& OpenStreams(Environment& environment, const RpcMethod& method) {
  return method.mostly_waits ? environment.open_watches() : environment.open_streams();
}
inline int64_t MaxStreams(const RpcMethod& method) {
  return method.mostly_waits ? limits::kMaxWatches : limits::kMaxStreams;
}

// Scans, then parses, then empties the buffer.
absl::Status ParseRequest(grpc::ByteBuffer* buffer, google::protobuf::Message* message);
absl::Status SerializeResponse(const google::protobuf::Message& message, grpc::ByteBuffer* buffer);

Cancellation::Reason ReasonOfCancel(const grpc::CallbackServerContext& context);

// Adds trailers that go with the status, and gives it in gRPC's form.
grpc::Status FinalStatus(const absl::Status& status, grpc::CallbackServerContext* context);

// Every call that has ended, once: one line of the access log, and the metrics of the same figures.
void RecordAccess(Environment& environment, const CallOptions& options, const absl::Status& status,
                  const CallRecord& record, ComputePool::TimePoint arrival);

template <typename Request, typename Response>
class UnaryCall : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(Environment& environment, const RpcMethod& method, grpc::CallbackServerContext* context,
            grpc::ByteBuffer* request, grpc::ByteBuffer* response,
            PrepareHandler<Request, Response> handler)
      : environment_(environment),
        method_(method),
        context_(context),
        request_buffer_(request),
        response_buffer_(response),
        handler_(std::move(handler)),
        call_(std::make_shared<Call>(environment,
                                     MakeCallOptions(environment, method, context, *request))),
        request_(google::protobuf::Arena::CreateMessage<Request>(&arena_)),
        response_(google::protobuf::Arena::CreateMessage<Response>(&arena_)) {}

  void Start() {
    call_->Start([this](CallContext& call) { return Prepare(call); },
                 [this](const absl::Status& status, const CallRecord& record,
                        MemoryBudget::Hold memory) { Done(status, record, std::move(memory)); });
  }

  void OnCancel() override { call_->Cancel(ReasonOfCancel(*context_)); }

  void OnDone() override {
    RecordAccess(environment_, call_->options(), status_, record_, arrival_);
    delete this;
  }

 private:
  absl::StatusOr<Work> Prepare(CallContext& call) {
    absl::Status status = CheckRequestSize(method_, call.record.request_bytes);
    if (status.ok()) status = ParseRequest(request_buffer_, request_);
    if (!status.ok()) return status;
    return handler_(call, *request_, response_);
  }

  // `this` may be gone when Finish returns.
  void Done(absl::Status status, const CallRecord& record, MemoryBudget::Hold memory) {
    if (status.ok()) status = SerializeResponse(*response_, response_buffer_);
    // A slow reader holds the bytes of its answer, not the messages too.
    request_ = nullptr;
    response_ = nullptr;
    arena_.Reset();
    status_ = status;
    record_ = record;
    record_.response_bytes = status.ok() ? static_cast<int64_t>(response_buffer_->Length()) : 0;
    memory.ShrinkTo(record_.response_bytes);
    memory_ = std::move(memory);
    Finish(FinalStatus(status, context_));
  }

  Environment& environment_;
  const RpcMethod method_;
  grpc::CallbackServerContext* const context_;
  grpc::ByteBuffer* const request_buffer_;
  grpc::ByteBuffer* const response_buffer_;
  const PrepareHandler<Request, Response> handler_;
  const std::shared_ptr<Call> call_;
  const ComputePool::TimePoint arrival_ = std::chrono::steady_clock::now();
  google::protobuf::Arena arena_;
  Request* request_;  // in the arena, until the call is done
  Response* response_;
  absl::Status status_;
  CallRecord record_;
  MemoryBudget::Hold memory_;  // of the answer, until it is written
};

// Writes of a stream: one in flight, the writer waits for the reader.
class StreamWriter : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  StreamWriter(Environment& environment, grpc::CallbackServerContext* context)
      : environment_(environment), context_(context) {}

 protected:
  void SetCall(std::shared_ptr<Call> call) { call_ = std::move(call); }
  Call& call() const { return *call_; }

  absl::Status WriteMessage(const google::protobuf::Message& message);
  bool IsWriting() const;
  // After the last message.
  absl::Status WaitForWrites();
  // Ends a write that will not be done soon by breaking the stream (the client then sees
  // CANCELLED), so that the call can be finished.
  void AbandonWrites();

  void OnWriteDone(bool ok) override;
  void OnCancel() override;

  int64_t sent_bytes() const { return sent_bytes_; }
  int64_t sent_messages() const { return sent_messages_; }

  Environment& environment_;
  grpc::CallbackServerContext* const context_;

 private:
  absl::Status WaitLocked(std::unique_lock<std::mutex>* lock);

  std::shared_ptr<Call> call_;
  mutable std::mutex mutex_;
  std::condition_variable written_;
  grpc::ByteBuffer buffer_;  // of the write in flight
  bool writing_ = false;
  bool failed_ = false;
  int64_t sent_bytes_ = 0;
  int64_t sent_messages_ = 0;
};

template <typename Request, typename Response>
class StreamCall : public StreamWriter, public ResponseStream<Response> {
 public:
  using Handler = PrepareHandler<Request, ResponseStream<Response>>;

  StreamCall(Environment& environment, const RpcMethod& method,
             grpc::CallbackServerContext* context, grpc::ByteBuffer* request, Handler handler)
      : StreamWriter(environment, context),
        method_(method),
        request_buffer_(request),
        handler_(std::move(handler)),
        request_(google::protobuf::Arena::CreateMessage<Request>(&arena_)) {
    SetCall(std::make_shared<Call>(environment,
                                   MakeCallOptions(environment, method, context, *request)));
  }
  ~StreamCall() override { --OpenStreams(environment_, method_); }

  void Start() {
    call().Start(
        [this](CallContext& context) { return Prepare(context); },
        [this](const absl::Status& status, const CallRecord& record, MemoryBudget::Hold memory) {
          memory.Release();  // all is written
          Done(status, record);
        });
  }

  absl::Status Write(const Response& message) override { return WriteMessage(message); }
  bool busy() const override { return IsWriting(); }

  void OnDone() override {
    RecordAccess(environment_, call().options(), status_, record_, arrival_);
    delete this;
  }

 private:
  absl::StatusOr<Work> Prepare(CallContext& context) {
    absl::Status status = CheckRequestSize(method_, context.record.request_bytes);
    if (status.ok()) status = ParseRequest(request_buffer_, request_);
    if (!status.ok()) return status;
    absl::StatusOr<Work> work = handler_(context, *request_, this);
    if (!work.ok() || work->run == nullptr) return work;
    return Work{work->cost,
                [this, run = std::move(work->run)] {
                  absl::Status ran = run();
                  if (ran.ok()) ran = WaitForWrites();
                  if (!ran.ok()) AbandonWrites();
                  return ran;
                },
                work->bytes};
  }

  // `this` may be gone when Finish returns.
  void Done(const absl::Status& status, const CallRecord& record) {
    status_ = status;
    record_ = record;
    record_.response_bytes = sent_bytes();
    record_.messages = sent_messages();
    Finish(FinalStatus(status, context_));
  }

  const RpcMethod method_;
  grpc::ByteBuffer* const request_buffer_;
  const Handler handler_;
  const ComputePool::TimePoint arrival_ = std::chrono::steady_clock::now();
  google::protobuf::Arena arena_;
  Request* const request_;
  absl::Status status_;
  CallRecord record_;
};

}  // namespace internal

// Answers at once.
grpc::ServerWriteReactor<grpc::ByteBuffer>* RefuseStream(Environment& environment,
                                                         const RpcMethod& method,
                                                         grpc::CallbackServerContext* context,
                                                         absl::Status status);

// The framework owns both buffers until the call is done and does not read the request again, so
// it is emptied as soon as it is parsed.
template <typename Request, typename Response>
grpc::ServerUnaryReactor* StartUnary(Environment& environment, const RpcMethod& method,
                                     grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request, grpc::ByteBuffer* response,
                                     PrepareHandler<Request, Response> handler) {
  auto* call = new internal::UnaryCall<Request, Response>(environment, method, context,
                                                          const_cast<grpc::ByteBuffer*>(request),
                                                          response, std::move(handler));
  call->Start();
  return call;
}

template <typename Request, typename Response>
grpc::ServerWriteReactor<grpc::ByteBuffer>* StartStream(
    Environment& environment, const RpcMethod& method, grpc::CallbackServerContext* context,
    const grpc::ByteBuffer* request, PrepareHandler<Request, ResponseStream<Response>> handler) {
  if (++internal::OpenStreams(environment, method) > internal::MaxStreams(method)) {
    --internal::OpenStreams(environment, method);
    return RefuseStream(
        environment, method, context,
        ExhaustedStatus("the server is at capacity: too many open streams", absl::Seconds(1)));
  }
  auto* call = new internal::StreamCall<Request, Response>(
      environment, method, context, const_cast<grpc::ByteBuffer*>(request), std::move(handler));
  call->Start();
  return call;
}

}  // namespace costate

#endif  // COSTATE_SERVER_RPC_H_
