#include "server/server.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <iterator>
#include <limits>
#include <utility>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "costate/v1/gradient.grpc.pb.h"
#include "costate/v1/job.grpc.pb.h"
#include "costate/v1/model.grpc.pb.h"
#include "costate/v1/server.grpc.pb.h"
#include "costate/v1/solve.grpc.pb.h"
#include "costate/v1/stability.grpc.pb.h"
#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "server/handlers/gradients.h"
#include "server/handlers/jobs.h"
#include "server/handlers/kept_solves.h"
#include "server/handlers/models.h"
#include "server/handlers/server_info.h"
#include "server/handlers/solves.h"
#include "server/handlers/stability.h"
#include "server/rpc.h"

namespace costate {
namespace {

using grpc::ByteBuffer;
using grpc::CallbackServerContext;

// ---- services: one line per RPC
// ------------------------------------------------------------------
//
// Adding an RPC: declare it in proto/, write its handler in server/handlers, then name it in
// WithRawMethods and with one of the macros below.

#define COSTATE_HANDLE(Service, Method, arrays, handler)                                        \
  grpc::ServerUnaryReactor* Method(CallbackServerContext* context, const ByteBuffer* request,   \
                                   ByteBuffer* response) override {                             \
    return StartUnary<v1::Method##Request, v1::Method##Response>(                               \
        environment_, {"costate.v1." #Service "/" #Method, arrays}, context, request, response, \
        handler);                                                                               \
  }
#define COSTATE_HANDLE_STREAM(Service, Method, arrays, handler)                                 \
  grpc::ServerWriteReactor<ByteBuffer>* Method(CallbackServerContext* context,                  \
                                               const ByteBuffer* request) override {            \
    return StartStream<v1::Method##Request, v1::Method##Response>(                              \
        environment_, {"costate.v1." #Service "/" #Method, arrays}, context, request, handler); \
  }
// A stream that mostly waits for something to happen.
#define COSTATE_HANDLE_WATCH(Service, Method, handler)                                     \
  grpc::ServerWriteReactor<ByteBuffer>* Method(CallbackServerContext* context,             \
                                               const ByteBuffer* request) override {       \
    return StartStream<v1::Method##Request, v1::Method##Response>(                         \
        environment_, {"costate.v1." #Service "/" #Method, false, true}, context, request, \
        handler);                                                                          \
  }

using RawModelService = v1::ModelService::WithRawCallbackMethod_CreateModel<
    v1::ModelService::WithRawCallbackMethod_GetModel<
        v1::ModelService::WithRawCallbackMethod_ListModels<
            v1::ModelService::WithRawCallbackMethod_DeleteModel<v1::ModelService::Service>>>>;

class ModelServiceImpl final : public RawModelService {
 public:
  explicit ModelServiceImpl(Environment& environment) : environment_(environment) {}
  COSTATE_HANDLE(ModelService, CreateModel, true, Immediate(costate::CreateModel))
  COSTATE_HANDLE(ModelService, GetModel, false, Immediate(costate::GetModel))
  COSTATE_HANDLE(ModelService, ListModels, false, Immediate(costate::ListModels))
  COSTATE_HANDLE(ModelService, DeleteModel, false, Immediate(costate::DeleteModel))

 private:
  Environment& environment_;
};

using RawSolveService = v1::SolveService::WithRawCallbackMethod_Solve<
    v1::SolveService::WithRawCallbackMethod_StreamSolve<v1::SolveService::Service>>;

class SolveServiceImpl final : public RawSolveService {
 public:
  explicit SolveServiceImpl(Environment& environment) : environment_(environment) {}
  COSTATE_HANDLE(SolveService, Solve, true, costate::Solve)
  COSTATE_HANDLE_STREAM(SolveService, StreamSolve, true, costate::StreamSolve)

 private:
  Environment& environment_;
};

using RawGradientService = v1::GradientService::WithRawCallbackMethod_ComputeGradient<
    v1::GradientService::WithRawCallbackMethod_ComputeVjp<
        v1::GradientService::WithRawCallbackMethod_ComputeJvp<
            v1::GradientService::WithRawCallbackMethod_ComputeSensitivities<
                v1::GradientService::WithRawCallbackMethod_ComputeHvp<
                    v1::GradientService::WithRawCallbackMethod_CheckGradient<
                        v1::GradientService::WithRawCallbackMethod_KeepSolve<
                            v1::GradientService::WithRawCallbackMethod_ReleaseSolve<
                                v1::GradientService::Service>>>>>>>>;

class GradientServiceImpl final : public RawGradientService {
 public:
  explicit GradientServiceImpl(Environment& environment) : environment_(environment) {}
  COSTATE_HANDLE(GradientService, ComputeGradient, true, costate::ComputeGradient)
  COSTATE_HANDLE(GradientService, ComputeVjp, true, costate::ComputeVjp)
  COSTATE_HANDLE(GradientService, ComputeJvp, true, costate::ComputeJvp)
  COSTATE_HANDLE(GradientService, ComputeSensitivities, true, costate::ComputeSensitivities)
  COSTATE_HANDLE(GradientService, ComputeHvp, true, costate::ComputeHvp)
  COSTATE_HANDLE(GradientService, CheckGradient, true, costate::CheckGradient)
  COSTATE_HANDLE(GradientService, KeepSolve, true, costate::KeepSolve)
  COSTATE_HANDLE(GradientService, ReleaseSolve, false, Immediate(costate::ReleaseSolve))

 private:
  Environment& environment_;
};

using RawStabilityService = v1::StabilityService::WithRawCallbackMethod_ComputeStabilityRegion<
    v1::StabilityService::WithRawCallbackMethod_StreamStabilityRegion<
        v1::StabilityService::WithRawCallbackMethod_AnalyzeStability<
            v1::StabilityService::Service>>>;

class StabilityServiceImpl final : public RawStabilityService {
 public:
  explicit StabilityServiceImpl(Environment& environment) : environment_(environment) {}
  COSTATE_HANDLE(StabilityService, ComputeStabilityRegion, false, costate::ComputeStabilityRegion)
  COSTATE_HANDLE_STREAM(StabilityService, StreamStabilityRegion, false,
                        costate::StreamStabilityRegion)
  COSTATE_HANDLE(StabilityService, AnalyzeStability, true, costate::AnalyzeStability)

 private:
  Environment& environment_;
};

using RawJobService = v1::JobService::WithRawCallbackMethod_CreateJob<
    v1::JobService::WithRawCallbackMethod_GetJob<v1::JobService::WithRawCallbackMethod_ListJobs<
        v1::JobService::WithRawCallbackMethod_WatchJob<
            v1::JobService::WithRawCallbackMethod_CancelJob<
                v1::JobService::WithRawCallbackMethod_DeleteJob<
                    v1::JobService::WithRawCallbackMethod_RequeueJob<v1::JobService::Service>>>>>>>;

class JobServiceImpl final : public RawJobService {
 public:
  explicit JobServiceImpl(Environment& environment) : environment_(environment) {}
  COSTATE_HANDLE(JobService, CreateJob, true, costate::CreateJob)
  COSTATE_HANDLE(JobService, GetJob, false, costate::GetJob)
  COSTATE_HANDLE(JobService, ListJobs, false, costate::ListJobs)
  COSTATE_HANDLE_WATCH(JobService, WatchJob, costate::WatchJob)
  COSTATE_HANDLE(JobService, CancelJob, false, costate::CancelJob)
  COSTATE_HANDLE(JobService, DeleteJob, false, costate::DeleteJob)
  COSTATE_HANDLE(JobService, RequeueJob, false, costate::RequeueJob)

 private:
  Environment& environment_;
};

using RawServerService =
    v1::ServerService::WithRawCallbackMethod_GetServerInfo<v1::ServerService::Service>;

class ServerServiceImpl final : public RawServerService {
 public:
  explicit ServerServiceImpl(Environment& environment) : environment_(environment) {}
  COSTATE_HANDLE(ServerService, GetServerInfo, false, Immediate(costate::GetServerInfo))

 private:
  Environment& environment_;
};

#undef COSTATE_HANDLE
#undef COSTATE_HANDLE_STREAM
#undef COSTATE_HANDLE_WATCH

// ---- address and credentials
// ---------------------------------------------------------------------

// The host of "host:port", "[::1]:port" or a bare host.
std::string HostOf(const std::string& address) {
  if (absl::StartsWith(address, "[")) return address.substr(1, address.find(']') - 1);
  return address.substr(0, address.rfind(':'));
}

bool IsUnix(const std::string& address) { return absl::StartsWith(address, "unix:"); }

// Names other than localhost are not looked up: what they mean may change.
bool IsLoopback(const std::string& address) {
  if (IsUnix(address)) return true;
  const std::string host = HostOf(address);
  return host == "localhost" || host == "::1" || absl::StartsWith(host, "127.");
}

bool HasPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = -1;
  return colon != std::string::npos && absl::SimpleAtoi(address.substr(colon + 1), &port) &&
         port >= 0 && port <= 65535;
}

absl::Status CheckReadable(const std::string& flag, const std::string& path) {
  std::ifstream file(path);
  if (file.good() && file.peek() != std::ifstream::traits_type::eof()) return absl::OkStatus();
  return FieldStatus(absl::StatusCode::kInvalidArgument, flag,
                     absl::StrCat("cannot read the file ", path));
}

absl::Status ValidateTls(const TlsOptions& tls) {
  if (tls.cert.empty() != tls.key.empty()) {
    return FieldStatus(absl::StatusCode::kInvalidArgument,
                       tls.cert.empty() ? "tls-cert" : "tls-key",
                       "certificate and key are needed together");
  }
  if (tls.cert.empty() && !tls.client_ca.empty()) {
    return FieldStatus(absl::StatusCode::kInvalidArgument, "tls-client-ca",
                       "client certificates need TLS; give tls-cert and tls-key");
  }
  if (tls.cert.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(CheckReadable("tls-cert", tls.cert));
  RETURN_IF_ERROR(CheckReadable("tls-key", tls.key));
  return tls.client_ca.empty() ? absl::OkStatus() : CheckReadable("tls-client-ca", tls.client_ca);
}

std::shared_ptr<grpc::ServerCredentials> MakeCredentials(const TlsOptions& tls) {
  if (tls.cert.empty()) return grpc::InsecureServerCredentials();
  constexpr unsigned int kLookAgainSeconds = 5;
  using grpc::experimental::FileWatcherCertificateProvider;
  const auto provider =
      tls.client_ca.empty()
          ? std::make_shared<FileWatcherCertificateProvider>(tls.key, tls.cert, kLookAgainSeconds)
          : std::make_shared<FileWatcherCertificateProvider>(tls.key, tls.cert, tls.client_ca,
                                                             kLookAgainSeconds);
  grpc::experimental::TlsServerCredentialsOptions options(provider);
  options.watch_identity_key_cert_pairs();
  if (!tls.client_ca.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return grpc::experimental::TlsServerCredentials(options);
}

// ---- transport
// -----------------------------------------------------------------------------------

// The last fence, after the server's own admission: calls past it are refused by the transport.
size_t TransportMemory() {
  constexpr double kShare = 0.3;
  constexpr double kLeast = 512.0 * (1 << 20);
  const double physical =
      static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  return static_cast<size_t>(std::max(kShare * physical, kLeast));
}

void SetTransport(const ServerOptions& options, grpc::ServerBuilder* builder) {
  const int max_message = static_cast<int>(
      std::min<int64_t>(options.environment.max_message_bytes, std::numeric_limits<int>::max()));
  constexpr int kFrameBytes = 1 << 20;      // of HTTP/2, for arrays
  constexpr int kLookaheadBytes = 8 << 20;  // read before the message is asked for
  constexpr int kPingEveryMs = 60'000;      // dead peers are noticed
  constexpr int kPingTimeoutMs = 20'000;
  constexpr int kClientPingMs = 30'000;          // peers may ping this often
  constexpr int kConnectionAgeMs = 30 * 60'000;  // for balance; calls go on
  builder->SetMaxReceiveMessageSize(max_message);
  builder->SetMaxSendMessageSize(max_message);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kFrameBytes);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kLookaheadBytes);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kPingEveryMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kPingTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kClientPingMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, kConnectionAgeMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 1000);
  grpc::ResourceQuota quota("costated");
  quota.Resize(TransportMemory());
  builder->SetResourceQuota(quota);
}

// ---- the server
// ----------------------------------------------------------------------------------

class GrpcServer final : public Server {
 public:
  GrpcServer(std::unique_ptr<Environment> environment, Log& log)
      : environment_(std::move(environment)), log_(log) {}

