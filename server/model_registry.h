// The models a server knows: registered ones by name, and inline texts that were parsed before.
#ifndef COSTATE_SERVER_MODEL_REGISTRY_H_
#define COSTATE_SERVER_MODEL_REGISTRY_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "engine/engine.h"
#include "server/limits.h"
#include "server/lru_map.h"

namespace costate {

// A compiled model with the text it came from; immutable.
struct ModelEntry {
  std::shared_ptr<const Model> model;
  std::string text;        // empty for a graph
  std::string graph;       // serialised costate.v1.Graph of a registered one that came as such
  int64_t bytes = 0;       // estimated size of all of it
  absl::Time create_time;  // when it was registered
};
using ModelEntryPtr = std::shared_ptr<const ModelEntry>;

struct ModelRegistryOptions {
  int64_t max_models = limits::kMaxRegisteredModels;
  int64_t max_bytes = limits::kMaxRegisteredTextBytes;
};

// Thread-safety: all members may be called from any thread.
class ModelRegistry {
 public:
  explicit ModelRegistry(const ModelRegistryOptions& options = {});

  // Registers `entry`, unless there is one of its name; returns the one registered.
  ModelEntryPtr Register(ModelEntryPtr entry);
  absl::StatusOr<ModelEntryPtr> Get(const std::string& name);  // NOT_FOUND
  absl::Status Delete(const std::string& name);                // NOT_FOUND
  // At most `count` entries in order of name, from the one after `name` on ("" for the first).
  std::vector<ModelEntryPtr> List(const std::string& name, int64_t count) const;

  // Inline models, by text. Null if unknown.
  ModelEntryPtr FindText(const std::string& text);
  void KeepText(ModelEntryPtr entry);

 private:
  mutable std::mutex mutex_;
  LruMap<ModelEntryPtr> registered_;
  LruMap<ModelEntryPtr> texts_;
};

}  // namespace costate

#endif  // COSTATE_SERVER_MODEL_REGISTRY_H_
