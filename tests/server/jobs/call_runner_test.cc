// Every unary call as a job gives what the call gives.
#include <gmock/gmock.h>

#include <memory>
#include <string>

#include "engine/base/field_error.h"
#include "server/convert/job.h"
#include "server/handlers/gradients.h"
#include "server/handlers/solves.h"
#include "server/handlers/stability.h"
#include "server/jobs/runners.h"
#include "tests/server/jobs/fake_task.h"
#include "tests/server/proto_matchers.h"

namespace costate::jobs {
namespace {

using ::testing::HasSubstr;

constexpr char kSimulation[] = R"pb(
  simulation {
    model { text: "param k = 2 in [0, 10]\nstate x = 1\nx' = -k*x\noutput y = 2*x\n" }
    t1: 1
    options { save { times { times { values: [ 0.5, 1 ] } } } }
  }
)pb";
// Losses choose their own times.
constexpr char kWithoutTimes[] = R"pb(
  simulation {
    model { text: "param k = 2 in [0, 10]\nstate x = 1\nx' = -k*x\noutput y = 2*x\n" }
    t1: 1
  }
)pb";
constexpr char kLoss[] =
    "loss { terms { least_squares { output: 'y' times { values: 1 } values { values: 1 } } } } ";

class CallRunnerTest : public testing::Test {
 protected:
  // The response of the handler, timings left out.
  template <typename Request, typename Response>
  Response Call(absl::StatusOr<Work> (*handler)(CallContext&, const Request&, Response*),
                const Request& request) {
    CallRecord record;
    Cancellation cancellation;
    CallContext call{*environment_, cancellation, record};
    Response response;
    absl::StatusOr<Work> work = handler(call, request, &response);
    EXPECT_TRUE(work.ok()) << work.status();
    EXPECT_TRUE(!work.ok() || work->run().ok());
    if constexpr (requires { response.clear_timing(); }) response.clear_timing();
    return response;
  }
  v1::JobResult RunAsJob(const v1::JobSpec& spec) {
    JobRunner* runner = RunnerOf(spec);
    const absl::StatusOr<JobPlan> plan = runner->Plan(*environment_, spec, Cancellation{});
    EXPECT_TRUE(plan.ok()) << plan.status();
    EXPECT_EQ(plan->num_tasks, 1);
    FakeTask task(*environment_);
    const absl::StatusOr<std::string> bytes = runner->Run(task, spec);
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_GT(task.bytes, 0) << "counted against the memory budget";
    v1::JobResult result;
    EXPECT_TRUE(runner->FillResult(spec, {{0, 1, bytes.value_or("")}}, &result).ok());
    return result;
  }
  absl::Status PlanError(const v1::JobSpec& spec) {
    return RunnerOf(spec)->Plan(*environment_, spec, Cancellation{}).status();
  }

  Log log_{LogLevel::kError, [](std::string_view) {}};
  std::unique_ptr<Environment> environment_ = SmallEnvironment(log_);
};

#define EXPECT_SAME_AS_CALL(field, handler, text)                                      \
  do {                                                                                 \
    v1::JobSpec spec = FromText<v1::JobSpec>(#field " { " + std::string(text) + " }"); \
    const v1::JobResult result = RunAsJob(spec);                                       \
    EXPECT_TRUE(result.has_##field());                                                 \
    EXPECT_EQ(StableBytes(result.field()), StableBytes(Call(handler, spec.field())));  \
  } while (false)

TEST_F(CallRunnerTest, GivesTheSameBytesAsTheCall) {
  const std::string solve = kSimulation, with_loss = std::string(kWithoutTimes) + kLoss;
  EXPECT_SAME_AS_CALL(solve, costate::Solve, solve);
  EXPECT_SAME_AS_CALL(gradient, costate::ComputeGradient, with_loss);
  EXPECT_SAME_AS_CALL(sensitivities, costate::ComputeSensitivities, solve);
  EXPECT_SAME_AS_CALL(vjp, costate::ComputeVjp,
                      std::string(kWithoutTimes) +
                          "cotangents { terms { terminal { state_weights { values: 1 } } } }");
  EXPECT_SAME_AS_CALL(jvp, costate::ComputeJvp, solve + "directions { values: 1 }");
  EXPECT_SAME_AS_CALL(hvp, costate::ComputeHvp, with_loss + "vectors { values: 1 }");
  EXPECT_SAME_AS_CALL(check_gradient, costate::CheckGradient, with_loss);
  EXPECT_SAME_AS_CALL(stability_region, costate::ComputeStabilityRegion,
                      "method { base: METHOD_RK4 }");
  EXPECT_SAME_AS_CALL(stability, costate::AnalyzeStability, kWithoutTimes);
}

// No kind of request is forgotten.
TEST(RunnerOf, KnowsEveryRequest) {
  const auto* requests = v1::JobSpec::descriptor()->FindOneofByName("request");
  for (int i = 0; i < requests->field_count(); ++i) {
    v1::JobSpec spec;
    spec.GetReflection()->MutableMessage(&spec, requests->field(i));
    EXPECT_NE(RunnerOf(spec), nullptr) << requests->field(i)->name();
    EXPECT_NE(v1::JobResult::descriptor()->FindFieldByName(requests->field(i)->name()), nullptr);
  }
  EXPECT_EQ(RunnerOf(v1::JobSpec()), nullptr);
}

TEST_F(CallRunnerTest, ChecksBeforeAnythingIsStored) {
  EXPECT_EQ(FieldOf(PlanError(FromText<v1::JobSpec>("solve { }"))), "solve.simulation");
  EXPECT_EQ(
      FieldOf(PlanError(FromText<v1::JobSpec>("gradient { " + std::string(kWithoutTimes) + " }"))),
      "gradient.loss");
  v1::JobSpec spec = FromText<v1::JobSpec>("solve { " + std::string(kSimulation) + " }");
  spec.mutable_solve()->mutable_simulation()->mutable_model()->set_text("state x =");
  EXPECT_EQ(FieldOf(PlanError(spec)), "solve.simulation.model.text");
}

TEST_F(CallRunnerTest, RefusesSolvesThatAreKeptInMemory) {
  const auto spec =
      FromText<v1::JobSpec>("gradient { kept_solve: 'solves/0123456789abcdef0123456789abcdef' }");
  EXPECT_EQ(FieldOf(PlanError(spec)), "gradient.kept_solve");
}

TEST_F(CallRunnerTest, SaysWhenAResultIsTooLarge) {
  EXPECT_TRUE(CheckResultFits(*environment_, 1 << 20).ok());
  const absl::Status status = CheckResultFits(*environment_, int64_t{1} << 30);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("GetJob holds at most"));
}

TEST_F(CallRunnerTest, EndsWithItsCancellation) {
  v1::JobSpec spec = FromText<v1::JobSpec>("solve { " + std::string(kSimulation) + " }");
  FakeTask task(*environment_);
  task.stop.Cancel(Cancellation::Reason::kShuttingDown);
  EXPECT_EQ(RunnerOf(spec)->Run(task, spec).status().code(), absl::StatusCode::kUnavailable);
}

TEST_F(CallRunnerTest, TellsADamagedResult) {
  const auto spec = FromText<v1::JobSpec>("solve { }");
  v1::JobResult result;
  EXPECT_EQ(RunnerOf(spec)->FillResult(spec, {{0, 1, "\xff\xff"}}, &result).code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(RunnerOf(spec)->FillResult(spec, {}, &result).code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace costate::jobs