  ~GrpcServer() override { Drain(absl::ZeroDuration()); }

  absl::Status Listen(const ServerOptions& options) {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    grpc::ServerBuilder builder;
    SetTransport(options, &builder);
    builder.AddListeningPort(options.address, MakeCredentials(options.tls), &port_);
    for (grpc::Service* service : std::initializer_list<grpc::Service*>{
             &models_, &solves_, &gradients_, &stability_, &jobs_, &info_}) {
      builder.RegisterService(service);
    }
    AddMethodsToMetrics();
    server_ = builder.BuildAndStart();
    if (server_ == nullptr) {
      return absl::UnavailableError(
          absl::StrCat("cannot listen on ", options.address,
                       "; is the port taken, or the certificate wrong for its key?"));
    }
    return absl::OkStatus();
  }

  absl::Status ServeMetrics(const MetricsEndpointOptions& options) {
    if (options.address.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(metrics_, StartMetricsEndpoint(options, *environment_));
    log_.Write(LogLevel::kInfo, "metrics_listening",
               {{"address", options.address}, {"port", metrics_->port()}});
    return absl::OkStatus();
  }

  int port() const override { return port_ == 1 ? 0 : port_; }  // 1 stands for a unix socket
  int metrics_port() const override { return metrics_ == nullptr ? 0 : metrics_->port(); }
  Environment& environment() override { return *environment_; }

  absl::Status OpenJobs(const ServerOptions& options) {
    if (options.jobs.directory.empty()) return absl::OkStatus();
    absl::StatusOr<std::unique_ptr<jobs::LocalJobs>> jobs =
        jobs::LocalJobs::Open(options.jobs, *environment_);
    if (!jobs.ok() && options.jobs_directory_is_default) {
      log_.Write(LogLevel::kWarning, "no_jobs",
                 {{"directory", options.jobs.directory},
                  {"detail", std::string(jobs.status().message())}});
      return absl::OkStatus();
    }
    if (!jobs.ok()) {
      return FieldStatus(jobs.status().code(), "--data-directory",
                         std::string(jobs.status().message()));
    }
    kept_jobs_ = *std::move(jobs);
    environment_->SetJobs(kept_jobs_.get());
    environment_->SetJobGauges([this] { return kept_jobs_->gauges(); });
    return absl::OkStatus();
  }

  void Drain(absl::Duration grace) override {
    if (server_ == nullptr || drained_.exchange(true)) return;
    if (grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService()) {
      health->SetServingStatus(false);
    }
    ActiveCalls& calls = environment_->active_calls();
    calls.StartDraining();
    log_.Write(LogLevel::kInfo, "drain_start",
               {{"calls", calls.size()}, {"grace_s", absl::ToDoubleSeconds(grace)}});
    if (kept_jobs_ != nullptr) kept_jobs_->Drain();
    const bool idle = calls.WaitUntilIdle(grace);
    calls.CancelAll(Cancellation::Reason::kShuttingDown);
    // Statuses of what was just cancelled go out before the transport ends streams by itself.
    calls.WaitUntilIdle(absl::Seconds(5));
    constexpr std::chrono::milliseconds kLastWrites(200);
    server_->Shutdown(std::chrono::system_clock::now() + kLastWrites);
    calls.WaitUntilIdle(absl::InfiniteDuration());
    log_.Write(LogLevel::kInfo, "drain_end", {{"all_done_in_grace", idle}});
  }

 private:
  // Every method of the package, called or not.
  void AddMethodsToMetrics() {
    const auto* pool = google::protobuf::DescriptorPool::generated_pool();
    for (const char* name :
         {v1::ModelService::service_full_name(), v1::SolveService::service_full_name(),
          v1::GradientService::service_full_name(), v1::StabilityService::service_full_name(),
          v1::JobService::service_full_name(), v1::ServerService::service_full_name()}) {
      const google::protobuf::ServiceDescriptor* service = pool->FindServiceByName(name);
      for (int i = 0; service != nullptr && i < service->method_count(); ++i) {
        environment_->metrics().AddMethod(absl::StrCat(name, "/", service->method(i)->name()));
      }
    }
  }

  std::unique_ptr<Environment> environment_;
  std::unique_ptr<jobs::LocalJobs> kept_jobs_;  // null where none are kept
  Log& log_;
  ModelServiceImpl models_{*environment_};
  SolveServiceImpl solves_{*environment_};
  GradientServiceImpl gradients_{*environment_};
  StabilityServiceImpl stability_{*environment_};
  JobServiceImpl jobs_{*environment_};
  ServerServiceImpl info_{*environment_};
  int port_ = 0;
  std::atomic<bool> drained_{false};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<HttpListener> metrics_;  // until the drain is over, too
};

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::shared_ptr<grpc::ChannelCredentials> ProbeCredentials(const std::string& tls_ca,
                                                           const TlsOptions& tls) {
  if (tls_ca.empty()) return grpc::InsecureChannelCredentials();
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ReadFile(tls_ca);
  if (!tls.cert.empty()) {
    options.pem_cert_chain = ReadFile(tls.cert);
    options.pem_private_key = ReadFile(tls.key);
  }
  return grpc::SslCredentials(options);
}

}  // namespace

absl::Status ValidateAddress(const ServerOptions& options) {
  if (!IsUnix(options.address) && !HasPort(options.address)) {
    return FieldError("address", options.address, "host:port, port 0 for any free one");
  }
  if (IsLoopback(options.address) || !options.tls.cert.empty() || options.allow_insecure) {
    return absl::OkStatus();
  }
  return FieldStatus(absl::StatusCode::kInvalidArgument, "address",
                     absl::StrCat(options.address,
                                  " can be reached from other machines, which needs --tls-cert and "
                                  "--tls-key (or --allow-insecure behind a proxy that does it)"));
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options, Log& log) {
  RETURN_IF_ERROR(ValidateAddress(options));
  RETURN_IF_ERROR(ValidateTls(options.tls));
  RETURN_IF_ERROR(ValidateMetricsEndpoint(options.metrics));
  ASSIGN_OR_RETURN(std::unique_ptr<Environment> environment,
                   Environment::Create(options.environment, log));
  auto server = std::make_unique<GrpcServer>(std::move(environment), log);
  RETURN_IF_ERROR(server->OpenJobs(options));
  RETURN_IF_ERROR(server->Listen(options));
  RETURN_IF_ERROR(server->ServeMetrics(options.metrics));
  log.Write(LogLevel::kInfo, "listening",
            {{"address", options.address},
             {"port", server->port()},
             {"tls", !options.tls.cert.empty()},
             {"mtls", !options.tls.client_ca.empty()},
             {"threads", options.environment.pool.threads},
             {"interactive_threads", options.environment.pool.interactive_threads}});
  return std::unique_ptr<Server>(std::move(server));
}

absl::Status CheckHealth(const std::string& address, const std::string& tls_ca,
                         const TlsOptions& tls) {
  // grpc.health.v1.HealthCheckResponse{status: SERVING} on the wire.
  constexpr char kServing[] = {0x08, 0x01};
  constexpr std::chrono::seconds kPatience(5);
  grpc::GenericStub stub(grpc::CreateChannel(address, ProbeCredentials(tls_ca, tls)));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  grpc::CompletionQueue queue;
  const grpc::Slice everything;  // no service named: the server as a whole
  const ByteBuffer request(&everything, 1);
  const auto call =
      stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", request, &queue);
  call->StartCall();
  ByteBuffer response;
  grpc::Status status;
  call->Finish(&response, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (!status.ok()) {
    return absl::UnavailableError(absl::StrCat(address, ": ", status.error_message()));
  }
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (response.Dump(&slices).ok()) {
    for (const grpc::Slice& slice : slices) {
      bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
  }
  if (bytes == std::string(kServing, sizeof(kServing))) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(address, ": not serving"));
}

}  // namespace costate
