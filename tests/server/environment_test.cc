#include "server/environment.h"

#include <gtest/gtest.h>

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
}

}  // namespace
}  // namespace costate
