#include "server/model_registry.h"

#include <utility>

#include "engine/base/field_error.h"

namespace costate {
namespace {

absl::Status NotFound(const std::string& name) {
  return FieldStatus(absl::StatusCode::kNotFound, "name",
                     "no model " + name + " is registered; create it again, or send it inline");
}

}  // namespace

ModelRegistry::ModelRegistry(const ModelRegistryOptions& options)
    : registered_(options.max_models, options.max_bytes),
      texts_(limits::kMaxCachedTexts, limits::kMaxCachedTextBytes) {}

ModelEntryPtr ModelRegistry::Register(ModelEntryPtr entry) {
  const std::string& name = entry->model->resource_name();
  const std::lock_guard<std::mutex> lock(mutex_);
  if (ModelEntryPtr known = registered_.Find(name); known != nullptr) return known;
  registered_.Insert(name, entry, entry->bytes);
  return entry;
}

absl::StatusOr<ModelEntryPtr> ModelRegistry::Get(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  ModelEntryPtr entry = registered_.Find(name);
  if (entry == nullptr) return NotFound(name);
  return entry;
}

absl::Status ModelRegistry::Delete(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return registered_.Erase(name) ? absl::OkStatus() : NotFound(name);
}

std::vector<ModelEntryPtr> ModelRegistry::List(const std::string& name, int64_t count) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return registered_.After(name, count);
}

ModelEntryPtr ModelRegistry::FindText(const std::string& text) {
  const std::lock_guard<std::mutex> lock(mutex_);
  return texts_.Find(text);
}

void ModelRegistry::KeepText(ModelEntryPtr entry) {
  const int64_t bytes = entry->bytes;
  std::string key = entry->text;
  const std::lock_guard<std::mutex> lock(mutex_);
  texts_.Insert(std::move(key), std::move(entry), bytes);
}

}  // namespace costate
