// Structured logs: one JSON object a line.
//
//   log.Write(LogLevel::kInfo, "listening", {{"address", "localhost:4310"}, {"port", 4310}});
//   {"ts":"2024-05-01T12:00:00.123456Z","level":"info","event":"listening","address":...}
//
// Requests are described by sizes, names and durations; values of parameters, states and model
// texts are never logged.
#ifndef COSTATE_SERVER_LOG_H_
#define COSTATE_SERVER_LOG_H_

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace costate {

enum class LogLevel { kDebug, kInfo, kWarning, kError };

// "debug", "info", "warning", "error".
std::string_view LogLevelName(LogLevel level);
std::optional<LogLevel> FindLogLevel(std::string_view name);

// `text` as a JSON string with quotes; bytes that are not UTF-8 become U+FFFD.
std::string JsonString(std::string_view text);

struct LogField {
  LogField(std::string_view field_key, std::string_view text)
      : key(field_key), value(std::string(text)) {}
  LogField(std::string_view field_key, const char* text)
      : key(field_key), value(std::string(text)) {}
  LogField(std::string_view field_key, const std::string& text) : key(field_key), value(text) {}
  LogField(std::string_view field_key, int64_t number) : key(field_key), value(number) {}
  LogField(std::string_view field_key, int number) : key(field_key), value(int64_t{number}) {}
  LogField(std::string_view field_key, double number) : key(field_key), value(number) {}
  LogField(std::string_view field_key, bool flag) : key(field_key), value(flag) {}

  std::string key;
  std::variant<std::string, int64_t, double, bool> value;
};

// Thread-safety: all members may be called from any thread; lines do not mix.
class Log {
 public:
  using Sink = std::function<void(std::string_view line)>;  // the line ends with a newline
  using Clock = std::function<absl::Time()>;

  Log(LogLevel lowest, Sink sink, Clock clock = absl::Now);

  void Write(LogLevel level, std::string_view event, std::initializer_list<LogField> fields);

 private:
  const LogLevel lowest_;
  const Sink sink_;
  const Clock clock_;
  std::mutex mutex_;
};

// Writes to file descriptor 2, one system call a line.
Log::Sink StandardErrorSink();

}  // namespace costate

#endif  // COSTATE_SERVER_LOG_H_
