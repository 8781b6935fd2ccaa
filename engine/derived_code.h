// Models and kernels made from a model on demand, kept with it: the model with a running loss, with
// tangents, the kernels of an expression.
//
//   ASSIGN_OR_RETURN(std::shared_ptr<const Model> more,
//                    model.derived().Get<Model>("tangents", [&](auto evaluator) { ... }));
#ifndef COSTATE_ENGINE_DERIVED_CODE_H_
#define COSTATE_ENGINE_DERIVED_CODE_H_

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "engine/model/evaluator.h"

namespace costate {

// Kept by key, least recently used out. What is asked for lives as long as its holder.
// Thread-safety: all members may be called from any thread.
class DerivedCode {
 public:
  static constexpr size_t kCapacity = 32;

  explicit DerivedCode(std::shared_ptr<Evaluator> evaluator) : evaluator_(std::move(evaluator)) {}

  // What `make` returned for this key, now or before. The key names the type and, together with the
  // model, all of the content. Two threads may make the same thing at once; one of them is kept.
  template <typename T>
  absl::StatusOr<std::shared_ptr<const T>> Get(
      const std::string& key,
      absl::FunctionRef<absl::StatusOr<std::shared_ptr<const T>>(std::shared_ptr<Evaluator>)> make)
      const {
    if (Entry found = Find(key); found != nullptr) return std::static_pointer_cast<const T>(found);
    absl::StatusOr<std::shared_ptr<const T>> made = make(evaluator_);
    if (!made.ok()) return made;
    return std::static_pointer_cast<const T>(Insert(key, *std::move(made)));
  }

  size_t size() const;

 private:
  using Entry = std::shared_ptr<const void>;
  struct Item {
    std::string key;
    Entry entry;
  };

  Entry Find(const std::string& key) const;
  Entry Insert(const std::string& key, Entry entry) const;

  const std::shared_ptr<Evaluator> evaluator_;
  mutable absl::Mutex mutex_;
  mutable std::list<Item> items_ ABSL_GUARDED_BY(mutex_);  // most recent first
  mutable absl::flat_hash_map<std::string, std::list<Item>::iterator> by_key_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace costate

#endif  // COSTATE_ENGINE_DERIVED_CODE_H_
