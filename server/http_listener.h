// A small HTTP server for GET requests: bounded in threads, connections, sizes and time, and
// without files, bodies or connections kept open.
//
//   ASSIGN_OR_RETURN(auto listener, HttpListener::Start("127.0.0.1:9464", [](std::string_view path)
//   {
//     return HttpAnswer{200, "text/plain", "ok\n"};
//   }));
#ifndef COSTATE_SERVER_HTTP_LISTENER_H_
#define COSTATE_SERVER_HTTP_LISTENER_H_

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace costate {

struct HttpAnswer {
  int code = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// Thread-safety: all members may be called from any thread.
class HttpListener {
 public:
  // Called by several threads at a time. `path` has no query.
  using Handler = std::function<HttpAnswer(std::string_view path)>;

  // `address` is "localhost:PORT", "127.0.0.1:PORT" or "[::1]:PORT" with a numeric host; port 0
  // takes a free one. INVALID_ARGUMENT for other texts, UNAVAILABLE when it cannot be bound.
  static absl::StatusOr<std::unique_ptr<HttpListener>> Start(const std::string& address,
                                                             Handler handler);
  virtual ~HttpListener() = default;  // waits for requests in work

  virtual int port() const = 0;
};

// A numeric address that HttpListener can bind.
struct HttpAddress {
  std::string host;  // "127.0.0.1" or "::1"
  int port = 0;
  bool loopback = false;
};
absl::StatusOr<HttpAddress> ParseHttpAddress(const std::string& address);

}  // namespace costate

#endif  // COSTATE_SERVER_HTTP_LISTENER_H_
