#include "server/model_registry.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "tests/server/compiled_model.h"

namespace costate {
namespace {

ModelEntryPtr Entry(const std::string& text) {
  auto entry = std::make_shared<ModelEntry>();
  entry->model = ModelOf(text);
  entry->text = text;
  entry->bytes = 100;
  return entry;
}

TEST(ModelRegistry, KeepsTheFirstOfAName) {
  ModelRegistry registry;
  const ModelEntryPtr first = registry.Register(Entry("state x = 1\nx' = -x\n"));
  EXPECT_EQ(registry.Register(Entry("state x = 1\nx' = -x # again\n")), first);
  EXPECT_EQ(*registry.Get(first->model->resource_name()), first);
}

TEST(ModelRegistry, NamesTheFieldOfWhatIsMissing) {
  ModelRegistry registry;
  const absl::Status status = registry.Get("models/x").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(FieldOf(status).value_or(""), "name");
  EXPECT_EQ(registry.Delete("models/x").code(), absl::StatusCode::kNotFound);
}

TEST(ModelRegistry, ForgetsPastItsSize) {
  ModelRegistry registry({.max_models = 3});
  for (int i = 0; i < 10; ++i)
    registry.Register(Entry(absl::StrCat("state x = ", i, "\nx' = x\n")));
  EXPECT_EQ(registry.List("", 100).size(), 3u);
}

TEST(ModelRegistry, RemembersTextsApartFromNames) {
  ModelRegistry registry;
  const ModelEntryPtr entry = Entry("state x = 1\nx' = -x\n");
  registry.KeepText(entry);
  EXPECT_EQ(registry.FindText(entry->text), entry);
  EXPECT_EQ(registry.FindText("state x = 2\nx' = -x\n"), nullptr);
  EXPECT_TRUE(registry.List("", 100).empty());
}

}  // namespace
}  // namespace costate
