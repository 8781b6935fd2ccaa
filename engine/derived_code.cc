#include "engine/derived_code.h"

namespace costate {

DerivedCode::Entry DerivedCode::Find(const std::string& key) const {
  absl::MutexLock lock(&mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return nullptr;
  items_.splice(items_.begin(), items_, found->second);
  return items_.front().entry;
}

DerivedCode::Entry DerivedCode::Insert(const std::string& key, Entry entry) const {
  absl::MutexLock lock(&mutex_);
  const auto found = by_key_.find(key);
  if (found != by_key_.end()) return found->second->entry;
  items_.push_front({key, std::move(entry)});
  by_key_[key] = items_.begin();
  if (items_.size() > kCapacity) {
    by_key_.erase(items_.back().key);
    items_.pop_back();
  }
  return items_.front().entry;
}

size_t DerivedCode::size() const {
  absl::MutexLock lock(&mutex_);
  return items_.size();
}

}  // namespace costate
