#include "engine/fit/element_name.h"

#include <vector>

#include "engine/base/field_error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace costate::fit {
namespace {

std::vector<TensorInfo> Tensors() {
  TensorInfo b, w;
  b.name = "b";
  w.name = "W";
  w.shape = {2, 3};
  w.offset = 1;
  return {b, w};
}

TEST(ElementName, FindsTensorsAndElements) {
  const std::vector<TensorInfo> tensors = Tensors();
  const TensorIndex index(tensors, 4);
  const NamedElements b = FindElements(index, "b", "f").value();
  EXPECT_EQ(b.offset, 0);
  EXPECT_EQ(b.size, 1);
  const NamedElements all = FindElements(index, "W", "f").value();
  EXPECT_EQ(all.offset, 1);
  EXPECT_EQ(all.size, 6);
  const NamedElements one = FindElements(index, "W[1,2]", "f").value();
  EXPECT_EQ(one.offset, 6);
  EXPECT_EQ(one.size, 1);
  EXPECT_EQ(FindElements(index, "c", "f")->tensor, nullptr);
  EXPECT_EQ(FindElements(index, "", "f")->tensor, nullptr);
}

TEST(ElementName, RefusesIndicesThatAreNotThere) {
  const std::vector<TensorInfo> tensors = Tensors();
  const TensorIndex index(tensors, 4);
  for (const char* name : {"W[2,0]", "W[0]", "W[0,-1]", "W[0,1", "W[]", "W[a,0]", "W[0,1]x", "b[0]",
                           "W[0,1,0]", "W[99999999999999999999,0]", "W["}) {
    const auto found = FindElements(index, name, "free[2].name");
    ASSERT_FALSE(found.ok()) << name;
    EXPECT_EQ(FieldOf(found.status()), "free[2].name");
  }
}

}  // namespace
}  // namespace costate::fit
