// A running server.
//
//   ASSIGN_OR_RETURN(std::unique_ptr<Server> server, Server::Start(options, log));
//   std::cout << server->port();
//   server->Drain(absl::Seconds(30));
#ifndef COSTATE_SERVER_SERVER_H_
#define COSTATE_SERVER_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/environment.h"
#include "server/jobs/local_jobs.h"
#include "server/log.h"
#include "server/metrics_endpoint.h"

namespace costate {

// PEM files. They are read again when they change, within seconds.
struct TlsOptions {
  std::string cert;       // certificate chain of the server; empty: no TLS
  std::string key;        // its private key
  std::string client_ca;  // roots of client certificates, which are then required; empty: none
};

struct ServerOptions {
  std::string address = "localhost:4310";  // "host:port", port 0 for any; or "unix:path"
  TlsOptions tls;
  bool allow_insecure = false;  // serve without TLS beyond loopback
  MetricsEndpointOptions metrics;
  // Jobs are kept where there is a directory. One that is only the default may be another server's:
  // this one then keeps no jobs.
  jobs::LocalJobsOptions jobs;
  bool jobs_directory_is_default = false;
  EnvironmentOptions environment;
};

// INVALID_ARGUMENT unless the address has a port, and is a loopback address or one of TLS and
// `allow_insecure` is given.
absl::Status ValidateAddress(const ServerOptions& options);

// Thread-safety: all members may be called from any thread.
class Server {
 public:
  // Serves when it returns. INVALID_ARGUMENT for options that contradict each other or files that
  // cannot be read; UNAVAILABLE when the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options, Log& log);

  virtual ~Server() = default;  // drains without grace

  virtual int port() const = 0;          // 0 for a unix socket
  virtual int metrics_port() const = 0;  // 0 without an endpoint
  virtual Environment& environment() = 0;

  // Health turns NOT_SERVING, new calls are refused with UNAVAILABLE, no more tasks of jobs are
  // claimed, those that run are stored and released; running calls may go on for `grace`, then are
  // cancelled. Returns when all have ended. Once.
  virtual void Drain(absl::Duration grace) = 0;
};

// Asks the health service at `address`; OK when it is serving. With `tls_ca` (PEM file) over TLS,
// with `tls` cert and key as the client's own.
absl::Status CheckHealth(const std::string& address, const std::string& tls_ca,
                         const TlsOptions& tls);

}  // namespace costate

#endif  // COSTATE_SERVER_SERVER_H_
