#include "engine/tensor_index.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::Batch;
using ::costate::testing::CompileText;
using ::costate::testing::Scalar;
using ::costate::testing::Simulate;

constexpr char kText[] =
    "model m\nparam rate = 2\nparam W[2] = [3, 4]\nstate v = 1\nstate y[2] = [5, 7]\n"
    "state M[2, 2] = zeros(2, 2)\nv' = 0\ny' = rate*W*y\nM' = -M\n";

TEST(TensorIndex, FindsTheSameByScanAndByTable) {
  const auto model = CompileText(kText);
  for (const size_t lookups : {1, 100}) {
    const TensorIndex index(model->ir().params, lookups);
    ASSERT_NE(index.Find("W"), nullptr);
    EXPECT_EQ(index.Find("W")->offset, 1);
    EXPECT_EQ(index.Find("rate"), model->ir().params.data());
    EXPECT_EQ(index.Find("w"), nullptr);
  }
}

TEST(ElementName, CountsRowMajor) {
  const std::vector<TensorInfo>& states = CompileText(kText)->ir().states;
  const std::vector<std::string> names = {"v",      "y[0]",   "y[1]",  "M[0,0]",
                                          "M[0,1]", "M[1,0]", "M[1,1]"};
  for (size_t i = 0; i < names.size(); ++i) EXPECT_EQ(ElementName(states, i), names[i]);
  EXPECT_EQ(ElementName(states, -1), "");
  EXPECT_EQ(ElementName(states, 7), "");
  EXPECT_EQ(ElementName({}, 0), "");
}

TEST(ExpectBatch, TakesTheLargestAxis) {
  Simulation simulation = Simulate(CompileText(kText), 0, 1);
  EXPECT_EQ(ExpectBatch(simulation).trajectories, 1);
  simulation.t1 = {1, 2, 3};
  EXPECT_EQ(ExpectBatch(simulation).trajectories, 3);
  EXPECT_FALSE(ExpectBatch(simulation).params_batched);
  simulation.params = {{.name = "W", .shape = {2}, .values = {1, 2}}, Scalar("rate", 1)};
  EXPECT_EQ(ExpectBatch(simulation).trajectories, 3) << "no axis but those of the tensors";
  simulation.params = {Scalar("unknown", 1), Batch("rate", {1, 2, 3, 4})};
  EXPECT_EQ(ExpectBatch(simulation).trajectories, 4);
  EXPECT_TRUE(ExpectBatch(simulation).params_batched);
  simulation.initial_state = {{.name = "v", .shape = {-5}, .values = {}}};
  EXPECT_EQ(ExpectBatch(simulation).trajectories, 4) << "a negative size is refused later";
}

}  // namespace
}  // namespace costate
