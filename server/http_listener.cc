#include "server/http_listener.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace costate {
namespace {

using std::chrono::milliseconds;
using TimePoint = std::chrono::steady_clock::time_point;

// Requests in work at a time, one by each thread. The next ones wait in the kernel's queue, which
// is as short.
constexpr int kThreads = 4;
constexpr int kQueuedConnections = 16;
constexpr size_t kMaxHeadBytes = 8192;  // of a request: its line and headers
// From the first to the last byte.
constexpr milliseconds kReadTime(2000);
constexpr milliseconds kWriteTime(5000);
// A client that still sends when it has its answer: that long, so that the answer is not lost.
constexpr milliseconds kLingerTime(100);

TimePoint In(milliseconds time) { return std::chrono::steady_clock::now() + time; }

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

// ---- the protocol
// --------------------------------------------------------------------------------

const char* ReasonPhrase(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 431:
      return "Request Header Fields Too Large";
    case 503:
      return "Service Unavailable";
    default:
      return "Unknown";
  }
}

std::string ResponseText(const HttpAnswer& answer, bool with_body) {
  return absl::StrCat(
      "HTTP/1.1 ", answer.code, " ", ReasonPhrase(answer.code),
      "\r\nContent-Type: ", answer.content_type, "\r\nContent-Length: ", answer.body.size(),
      answer.code == 405 ? "\r\nAllow: GET, HEAD" : "",
      "\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n", with_body ? answer.body : "");
}

// RFC 9112, section 3: method SP request-target SP HTTP-version, the target as a path.
struct RequestLine {
  std::string_view method;
  std::string_view path;
};
std::optional<RequestLine> ParseRequestLine(std::string_view head) {
  const std::string_view line = head.substr(0, head.find("\r\n"));
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  const std::string_view version = line.substr(last + 1);
  const std::string_view target = line.substr(first + 1, last - first - 1);
  const bool plain =
      std::all_of(target.begin(), target.end(), [](char c) { return c > ' ' && c < 0x7f; });
  if ((version != "HTTP/1.1" && version != "HTTP/1.0") || target.empty() || target[0] != '/' ||
      !plain) {
    return std::nullopt;
  }
  return RequestLine{line.substr(0, first), target.substr(0, target.find('?'))};
}

std::string Respond(const HttpListener::Handler& handler, std::string_view head) {
  const std::optional<RequestLine> line = ParseRequestLine(head);
  if (!line.has_value()) return ResponseText({400, "text/plain", "not an HTTP request\n"}, true);
  if (line->method == "GET") return ResponseText(handler(line->path), true);
  if (line->method == "HEAD") return ResponseText(handler(line->path), false);
  return ResponseText({405, "text/plain", "only GET\n"}, true);
}

// ---- sockets
// -------------------------------------------------------------------------------------

class SocketListener final : public HttpListener {
 public:
  SocketListener(Socket listening, int port, Handler handler)
      : handler_(std::move(handler)),
        port_(port),
        listening_(std::move(listening)),
        stop_(eventfd(0, EFD_CLOEXEC)) {
    for (std::thread& thread : threads_) thread = std::thread([this] { Loop(); });
  }

  ~SocketListener() override {
    eventfd_write(stop_.fd(), 1);  // and never read, so that every thread sees it
    for (std::thread& thread : threads_) thread.join();
  }

  int port() const override { return port_; }

 private:
  enum class Ready { kYes, kLate, kStopped };

  // Waits for `events` on `fd`.
  Ready Await(int fd, short events, std::optional<TimePoint> until) const {
    pollfd watched[] = {{fd, events, 0}, {stop_.fd(), POLLIN, 0}};
    for (;;) {
      int timeout = -1;
      if (until.has_value()) {
        const auto left =
            std::chrono::ceil<milliseconds>(*until - std::chrono::steady_clock::now());
        if (left <= milliseconds(0)) return Ready::kLate;
        timeout = static_cast<int>(left.count());
      }
      if (poll(watched, 2, timeout) < 0 && errno != EINTR) return Ready::kLate;
      if (watched[1].revents != 0) return Ready::kStopped;
      if (watched[0].revents != 0) return Ready::kYes;
    }
  }

