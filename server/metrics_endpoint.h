// Metrics and health over HTTP:
//
//   /metrics  everything in the text format of Prometheus
//   /healthz  200 while the process answers
//   /readyz   200 while calls are taken, 503 once the server drains
#ifndef COSTATE_SERVER_METRICS_ENDPOINT_H_
#define COSTATE_SERVER_METRICS_ENDPOINT_H_

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/environment.h"
#include "server/http_listener.h"
#include "server/metrics.h"

namespace costate {

struct MetricsEndpointOptions {
  std::string address;        // as HttpListener takes it; empty: no endpoint
  bool allow_remote = false;  // addresses other than loopback; there is no TLS and no log-in
};

// INVALID_ARGUMENT unless the address is empty, or one that can be bound and is allowed.
absl::Status ValidateMetricsEndpoint(const MetricsEndpointOptions& options);

MetricsSnapshot TakeMetricsSnapshot(Environment& environment);

// What is served at `path`.
HttpAnswer AnswerMetricsRequest(Environment& environment, std::string_view path);

// `environment` must outlive it.
absl::StatusOr<std::unique_ptr<HttpListener>> StartMetricsEndpoint(
    const MetricsEndpointOptions& options, Environment& environment);

}  // namespace costate

#endif  // COSTATE_SERVER_METRICS_ENDPOINT_H_
