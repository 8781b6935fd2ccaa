#include "server/http_listener.h"

#include <arpa/inet.h>
#include <civetweb.h>

#include <cstring>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace costate {
namespace {

// Requests in work at a time. Connections past them wait in a queue of kQueuedConnections, then in
// that of the kernel.
constexpr char kThreads[] = "4";
constexpr char kQueuedConnections[] = "16";
constexpr char kKernelQueue[] = "16";
// From the first to the last byte of a request, and of an answer.
constexpr char kTimeoutMs[] = "2000";
constexpr char kMaxRequestBytes[] = "8192";  // line and headers

class CivetListener final : public HttpListener {
 public:
  explicit CivetListener(Handler handler) : handler_(std::move(handler)) {}

  ~CivetListener() override {
    if (context_ != nullptr) mg_stop(context_);
    if (library_) mg_exit_library();
  }

  absl::Status Listen(const HttpAddress& address) {
    library_ = mg_init_library(MG_FEATURES_DEFAULT) == MG_FEATURES_DEFAULT;
    const std::string host =
        absl::StrContains(address.host, ":") ? absl::StrCat("[", address.host, "]") : address.host;
    const std::string where = absl::StrCat(host, ":", address.port);
    // There is no document root, so there are no files.
    const char* options[] = {"listening_ports",
                             where.c_str(),
                             "num_threads",
                             kThreads,
                             "connection_queue",
                             kQueuedConnections,
                             "listen_backlog",
                             kKernelQueue,
                             "request_timeout_ms",
                             kTimeoutMs,
                             "max_request_size",
                             kMaxRequestBytes,
                             "enable_keep_alive",
                             "no",
                             nullptr};
    mg_callbacks callbacks = {};
    callbacks.begin_request = &CivetListener::OnRequest;
    callbacks.log_message = [](const mg_connection*, const char*) { return 1; };  // not on stderr
    context_ = mg_start(&callbacks, this, options);
    if (context_ == nullptr)
      return absl::UnavailableError(absl::StrCat("cannot listen on ", where));
    mg_server_port port = {};
    if (mg_get_server_ports(context_, 1, &port) == 1) port_ = port.port;
    return absl::OkStatus();
  }

  int port() const override { return port_; }

 private:
  // Answers every request itself, so that nothing else of the library is reached.
  static int OnRequest(mg_connection* connection) {
    const mg_request_info* request = mg_get_request_info(connection);
    const auto* listener = static_cast<const CivetListener*>(request->user_data);
    // A body, if any, is not read: the connection is closed after the answer.
    mg_disable_connection_keep_alive(connection);
    const bool head = std::strcmp(request->request_method, "HEAD") == 0;
    if (!head && std::strcmp(request->request_method, "GET") != 0) {
      return Send(connection, {405, "text/plain", "only GET\n"}, true);
    }
    const char* path = request->local_uri == nullptr ? "" : request->local_uri;
    return Send(connection, listener->handler_(path), !head);
  }

  static int Send(mg_connection* connection, const HttpAnswer& answer, bool with_body) {
    std::string text = absl::StrCat(
        "HTTP/1.1 ", answer.code, " ", mg_get_response_code_text(connection, answer.code),
        "\r\nContent-Type: ", answer.content_type, "\r\nContent-Length: ", answer.body.size(),
        answer.code == 405 ? "\r\nAllow: GET, HEAD" : "",
        "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n");
    if (with_body) text += answer.body;
    mg_write(connection, text.data(), text.size());
    return answer.code;
  }

  const Handler handler_;
  bool library_ = false;
  mg_context* context_ = nullptr;
  int port_ = 0;
};

}  // namespace

absl::StatusOr<HttpAddress> ParseHttpAddress(const std::string& address) {
  const absl::Status wrong = absl::InvalidArgumentError(
      absl::StrCat("got \"", address,
                   "\", expected HOST:PORT with a numeric host such as 127.0.0.1 or [::1], or "
                   "localhost; port 0 takes a free one"));
  const size_t colon = address.rfind(':');
  HttpAddress parsed;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &parsed.port) ||
      parsed.port < 0 || parsed.port > 65535) {
    return wrong;
  }
  parsed.host = address.substr(0, colon);
  if (parsed.host == "localhost") parsed.host = "127.0.0.1";
  const bool bracketed = absl::StartsWith(parsed.host, "[") && absl::EndsWith(parsed.host, "]");
  if (bracketed) parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  in_addr four = {};
  in6_addr six = {};
  if (!bracketed && inet_pton(AF_INET, parsed.host.c_str(), &four) == 1) {
    parsed.loopback = (ntohl(four.s_addr) >> 24) == 127;
  } else if (bracketed && inet_pton(AF_INET6, parsed.host.c_str(), &six) == 1) {
    parsed.loopback = IN6_IS_ADDR_LOOPBACK(&six);
  } else {
    return wrong;
  }
  return parsed;
}

absl::StatusOr<std::unique_ptr<HttpListener>> HttpListener::Start(const std::string& address,
                                                                  Handler handler) {
  ASSIGN_OR_RETURN(const HttpAddress parsed, ParseHttpAddress(address));
  auto listener = std::make_unique<CivetListener>(std::move(handler));
  RETURN_IF_ERROR(listener->Listen(parsed));
  return std::unique_ptr<HttpListener>(std::move(listener));
}

}  // namespace costate
