// A thin layer over SQLite: a connection with its prepared statements.
//
//   Rows rows = db.Query("SELECT id, state FROM job WHERE seq < ?", seq);
//   while (rows.Next()) Use(rows.Text(0), rows.Int(1));
//   RETURN_IF_ERROR(rows.status());
//   RETURN_IF_ERROR(db.Execute("UPDATE job SET state = ? WHERE seq = ?", state, seq));
//
// Errors: RESOURCE_EXHAUSTED when the disk is full, DATA_LOSS for a damaged file, UNAVAILABLE when
// it is busy or cannot be read or written, OUT_OF_RANGE for a value of more than 10^9 bytes,
// INTERNAL for what is a mistake of the caller. Their texts name neither files nor statements.
#ifndef COSTATE_SERVER_JOBS_SQLITE_H_
#define COSTATE_SERVER_JOBS_SQLITE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace costate::jobs {

// Bound as BLOB; strings are bound as TEXT.
struct Blob {
  std::string_view bytes;
};

// The status of an (extended) result code of SQLite; OK for SQLITE_OK, _ROW and _DONE.
absl::Status SqliteStatus(int code);

struct CachedStatement {
  sqlite3_stmt* handle = nullptr;
  bool in_use = false;
  bool kept = true;  // by the connection; one more of a text that is in use is not
};

class Connection;

// The answer to a statement, row by row. Must not outlive its connection.
class Rows {
 public:
  Rows(Connection* db, CachedStatement* statement, absl::Status status);
  Rows(Rows&& other) noexcept;
  Rows& operator=(Rows&&) = delete;
  ~Rows();

  // False at the end and at an error; see status().
  bool Next();
  const absl::Status& status() const { return status_; }

  // Columns from 0. What is NULL reads as 0, 0.0 or "". Views live until the next call of Next.
  int64_t Int(int column) const;
  double Double(int column) const;
  std::string_view Text(int column) const;
  std::string_view Bytes(int column) const;
  bool IsNull(int column) const;
  std::optional<int64_t> OptionalInt(int column) const;
  std::optional<double> OptionalDouble(int column) const;

 private:
  Connection* db_;
  CachedStatement* statement_;  // null after an error of preparing
  absl::Status status_;
};

// Not thread-safe: one thread at a time.
class Connection {
 public:
  enum class Mode { kWriter, kReader };

  // An existing file; an empty path is a new database in memory.
  static absl::StatusOr<std::unique_ptr<Connection>> Open(const std::string& path, Mode mode);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Values are copied. `sql` is one statement; it is prepared once and kept.
  template <typename... Values>
  Rows Query(std::string_view sql, const Values&... values) {
    return Start(sql, /*copy=*/true, values...);
  }

  // Runs to the end; rows are dropped.
  template <typename... Values>
  absl::Status Execute(std::string_view sql, const Values&... values) {
    Rows rows = Start(sql, /*copy=*/false, values...);
    while (rows.Next()) {
    }
    return rows.status();
  }

  // Several statements without values, not kept.
  absl::Status Script(const std::string& sql);

  // The first column of the first row; 0 if there is none.
  absl::StatusOr<int64_t> QueryInt(std::string_view sql);

  // The texts of all statements it has kept, for tests of how they are carried out.
  std::vector<std::string> Statements() const;

  int64_t changed_rows() const;  // by the last statement that changed any
  bool in_transaction() const;

  // Since ClearFailure: whether the database itself failed (was full, unreadable, damaged), after
  // which the transaction cannot be trusted.
  const absl::Status& failure() const { return failure_; }
  void ClearFailure() { failure_ = absl::OkStatus(); }

 private:
  friend class Rows;
  explicit Connection(sqlite3* handle) : handle_(handle) {}

  template <typename... Values>
  Rows Start(std::string_view sql, [[maybe_unused]] bool copy, const Values&... values) {
    absl::StatusOr<CachedStatement*> statement = Take(sql);
    if (!statement.ok()) return Rows(this, nullptr, statement.status());
    int index = 0;
    int code = 0;
    ((code = code == 0 ? Bind(**statement, ++index, copy, values) : code), ...);
    return Rows(this, *statement, Note(code));
  }

  absl::StatusOr<CachedStatement*> Take(std::string_view sql);
  void GiveBack(CachedStatement* statement);
  absl::Status Note(int code);  // as SqliteStatus, kept in failure_ where it belongs there

  int Bind(CachedStatement& statement, int index, bool copy, int64_t value);
  int Bind(CachedStatement& statement, int index, bool copy, int value) {
    return Bind(statement, index, copy, int64_t{value});
  }
  int Bind(CachedStatement& statement, int index, bool copy, bool value) {
    return Bind(statement, index, copy, int64_t{value});
  }
  int Bind(CachedStatement& statement, int index, bool copy, double value);
  int Bind(CachedStatement& statement, int index, bool copy, std::string_view value);
  int Bind(CachedStatement& statement, int index, bool copy, const std::string& value) {
    return Bind(statement, index, copy, std::string_view(value));
  }
  int Bind(CachedStatement& statement, int index, bool copy, Blob value);
  int BindNull(CachedStatement& statement, int index);
  template <typename T>
  int Bind(CachedStatement& statement, int index, bool copy, const std::optional<T>& value) {
    return value.has_value() ? Bind(statement, index, copy, *value) : BindNull(statement, index);
  }

  sqlite3* const handle_;
  std::map<std::string, std::unique_ptr<CachedStatement>, std::less<>> statements_;
  absl::Status failure_;
};

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_SQLITE_H_
