#include "engine/model_maps.h"

#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "tests/engine/engine_fixture.h"

namespace costate {
namespace {

using ::costate::testing::CompileText;

constexpr char kText[] =
    "model m\nparam a = 2\nparam W[2] = [3, 4]\nstate y[2] = [a, t]\n"
    "y' = a*W*y + [t, 0]\noutput s = sum(y)\n";

TEST(ModelMaps, SizesFollowTheSignature) {
  const auto model = CompileText(kText);
  EXPECT_EQ(model->rhs().num_states(), 2);
  EXPECT_EQ(model->rhs().num_params(), 3);
  EXPECT_EQ(model->rhs().num_values(), 2);
  EXPECT_EQ(model->init().num_states(), 0);
  EXPECT_EQ(model->init().num_params(), 3);
  EXPECT_EQ(model->init().num_values(), 2);
  EXPECT_EQ(model->outputs().num_values(), 1);
}

// f = a W y + (t, 0) in one lane.
TEST(ModelMaps, KernelsOfEveryKind) {
  const auto model = CompileText(kText);
  const VectorField& f = model->rhs();
  const double t = 1, y[] = {5, 6}, p[] = {2, 3, 4};
  const double d_t = 1, d_y[] = {1, 0}, d_p[] = {0, 1, 0}, c[] = {1, 10};
  double c_t, c_y[2], c_p[3], dy[2];
  for (const MapKernel kind : {MapKernel::kValue, MapKernel::kJvp, MapKernel::kTangentBlock}) {
    const auto kernel = f.Get(kind, 1);
    ASSERT_TRUE(kernel.ok()) << kernel.status();
    std::vector<double> scratch(kernel->scratch_size());
    const double* in[] = {&t, y, p, &d_t, d_y, d_p};
    double* out[] = {dy};
    (*kernel)(in, out, scratch.data());
    const bool value = kind == MapKernel::kValue;
    EXPECT_EQ(dy[0], value ? 2 * 3 * 5 + 1 : 2 * 3 * 1 + 2 * 1 * 5 + 1);
    EXPECT_EQ(dy[1], value ? 2 * 4 * 6 : 0);
  }
  for (const MapKernel kind : {MapKernel::kVjp, MapKernel::kCotangentBlock}) {
    const auto kernel = f.Get(kind, 1);
    ASSERT_TRUE(kernel.ok()) << kernel.status();
    std::vector<double> scratch(kernel->scratch_size());
    const double* in[] = {&t, y, p, c};
    double* out[] = {&c_t, c_y, c_p};
    (*kernel)(in, out, scratch.data());
    EXPECT_EQ(c_t, 1);
    EXPECT_EQ(c_y[0], 2 * 3);
    EXPECT_EQ(c_y[1], 2 * 4 * 10);
    EXPECT_EQ(c_p[0], 3 * 5 + 4 * 6 * 10);
    EXPECT_EQ(c_p[1], 2 * 5);
    EXPECT_EQ(c_p[2], 2 * 6 * 10);
  }
}

TEST(ModelMaps, RefusesOtherLaneCounts) {
  const auto model = CompileText(kText);
  EXPECT_EQ(model->rhs().Get(MapKernel::kValue, 3).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(ModelMaps, ManyThreadsMayAskAtOnce) {
  const auto model = CompileText("model fresh\nstate x = 1\nx' = -x*x\n");
  std::vector<std::thread> threads;
  std::vector<double> values(8);
  for (size_t i = 0; i < values.size(); ++i) {
    threads.emplace_back([&, i] {
      const Kernel kernel = model->rhs().Get(MapKernel::kValue, 1).value();
      std::vector<double> scratch(kernel.scratch_size());
      const double t = 0, y = static_cast<double>(i);
      const double* in[] = {&t, &y, &t};
      double* out[] = {&values[i]};
      kernel(in, out, scratch.data());
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(values[i], -static_cast<double>(i) * static_cast<double>(i));
  }
}

}  // namespace
}  // namespace costate
