#include "server/jobs/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace costate::jobs {
namespace {

// Only somebody with a shell can be in the way: stores lock their directory.
constexpr int kBusyMilliseconds = 2000;

// FULL: a commit is on the disk before it returns. The file gives space back when it is asked to.
constexpr char kWriterSettings[] =
    "PRAGMA auto_vacuum = INCREMENTAL;"
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "PRAGMA journal_size_limit = 67108864;"
    "PRAGMA cache_size = -16384;"
    "PRAGMA temp_store = MEMORY;"
    "PRAGMA trusted_schema = OFF;";
constexpr char kReaderSettings[] =
    "PRAGMA query_only = ON;"
    "PRAGMA cache_size = -4096;"
    "PRAGMA temp_store = MEMORY;"
    "PRAGMA trusted_schema = OFF;";

absl::StatusCode CodeOf(int code) {
  switch (code & 0xff) {
    case SQLITE_FULL:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_TOOBIG:
      return absl::StatusCode::kOutOfRange;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_PROTOCOL:
    case SQLITE_INTERRUPT:
      return absl::StatusCode::kUnavailable;
    default:
      return absl::StatusCode::kInternal;
  }
}

bool IsFailureOfDatabase(int code) {
  return CodeOf(code) != absl::StatusCode::kInternal && (code & 0xff) != SQLITE_TOOBIG;
}

}  // namespace

absl::Status SqliteStatus(int code) {
  const int primary = code & 0xff;
  if (primary == SQLITE_OK || primary == SQLITE_ROW || primary == SQLITE_DONE) {
    return absl::OkStatus();
  }
  return absl::Status(CodeOf(code),
                      absl::StrCat("job store: ", sqlite3_errstr(code), " (", code, ")"));
}

Rows::Rows(Connection* db, CachedStatement* statement, absl::Status status)
    : db_(db), statement_(statement), status_(std::move(status)) {}

Rows::Rows(Rows&& other) noexcept
    : db_(other.db_),
      statement_(std::exchange(other.statement_, nullptr)),
      status_(std::move(other.status_)) {}

Rows::~Rows() {
  if (statement_ != nullptr) db_->GiveBack(statement_);
}

bool Rows::Next() {
  if (!status_.ok() || statement_ == nullptr) return false;
  const int code = sqlite3_step(statement_->handle);
  if (code == SQLITE_ROW) return true;
  status_ = db_->Note(code);
  db_->GiveBack(std::exchange(statement_, nullptr));
  return false;
}

int64_t Rows::Int(int column) const { return sqlite3_column_int64(statement_->handle, column); }
double Rows::Double(int column) const { return sqlite3_column_double(statement_->handle, column); }

std::string_view Rows::Text(int column) const {
  const auto* text = sqlite3_column_text(statement_->handle, column);
  if (text == nullptr) return {};
  return {reinterpret_cast<const char*>(text),
          static_cast<size_t>(sqlite3_column_bytes(statement_->handle, column))};
}

std::string_view Rows::Bytes(int column) const {
  const void* bytes = sqlite3_column_blob(statement_->handle, column);
  if (bytes == nullptr) return {};
  return {static_cast<const char*>(bytes),
          static_cast<size_t>(sqlite3_column_bytes(statement_->handle, column))};
}

bool Rows::IsNull(int column) const {
  return sqlite3_column_type(statement_->handle, column) == SQLITE_NULL;
}

std::optional<int64_t> Rows::OptionalInt(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Int(column);
}

std::optional<double> Rows::OptionalDouble(int column) const {
  if (IsNull(column)) return std::nullopt;
  return Double(column);
}

absl::StatusOr<std::unique_ptr<Connection>> Connection::Open(const std::string& path, Mode mode) {
  sqlite3* handle = nullptr;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (path.empty()) flags |= SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY;
  const int code =
      sqlite3_open_v2(path.empty() ? ":memory:" : path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Connection> db(new Connection(handle));
  RETURN_IF_ERROR(SqliteStatus(code));
  sqlite3_busy_timeout(handle, kBusyMilliseconds);
  RETURN_IF_ERROR(db->Script(mode == Mode::kWriter ? kWriterSettings : kReaderSettings));
  return db;
}

Connection::~Connection() {
  for (auto& [sql, statement] : statements_) sqlite3_finalize(statement->handle);
  sqlite3_close(handle_);
}

absl::StatusOr<CachedStatement*> Connection::Take(std::string_view sql) {
  const auto found = statements_.find(sql);
  if (found != statements_.end() && !found->second->in_use) {
    found->second->in_use = true;
    return found->second.get();
  }
  auto statement = std::make_unique<CachedStatement>();
  const unsigned flags = SQLITE_PREPARE_PERSISTENT;
  RETURN_IF_ERROR(Note(sqlite3_prepare_v3(handle_, sql.data(), static_cast<int>(sql.size()), flags,
                                          &statement->handle, nullptr)));
  statement->in_use = true;
  statement->kept = found == statements_.end();
  if (!statement->kept) return statement.release();
  return (statements_[std::string(sql)] = std::move(statement)).get();
}

void Connection::GiveBack(CachedStatement* statement) {
  if (!statement->kept) {
    sqlite3_finalize(statement->handle);
    delete statement;
    return;
  }
  sqlite3_reset(statement->handle);
  sqlite3_clear_bindings(statement->handle);
  statement->in_use = false;
}

absl::Status Connection::Note(int code) {
  absl::Status status = SqliteStatus(code);
  if (!status.ok() && IsFailureOfDatabase(code)) failure_.Update(status);
  return status;
}

int Connection::Bind(CachedStatement& statement, int index, bool, int64_t value) {
  return sqlite3_bind_int64(statement.handle, index, value);
}

int Connection::Bind(CachedStatement& statement, int index, bool, double value) {
  return sqlite3_bind_double(statement.handle, index, value);
}

int Connection::Bind(CachedStatement& statement, int index, bool copy, std::string_view value) {
  return sqlite3_bind_text64(statement.handle, index, value.empty() ? "" : value.data(),
                             value.size(), copy ? SQLITE_TRANSIENT : SQLITE_STATIC, SQLITE_UTF8);
}

int Connection::Bind(CachedStatement& statement, int index, bool copy, Blob value) {
  return sqlite3_bind_blob64(statement.handle, index, value.bytes.empty() ? "" : value.bytes.data(),
                             value.bytes.size(), copy ? SQLITE_TRANSIENT : SQLITE_STATIC);
}

int Connection::BindNull(CachedStatement& statement, int index) {
  return sqlite3_bind_null(statement.handle, index);
}

absl::Status Connection::Script(const std::string& sql) {
  return Note(sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr));
}

absl::StatusOr<int64_t> Connection::QueryInt(std::string_view sql) {
  Rows rows = Query(sql);
  const int64_t value = rows.Next() ? rows.Int(0) : 0;
  RETURN_IF_ERROR(rows.status());
  return value;
}

std::vector<std::string> Connection::Statements() const {
  std::vector<std::string> texts;
  for (const auto& [sql, statement] : statements_) texts.push_back(sql);
  return texts;
}

int64_t Connection::changed_rows() const { return sqlite3_changes64(handle_); }
bool Connection::in_transaction() const { return sqlite3_get_autocommit(handle_) == 0; }

}  // namespace costate::jobs
