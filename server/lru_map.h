// A map that forgets what was not used for longest when it grows past its limits.
#ifndef COSTATE_SERVER_LRU_MAP_H_
#define COSTATE_SERVER_LRU_MAP_H_

#include <cstdint>
#include <iterator>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace costate {

// From strings to shared pointers of T. Not thread-safe.
template <typename Pointer>
class LruMap {
 public:
  LruMap(int64_t max_entries, int64_t max_bytes)
      : max_entries_(max_entries), max_bytes_(max_bytes) {}

  // Null if there is none. Counts as a use.
  Pointer Find(std::string_view key) {
    const auto place = index_.find(key);
    if (place == index_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, place->second);
    return place->second->value;
  }

  // `bytes` is what key and value occupy. A value larger than the whole map is not kept.
  void Insert(std::string key, Pointer value, int64_t bytes) {
    Erase(key);
    if (bytes > max_bytes_) return;
    entries_.push_front({std::move(key), std::move(value), bytes});
    index_.emplace(entries_.front().key, entries_.begin());
    bytes_ += bytes;
    while (bytes_ > max_bytes_ || static_cast<int64_t>(entries_.size()) > max_entries_) {
      Erase(entries_.back().key);
    }
  }

  bool Erase(std::string_view key) {
    const auto place = index_.find(key);
    if (place == index_.end()) return false;
    const auto entry = place->second;
    bytes_ -= entry->bytes;
    index_.erase(place);
    entries_.erase(entry);
    return true;
  }

  // The first `count` values in order of key whose key is greater than `key`. Not a use.
  std::vector<Pointer> After(std::string_view key, int64_t count) const {
    std::vector<Pointer> values;
    for (auto place = index_.upper_bound(key);
         place != index_.end() && static_cast<int64_t>(values.size()) < count; ++place) {
      values.push_back(place->second->value);
    }
    return values;
  }

  int64_t size() const { return static_cast<int64_t>(entries_.size()); }
  int64_t bytes() const { return bytes_; }

 private:
  struct Entry {
    std::string key;
    Pointer value;
    int64_t bytes;
  };

  int64_t max_entries_;
  int64_t max_bytes_;
  int64_t bytes_ = 0;
  std::list<Entry> entries_;  // most recently used first
  std::map<std::string_view, typename std::list<Entry>::iterator> index_;  // keys are in entries_
};

}  // namespace costate

#endif  // COSTATE_SERVER_LRU_MAP_H_
