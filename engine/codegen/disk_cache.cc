#include "engine/codegen/disk_cache.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace costate::codegen {
namespace {

namespace fs = std::filesystem;

// File: magic, key, scratch size, number of objects, size of each, objects, hash of all that.
constexpr char kMagic[] = "costate-kernel-1";
constexpr size_t kMagicSize = sizeof(kMagic) - 1;
constexpr char kSuffix[] = ".kernel";
constexpr char kTemporarySuffix[] = ".part";
constexpr uint64_t kMaxObjects = 1 << 20;

void AppendInteger(std::string& out, uint64_t value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string_view AsBytes(const CacheKey& key) {
  return {reinterpret_cast<const char*>(key.data()), key.size()};
}

std::string Encode(const CacheKey& key, const CachedObjects& cached) {
  std::string out(kMagic, kMagicSize);
  out.append(AsBytes(key));
  AppendInteger(out, static_cast<uint64_t>(cached.scratch_size));
  AppendInteger(out, cached.objects.size());
  for (const std::string& object : cached.objects) AppendInteger(out, object.size());
  for (const std::string& object : cached.objects) out += object;
  const CacheKey checksum = HashBytes(out);
  out.append(AsBytes(checksum));
  return out;
}

// Takes pieces off the front; `ok` stays false once something was missing.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  std::string_view Take(size_t size) {
    if (size > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view piece = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return piece;
  }
  uint64_t TakeInteger() {
    const std::string_view piece = Take(sizeof(uint64_t));
    uint64_t value = 0;
    if (ok_) std::memcpy(&value, piece.data(), sizeof(value));
    return value;
  }
  bool ok() const { return ok_; }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

std::optional<CachedObjects> Decode(const CacheKey& key, std::string_view bytes) {
  if (bytes.size() < sizeof(CacheKey)) return std::nullopt;
  const std::string_view content = bytes.substr(0, bytes.size() - sizeof(CacheKey));
  if (AsBytes(HashBytes(content)) != bytes.substr(content.size())) return std::nullopt;
  Reader reader(content);
  if (reader.Take(kMagicSize) != std::string_view(kMagic, kMagicSize)) return std::nullopt;
  if (reader.Take(sizeof(CacheKey)) != AsBytes(key)) return std::nullopt;
  CachedObjects cached;
  cached.scratch_size = static_cast<int64_t>(reader.TakeInteger());
  const uint64_t count = reader.TakeInteger();
  if (!reader.ok() || count > kMaxObjects || cached.scratch_size < 0) return std::nullopt;
  std::vector<uint64_t> sizes;
  for (uint64_t i = 0; i < count; ++i) sizes.push_back(reader.TakeInteger());
  for (uint64_t size : sizes) cached.objects.emplace_back(reader.Take(size));
  if (!reader.ok() || !reader.empty()) return std::nullopt;
  return cached;
}

struct Entry {
  fs::path path;
  int64_t bytes;
  fs::file_time_type used;
};

std::vector<Entry> ListEntries(const std::string& directory) {
  std::vector<Entry> entries;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string extension = it->path().extension().string();
    if (extension != kSuffix && extension != kTemporarySuffix) continue;
    std::error_code gone;
    const auto size = it->file_size(gone);
    if (gone) continue;
    const auto used = it->last_write_time(gone);
    if (!gone) entries.push_back({it->path(), static_cast<int64_t>(size), used});
  }
  return entries;
}

// Into a new file beside `path`, of a name no other writer has in any process; empty on failure.
std::string WriteTemporary(const std::string& path, std::string_view bytes) {
  std::string name = absl::StrCat(path, ".XXXXXX", kTemporarySuffix);
  const int suffix = static_cast<int>(std::string_view(kTemporarySuffix).size());
  const int fd = mkostemps(name.data(), suffix, O_CLOEXEC);
  if (fd < 0) return "";
  bool ok = true;
  while (ok && !bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    ok = written > 0;
    if (ok) bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (close(fd) == 0 && ok) return name;
  unlink(name.c_str());
  return "";
}

}  // namespace

absl::StatusOr<std::unique_ptr<DiskCache>> DiskCache::Open(const std::string& directory,
                                                           int64_t max_bytes) {
  std::error_code error;
  const fs::path parent = fs::path(directory).parent_path();
  if (!parent.empty()) fs::create_directories(parent, error);
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot create cache directory ", directory, ": ", std::strerror(errno)));
  }
  struct stat info;
  if (stat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
    return absl::FailedPreconditionError(absl::StrCat(directory, " is not a directory"));
  }
  if (info.st_uid != geteuid() || (info.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("cache directory ", directory, " can be written by other users"));
  }
  auto cache = std::unique_ptr<DiskCache>(new DiskCache(directory, max_bytes));
  const std::lock_guard lock(cache->mutex_);
  cache->MeasureAndEvict();
  return cache;
}

std::string DiskCache::PathOf(const CacheKey& key) const {
  return absl::StrCat(directory_, "/", KeyToHex(key), kSuffix);
}

std::optional<CachedObjects> DiskCache::Load(const CacheKey& key) {
  const std::string path = PathOf(key);
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::optional<CachedObjects> cached = Decode(key, bytes);
  if (!cached.has_value()) {
    Remove(key);
    return std::nullopt;
  }
  std::error_code ignored;
  fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
  return cached;
}

void DiskCache::Store(const CacheKey& key, const CachedObjects& objects) {
  const std::string bytes = Encode(key, objects);
  if (static_cast<int64_t>(bytes.size()) > max_bytes_) return;
  const std::string path = PathOf(key);
  const std::lock_guard lock(mutex_);
  const std::string temporary = WriteTemporary(path, bytes);
  if (temporary.empty()) return;
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    unlink(temporary.c_str());
    return;
  }
  bytes_ += static_cast<int64_t>(bytes.size());
  if (bytes_ > max_bytes_) MeasureAndEvict();
}

void DiskCache::Remove(const CacheKey& key) { unlink(PathOf(key).c_str()); }

void DiskCache::MeasureAndEvict() {
  std::vector<Entry> entries = ListEntries(directory_);
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.used < b.used; });
  bytes_ = 0;
  for (const Entry& entry : entries) bytes_ += entry.bytes;
  for (const Entry& entry : entries) {
    if (bytes_ <= max_bytes_) break;
    std::error_code ignored;
    if (fs::remove(entry.path, ignored)) bytes_ -= entry.bytes;
  }
}

}  // namespace costate::codegen
