// The HTTP side against well-behaved and hostile clients.
#include "server/http_listener.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/process_stats.h"
#include "tests/server/http_client.h"

namespace costate {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;
using ::testing::HasSubstr;

class HttpListenerTest : public ::testing::Test {
 protected:
  HttpListenerTest() {
    auto listener = HttpListener::Start("127.0.0.1:0", [this](std::string_view path) {
      ++handled_;
      if (path == "/large") return HttpAnswer{200, "text/plain", std::string(16 << 20, 'x')};
      return HttpAnswer{path == "/" ? 200 : 404, "text/x-test", std::string(path)};
    });
    EXPECT_TRUE(listener.ok()) << listener.status();
    listener_ = *std::move(listener);
  }
  int port() const { return listener_->port(); }

  std::atomic<int> handled_{0};
  std::unique_ptr<HttpListener> listener_;
};

TEST_F(HttpListenerTest, AnswersAndCloses) {
  const HttpResponse response = GetHttp(port(), "/?query=1");
  EXPECT_EQ(response.code, 200);
  EXPECT_EQ(response.body, "/") << "the path has no query";
  EXPECT_THAT(response.headers, HasSubstr("Content-Type: text/x-test"));
  EXPECT_THAT(response.headers, HasSubstr("Content-Length: 1"));
  EXPECT_THAT(response.headers, HasSubstr("Connection: close"));
  EXPECT_EQ(GetHttp(port(), "/other").code, 404);
}

TEST_F(HttpListenerTest, HeadHasHeadersOnly) {
  const HttpResponse response = SendHttp(port(), "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(response.code, 200);
  EXPECT_THAT(response.headers, HasSubstr("Content-Length: 1"));
  EXPECT_EQ(response.body, "");
}

TEST_F(HttpListenerTest, OtherMethodsDoNotReachTheHandler) {
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "PATCH"}) {
    const HttpResponse response = SendHttp(
        port(), std::string(method) + " / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    EXPECT_EQ(response.code, 405) << method;
  }
  EXPECT_EQ(handled_, 0);
}

TEST_F(HttpListenerTest, ServesNoFiles) {
  for (const char* path : {"/etc/passwd", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
                           "//etc/passwd", "/cgi-bin/x.cgi"}) {
    EXPECT_THAT(GetHttp(port(), path).body, Not(HasSubstr("root:"))) << path;
    EXPECT_NE(GetHttp(port(), path).code, 200) << path;
  }
}

TEST_F(HttpListenerTest, RefusesHugeHeaders) {
  const HttpResponse line =
      SendHttp(port(), "GET /" + std::string(100'000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_NE(line.code, 200);
  const HttpResponse header =
      SendHttp(port(), "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(1 << 20, 'a') + "\r\n\r\n");
  EXPECT_NE(header.code, 200);
  std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 10'000; ++i) many += "X" + std::to_string(i) + ": 1\r\n";
  EXPECT_NE(SendHttp(port(), many + "\r\n").code, 200);
  EXPECT_EQ(handled_, 0);
  EXPECT_EQ(GetHttp(port(), "/").code, 200) << "and goes on";
}

TEST_F(HttpListenerTest, RefusesWhatIsNoHttp) {
  for (const std::string& garbage :
       {std::string("\x16\x03\x01\x02\x00", 5), std::string("GET\r\n\r\n"), std::string("\r\n\r\n"),
        std::string("GET / HTTP/9.9\r\n\r\n"), std::string(1000, '\0') + "\r\n\r\n",
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")}) {
    EXPECT_NE(SendHttp(port(), garbage).code, 200);
  }
  EXPECT_EQ(handled_, 0);
  EXPECT_EQ(GetHttp(port(), "/").code, 200);
}

// A client that sends a byte now and then is cut off by the whole request's time, not by the pause
// between bytes.
TEST_F(HttpListenerTest, CutsOffSlowRequests) {
  const auto start = steady_clock::now();
  RawConnection slow(port());
  std::atomic<bool> done{false};
  std::thread drip([&] {
    slow.Send("GET / HTTP/1.1\r\n");
    while (!done && slow.Send("X: y\r\n")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  });
  const std::string answer = slow.ReadAll();
  done = true;
  drip.join();
  EXPECT_NE(ParseResponse(answer).code, 200);
  EXPECT_LT(steady_clock::now() - start, seconds(30));
  EXPECT_EQ(handled_, 0);
}

// Many at once: threads and descriptors stay bounded, and the server comes back.
TEST_F(HttpListenerTest, ManyConnectionsAreBounded) {
  GetHttp(port(), "/");
  const ProcessStats before = ReadProcessStats();
  std::vector<RawConnection> idle;
  for (int i = 0; i < 20; ++i) {
    idle.emplace_back(port());
    idle.back().Send("GET / HT");
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const ProcessStats during = ReadProcessStats();
  EXPECT_EQ(during.threads, before.threads);
  // Each connection is a descriptor of this test, and at most one of the server.
  EXPECT_LE(during.open_fds, before.open_fds + 2 * static_cast<int64_t>(idle.size()));
  idle.clear();
  EXPECT_EQ(GetHttp(port(), "/").code, 200);
}

TEST_F(HttpListenerTest, ReadersThatStopAreCutOff) {
  RawConnection reader(port());
  reader.Send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
  while (handled_ == 0) std::this_thread::yield();
  // It reads nothing; the listener can still be ended, since the write gives up.
  const auto start = steady_clock::now();
  listener_.reset();
  EXPECT_LT(steady_clock::now() - start, seconds(30));
}

// A body that never ends is not read.
TEST_F(HttpListenerTest, IgnoresBodies) {
  RawConnection sender(port());
  sender.Send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n");
  const auto start = steady_clock::now();
  const std::string block(1 << 16, 'x');
  while (sender.Send(block) && steady_clock::now() - start < seconds(30)) {
  }
  EXPECT_LT(steady_clock::now() - start, seconds(30));
  EXPECT_EQ(GetHttp(port(), "/").code, 200);
}

TEST(HttpAddressTest, KnowsLoopback) {
  struct Case {
    const char* text;
    const char* host;
    int port;
    bool loopback;
  };
  for (const Case& c :
       {Case{"localhost:9464", "127.0.0.1", 9464, true}, Case{"127.0.0.1:0", "127.0.0.1", 0, true},
        Case{"127.9.8.7:1", "127.9.8.7", 1, true}, Case{"[::1]:5", "::1", 5, true},
        Case{"0.0.0.0:5", "0.0.0.0", 5, false}, Case{"[::]:5", "::", 5, false},
        Case{"192.0.2.1:5", "192.0.2.1", 5, false}}) {
    const absl::StatusOr<HttpAddress> address = ParseHttpAddress(c.text);
    ASSERT_TRUE(address.ok()) << c.text;
    EXPECT_EQ(address->host, c.host);
    EXPECT_EQ(address->port, c.port);
    EXPECT_EQ(address->loopback, c.loopback) << c.text;
  }
}

TEST(HttpAddressTest, RefusesOtherTexts) {
  for (const char* text : {"", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000",
                           "127.0.0.1:-1", "127.0.0.1:1,0.0.0.0:2", "example.com:1", "::1:5",
                           "127.1:80", "localhost.:1", "[127.0.0.1]:1", "127.0.0.1:80s"}) {
    EXPECT_EQ(ParseHttpAddress(text).status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(HttpListenerStart, SaysWhenThePortIsTaken) {
  const auto handler = [](std::string_view) { return HttpAnswer{}; };
  const auto first = HttpListener::Start("127.0.0.1:0", handler);
  ASSERT_TRUE(first.ok());
  const auto second = HttpListener::Start("127.0.0.1:" + std::to_string((*first)->port()), handler);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
}

TEST(HttpListenerStart, ListensOnIpv6Loopback) {
  const auto listener =
      HttpListener::Start("[::1]:0", [](std::string_view) { return HttpAnswer{}; });
  if (!listener.ok()) GTEST_SKIP() << "no IPv6 here";
  EXPECT_GT((*listener)->port(), 0);
}

}  // namespace
}  // namespace costate
