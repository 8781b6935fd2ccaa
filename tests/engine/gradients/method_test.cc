#include "engine/gradients/method.h"

#include <set>
#include <string_view>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate {
namespace {

TEST(GradientMethod, EachHasANameOfItsOwnAndASource) {
  std::set<std::string_view> names;
  for (const GradientMethod method : AllGradientMethods()) {
    const GradientMethodInfo& info = GetGradientMethodInfo(method);
    EXPECT_EQ(info.method, method) << info.name;
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_THAT(info.citation, ::testing::Not(::testing::IsEmpty())) << info.name;
  }
  EXPECT_THAT(AllGradientMethods(), ::testing::Not(::testing::Contains(GradientMethod::kAuto)));
}

TEST(GradientMethod, FamiliesSayWhatIsDifferentiated) {
  const auto family = [](GradientMethod method) { return GetGradientMethodInfo(method).family; };
  EXPECT_EQ(family(GradientMethod::kForward), GradientFamily::kTangent);
  EXPECT_EQ(family(GradientMethod::kCheckpointed), GradientFamily::kDiscreteAdjoint);
  EXPECT_EQ(family(GradientMethod::kBacksolve), GradientFamily::kContinuousAdjoint);
  EXPECT_EQ(family(GradientMethod::kComplexStep), GradientFamily::kDifference);
}

}  // namespace
}  // namespace costate
