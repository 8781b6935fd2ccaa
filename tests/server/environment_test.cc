#include "server/environment.h"

#include <gtest/gtest.h>

#include "engine/base/field_error.h"

namespace costate {
namespace {

TEST(Environment, HandsOutItsParts) {
  Log log(LogLevel::kError, [](std::string_view) {});
  EnvironmentOptions options;
  options.max_message_bytes = 12345;
  const auto environment =
      Environment::Create(options, log, [] { return absl::FromUnixSeconds(7); });
  ASSERT_TRUE(environment.ok()) << environment.status();
  EXPECT_EQ((*environment)->now(), absl::FromUnixSeconds(7));
  EXPECT_EQ((*environment)->options().max_message_bytes, 12345);
  EXPECT_FALSE((*environment)->engine().evaluator().name().empty());
  EXPECT_EQ(&(*environment)->log(), &log);
  EXPECT_EQ((*environment)->kept_solves().max_bytes(), (*environment)->memory().total() / 4);
}

TEST(Environment, NeedsAScratchDirectoryThatIsOne) {
  Log log(LogLevel::kError, [](std::string_view) {});
  EnvironmentOptions options;
  for (const char* path : {"/no/such/directory", "/dev/null"}) {
    options.scratch_directory = path;
    const absl::Status status = Environment::Create(options, log).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(FieldOf(status).value_or(""), "--scratch-directory");
  }
  options.scratch_directory = testing::TempDir();
  EXPECT_TRUE(Environment::Create(options, log).ok());
}

}  // namespace
}  // namespace costate
