// HTTP by hand, for requests that no client library would send.
#ifndef COSTATE_TESTS_SERVER_HTTP_CLIENT_H_
#define COSTATE_TESTS_SERVER_HTTP_CLIENT_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

namespace costate {

// A connection to 127.0.0.1, or none.
class RawConnection {
 public:
  explicit RawConnection(int port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }
  RawConnection(RawConnection&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), connected_(other.connected_) {}
  ~RawConnection() {
    if (socket_ >= 0) close(socket_);
  }

  bool connected() const { return connected_; }

  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
    return true;
  }

  // Until the other side closes.
  std::string ReadAll() {
    std::string all;
    char buffer[4096];
    for (ssize_t count = 0; (count = recv(socket_, buffer, sizeof(buffer), 0)) > 0;) {
      all.append(buffer, static_cast<size_t>(count));
    }
    return all;
  }

 private:
  int socket_;
  bool connected_ = false;
};

struct HttpResponse {
  int code = 0;  // 0: none came
  std::string headers;
  std::string body;
};

inline HttpResponse ParseResponse(const std::string& text) {
  HttpResponse response;
  if (text.rfind("HTTP/1.1 ", 0) != 0) return response;
  response.code = std::atoi(text.c_str() + 9);
  const size_t end = text.find("\r\n\r\n");
  response.headers = text.substr(0, end);
  if (end != std::string::npos) response.body = text.substr(end + 4);
  return response;
}

inline HttpResponse SendHttp(int port, const std::string& request) {
  RawConnection connection(port);
  connection.Send(request);
  return ParseResponse(connection.ReadAll());
}

inline HttpResponse GetHttp(int port, const std::string& path) {
  return SendHttp(port, "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

}  // namespace costate

#endif  // COSTATE_TESTS_SERVER_HTTP_CLIENT_H_