  void Loop() {
    while (Await(listening_.fd(), POLLIN, std::nullopt) != Ready::kStopped) {
      const Socket client(accept4(listening_.fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (client.fd() >= 0) {
        Serve(client.fd());
      } else if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR) {
        // No descriptors left, as a rule: some will be free again.
        constexpr milliseconds kPause(50);
        if (Await(-1, 0, In(kPause)) == Ready::kStopped) return;
      }
    }
  }

  void Serve(int client) const {
    std::string head;
    if (!ReadHead(client, &head)) return;
    const bool complete = absl::StrContains(head, "\r\n\r\n");
    const std::string response =
        complete ? Respond(handler_, head)
                 : ResponseText({431, "text/plain", "the request is too large\n"}, true);
    if (!WriteAll(client, response)) return;
    shutdown(client, SHUT_WR);
    Linger(client);
  }

  // Up to the empty line, or as much as may come; false if that took too long.
  bool ReadHead(int client, std::string* head) const {
    const TimePoint until = In(kReadTime);
    char buffer[1024];
    while (head->size() < kMaxHeadBytes) {
      if (Await(client, POLLIN, until) != Ready::kYes) return false;
      const ssize_t count = recv(client, buffer, sizeof(buffer), 0);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (count <= 0) return false;
      // The empty line may lie across two parts.
      const size_t from = head->size() < 3 ? 0 : head->size() - 3;
      head->append(buffer, static_cast<size_t>(count));
      if (head->find("\r\n\r\n", from) != std::string::npos) return true;
    }
    return true;
  }

  bool WriteAll(int client, std::string_view bytes) const {
    const TimePoint until = In(kWriteTime);
    while (!bytes.empty()) {
      if (Await(client, POLLOUT, until) != Ready::kYes) return false;
      const ssize_t count = send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }

  // Closing with bytes unread would reset the connection, and the answer with it.
  void Linger(int client) const {
    const TimePoint until = In(kLingerTime);
    char dropped[4096];
    while (Await(client, POLLIN, until) == Ready::kYes) {
      const ssize_t count = recv(client, dropped, sizeof(dropped), 0);
      if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return;
    }
  }

  const Handler handler_;
  const int port_;
  const Socket listening_;
  const Socket stop_;
  std::array<std::thread, kThreads> threads_;
};

struct SocketAddress {
  sockaddr_storage bytes = {};
  socklen_t size = 0;
};

// `address` has a valid numeric host.
SocketAddress ToSocketAddress(const HttpAddress& address) {
  SocketAddress result;
  if (absl::StrContains(address.host, ":")) {
    auto* six = reinterpret_cast<sockaddr_in6*>(&result.bytes);
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(static_cast<uint16_t>(address.port));
    inet_pton(AF_INET6, address.host.c_str(), &six->sin6_addr);
    result.size = sizeof(*six);
  } else {
    auto* four = reinterpret_cast<sockaddr_in*>(&result.bytes);
    four->sin_family = AF_INET;
    four->sin_port = htons(static_cast<uint16_t>(address.port));
    inet_pton(AF_INET, address.host.c_str(), &four->sin_addr);
    result.size = sizeof(*four);
  }
  return result;
}

int PortOf(const Socket& socket) {
  SocketAddress bound;
  bound.size = sizeof(bound.bytes);
  getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&bound.bytes), &bound.size);
  return ntohs(bound.bytes.ss_family == AF_INET6
                   ? reinterpret_cast<const sockaddr_in6*>(&bound.bytes)->sin6_port
                   : reinterpret_cast<const sockaddr_in*>(&bound.bytes)->sin_port);
}

absl::StatusOr<Socket> Bind(const HttpAddress& address) {
  const SocketAddress where = ToSocketAddress(address);
  Socket socket(::socket(where.bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int yes = 1;
  setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  if (socket.fd() < 0 ||
      bind(socket.fd(), reinterpret_cast<const sockaddr*>(&where.bytes), where.size) != 0 ||
      listen(socket.fd(), kQueuedConnections) != 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", address.host, " port ",
                                               address.port, ": ", std::strerror(errno)));
  }
  return socket;
}

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
  ASSIGN_OR_RETURN(Socket listening, Bind(parsed));
  const int port = PortOf(listening);
  return std::unique_ptr<HttpListener>(
      std::make_unique<SocketListener>(std::move(listening), port, std::move(handler)));
}

}  // namespace costate
