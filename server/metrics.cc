#include "server/metrics.h"

#include <array>
#include <map>
#include <mutex>
#include <sstream>
#include <unordered_map>
#include <utility>

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace costate {
namespace {

using prometheus::Counter;
using prometheus::Histogram;
using Labels = std::map<std::string, std::string>;

// ---- the table
// -----------------------------------------------------------------------------------
//
// Adding a metric: a line here, its name in kAll, and the place that moves it. The test of this
// file and that of deploy/dashboards find what is forgotten.

constexpr MetricType kCounter = MetricType::kCounter;
constexpr MetricType kGauge = MetricType::kGauge;
constexpr MetricType kHistogram = MetricType::kHistogram;

constexpr MetricInfo kRpcDuration{"costate_rpc_duration_seconds", kHistogram,
                                  "From the arrival of a call to the end of its answer"};
constexpr MetricInfo kRpcRequests{"costate_rpc_requests_total", kCounter,
                                  "Calls that have ended, by status code"};
constexpr MetricInfo kRequestBytes{"costate_rpc_request_bytes_total", kCounter,
                                   "Bytes of requests"};
constexpr MetricInfo kResponseBytes{"costate_rpc_response_bytes_total", kCounter,
                                    "Bytes of answers"};
constexpr MetricInfo kMessages{"costate_rpc_stream_messages_total", kCounter,
                               "Messages sent on streams"};
constexpr MetricInfo kActiveCalls{"costate_active_calls", kGauge, "Calls being worked on"};
constexpr MetricInfo kOpenStreams{"costate_open_streams", kGauge, "Open streams"};
constexpr MetricInfo kDraining{"costate_draining", kGauge,
                               "1 once the server refuses new calls in order to stop"};

constexpr MetricInfo kQueueDelay{"costate_queue_delay_seconds", kHistogram,
                                 "Wait of tasks in the queue of the compute pool"};
constexpr MetricInfo kQueueDepth{"costate_queue_depth", kGauge, "Tasks waiting"};
constexpr MetricInfo kQueueBytes{"costate_queue_bytes", kGauge,
                                 "Bytes of requests waiting or running"};
constexpr MetricInfo kRunningTasks{"costate_running_tasks", kGauge,
                                   "Tasks computing, without those that wait for a peer"};
constexpr MetricInfo kAdmitted{"costate_tasks_admitted_total", kCounter,
                               "Tasks taken into the queue"};
constexpr MetricInfo kShed{"costate_tasks_shed_total", kCounter,
                           "Tasks refused since the queue was full or the wait too long"};
constexpr MetricInfo kThreads{
    "costate_compute_threads", kGauge,
    "Threads that batch work may use, and those reserved for small calls"};

constexpr MetricInfo kSteps{"costate_solver_steps_total", kCounter,
                            "Steps of solves and of adjoint solves backwards"};
constexpr MetricInfo kEvaluations{"costate_rhs_evaluations_total", kCounter,
                                  "Evaluations of right-hand sides"};
constexpr MetricInfo kGradients{
    "costate_gradients_total", kCounter,
    "Gradients of one functional along one trajectory, without those of "
    "fits"};
constexpr MetricInfo kEngineSeconds{"costate_engine_seconds_total", kCounter,
                                    "Time of calls in the engine, without compilation"};

constexpr MetricInfo kCompiled{"costate_kernels_compiled_total", kCounter, "Kernels compiled"};
constexpr MetricInfo kCompileSeconds{"costate_compile_seconds_total", kCounter,
                                     "Time of compiling kernels"};
constexpr MetricInfo kCacheRequests{
    "costate_kernel_cache_requests_total", kCounter,
    "Kernels asked for; what is not in memory is looked for on disk, where there is a cache"};
constexpr MetricInfo kCodeBytes{"costate_kernel_code_bytes", kGauge,
                                "Machine code of kernels in memory"};

constexpr MetricInfo kMemoryHeld{"costate_memory_budget_held_bytes", kGauge,
                                 "Memory that calls and kept solves hold, by estimate"};
constexpr MetricInfo kMemoryTotal{"costate_memory_budget_bytes", kGauge,
                                  "Memory that they may hold together"};
constexpr MetricInfo kScratchHeld{"costate_scratch_budget_held_bytes", kGauge,
                                  "Room on disk that checkpoints of gradients hold"};
constexpr MetricInfo kScratchTotal{"costate_scratch_budget_bytes", kGauge,
                                   "Room on disk that they may hold together"};
constexpr MetricInfo kKeptSolves{"costate_kept_solves", kGauge, "Solves kept between calls"};
constexpr MetricInfo kKeptBytes{"costate_kept_solves_held_bytes", kGauge,
                                "Memory that kept solves hold"};
constexpr MetricInfo kKeptMax{"costate_kept_solves_max_bytes", kGauge,
                              "Memory that they may hold together"};
constexpr MetricInfo kDirectoryFree{"costate_directory_free_bytes", kGauge,
                                    "Room left in the file system of a directory"};
constexpr MetricInfo kDirectorySize{"costate_directory_size_bytes", kGauge,
                                    "Size of the file system of a directory"};

constexpr MetricInfo kStoreUp{"costate_job_store_up", kGauge,
                              "1 if the store of jobs answered this scrape; if not, what it knows "
                              "is left out"};
constexpr MetricInfo kJobs{"costate_jobs", kGauge, "Jobs in the store"};
constexpr MetricInfo kTasksQueued{"costate_job_tasks_queued", kGauge,
                                  "Tasks of jobs that may be claimed"};
constexpr MetricInfo kTasksRunning{"costate_job_tasks_running", kGauge,
                                   "Tasks of jobs that a worker holds"};
constexpr MetricInfo kOldestQueued{"costate_job_oldest_queued_seconds", kGauge,
                                   "Waiting time of the oldest task that may be claimed"};
constexpr MetricInfo kOldestCheckpoint{"costate_job_oldest_checkpoint_seconds", kGauge,
                                       "Largest age of the last checkpoint of a running task"};
constexpr MetricInfo kReclaims{"costate_job_leases_reclaimed_total", kCounter,
                               "Leases that were not renewed and were taken back"};
constexpr MetricInfo kStaleWrites{"costate_job_stale_writes_total", kCounter,
                                  "Writes refused since their lease was not held any more"};
constexpr MetricInfo kStoreBytes{"costate_job_store_bytes", kGauge, "Size of the store on disk"};
constexpr MetricInfo kJobDuration{"costate_job_duration_seconds", kHistogram,
                                  "From the creation of a job to its end, whoever ended it"};
constexpr MetricInfo kFitStarts{"costate_fit_starts_total", kCounter,
                                "Starts of fits that have ended"};
constexpr MetricInfo kFitIterations{"costate_fit_iterations_total", kCounter,
                                    "Iterations of starts that have ended"};
constexpr MetricInfo kFitEvaluations{"costate_fit_evaluations_total", kCounter,
                                     "Evaluations of objectives by starts that have ended"};

constexpr MetricInfo kBuildInfo{"costate_build_info", kGauge, "1, with what is running as labels"};
constexpr MetricInfo kProcessCpu{"process_cpu_seconds_total", kCounter,
                                 "User and system time of the process"};
constexpr MetricInfo kProcessResident{"process_resident_memory_bytes", kGauge, "Resident memory"};
constexpr MetricInfo kProcessVirtual{"process_virtual_memory_bytes", kGauge, "Virtual memory"};
constexpr MetricInfo kProcessThreads{"process_threads", kGauge, "Threads"};
constexpr MetricInfo kProcessFds{"process_open_fds", kGauge, "Open file descriptors"};
constexpr MetricInfo kProcessMaxFds{"process_max_fds", kGauge, "Limit of open file descriptors"};
constexpr MetricInfo kProcessStart{"process_start_time_seconds", kGauge,
                                   "When the process began, since the epoch"};

constexpr MetricInfo kAll[] = {
    kRpcDuration,    kRpcRequests,   kRequestBytes,     kResponseBytes,  kMessages,
    kActiveCalls,    kOpenStreams,   kDraining,         kQueueDelay,     kQueueDepth,
    kQueueBytes,     kRunningTasks,  kAdmitted,         kShed,           kThreads,
    kSteps,          kEvaluations,   kGradients,        kEngineSeconds,  kCompiled,
    kCompileSeconds, kCacheRequests, kCodeBytes,        kMemoryHeld,     kMemoryTotal,
    kScratchHeld,    kScratchTotal,  kKeptSolves,       kKeptBytes,      kKeptMax,
    kDirectoryFree,  kDirectorySize, kStoreUp,          kJobs,           kTasksQueued,
    kTasksRunning,   kOldestQueued,  kOldestCheckpoint, kReclaims,       kStaleWrites,
    kStoreBytes,     kJobDuration,   kFitStarts,        kFitIterations,  kFitEvaluations,
    kBuildInfo,      kProcessCpu,    kProcessResident,  kProcessVirtual, kProcessThreads,
    kProcessFds,     kProcessMaxFds, kProcessStart,
};

// Seconds. Calls run from a tenth of a millisecond to the longest deadline, jobs to days.
const Histogram::BucketBoundaries& CallBuckets() {
  static const auto* const buckets = new Histogram::BucketBoundaries{
      1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25,
      0.5,  1,      2.5,  5,    10,     30,   60,   300,   1800, 3600};
  return *buckets;
}
const Histogram::BucketBoundaries& JobBuckets() {
  static const auto* const buckets = new Histogram::BucketBoundaries{
      0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 86400, 7 * 86400};
  return *buckets;
}

constexpr const char* kClasses[] = {"interactive", "batch"};  // by TaskClass
constexpr const char* kPasses[] = {"forward", "backward"};
constexpr const char* kOutcomes[] = {"accepted", "rejected"};
constexpr size_t kNumCodes = static_cast<size_t>(absl::StatusCode::kUnauthenticated) + 1;

const char* GradientMethodName(size_t index) {
  const auto method = static_cast<GradientMethod>(index);
  return method == GradientMethod::kAuto ? "auto" : GetGradientMethodInfo(method).name.data();
}

// ---- counters
// ------------------------------------------------------------------------------------

prometheus::Family<Counter>& CounterFamily(const MetricInfo& info, prometheus::Registry* registry) {
  return prometheus::BuildCounter().Name(info.name).Help(info.help).Register(*registry);
}

prometheus::Family<Histogram>& HistogramFamily(const MetricInfo& info,
                                               prometheus::Registry* registry) {
  return prometheus::BuildHistogram().Name(info.name).Help(info.help).Register(*registry);
}

// ---- what is read at the time of asking
// ----------------------------------------------------------

// Families with the samples given, in any order.
class Page {
 public:
  void Add(const MetricInfo& info, double value, const Labels& labels = {}) {
    prometheus::MetricFamily& family = families_[info.name];
    family.name = info.name;
    family.help = info.help;
    const bool counter = info.type == MetricType::kCounter;
    family.type = counter ? prometheus::MetricType::Counter : prometheus::MetricType::Gauge;
    prometheus::ClientMetric& metric = family.metric.emplace_back();
    for (const auto& [name, label] : labels) metric.label.push_back({name, label});
    (counter ? metric.counter.value : metric.gauge.value) = value;
  }
  void Add(const MetricInfo& info, int64_t value, const Labels& labels = {}) {
    Add(info, static_cast<double>(value), labels);
  }
  void Take(std::vector<prometheus::MetricFamily> families) {
    for (prometheus::MetricFamily& family : families) {
      families_[family.name] = std::move(family);
    }
  }

  // In the order of the table.
  std::string Text() {
    std::vector<prometheus::MetricFamily> sorted;
    for (const MetricInfo& info : kAll) {
      const auto found = families_.find(info.name);
      if (found != families_.end()) sorted.push_back(std::move(found->second));
    }
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, sorted);
    return out.str();
  }

 private:
  std::map<std::string, prometheus::MetricFamily> families_;
};

void AddPool(const MetricsSnapshot& now, Page* page) {
  for (size_t i = 0; i < 2; ++i) {
    const Labels labels = {{"class", kClasses[i]}};
    page->Add(kQueueDepth, now.pool.queued[i], labels);
    page->Add(kRunningTasks, now.pool.running[i], labels);
    page->Add(kAdmitted, now.pool.admitted[i], labels);
    page->Add(kShed, now.pool.refused[i], labels);
  }
  page->Add(kQueueBytes, now.pool.bytes);
  page->Add(kThreads, int64_t{now.interactive_threads}, {{"class", "interactive"}});
  page->Add(kThreads, int64_t{now.threads - now.interactive_threads}, {{"class", "batch"}});
}

void AddKernels(const MetricsSnapshot& now, Page* page) {
  const EvaluatorStats& kernels = now.kernels;
  const auto requests = [page](const char* cache, const char* result, int64_t count) {
    page->Add(kCacheRequests, count, {{"cache", cache}, {"result", result}});
  };
  requests("memory", "hit", kernels.memory_hits);
  requests("memory", "miss", kernels.disk_hits + kernels.compiled);
  requests("disk", "hit", kernels.disk_hits);
  requests("disk", "miss", now.has_disk_cache ? kernels.compiled : 0);
  page->Add(kCompiled, kernels.compiled);
  page->Add(kCompileSeconds, absl::ToDoubleSeconds(kernels.compile_time));
  page->Add(kCodeBytes, kernels.code_bytes);
}

void AddRoom(const MetricsSnapshot& now, Page* page) {
  page->Add(kMemoryHeld, now.memory_held);
  page->Add(kMemoryTotal, now.memory_total);
  page->Add(kScratchHeld, now.disk_held);
  page->Add(kScratchTotal, now.disk_total);
  page->Add(kKeptSolves, now.kept_solves);
  page->Add(kKeptBytes, now.kept_bytes);
  page->Add(kKeptMax, now.kept_max_bytes);
  for (const DirectorySpace& directory : now.directories) {
    page->Add(kDirectoryFree, directory.free_bytes, {{"directory", directory.name}});
    page->Add(kDirectorySize, directory.total_bytes, {{"directory", directory.name}});
  }
}

void AddJobs(const JobGauges& jobs, Page* page) {
  page->Add(kStoreUp, int64_t{jobs.reachable});
  if (!jobs.reachable) return;
  page->Add(kJobs, jobs.queued, {{"state", "queued"}});
  page->Add(kJobs, jobs.running, {{"state", "running"}});
  page->Add(kJobs, jobs.succeeded, {{"state", "succeeded"}});
  page->Add(kJobs, jobs.failed, {{"state", "failed"}});
  page->Add(kJobs, jobs.cancelled, {{"state", "cancelled"}});
  page->Add(kJobs, jobs.dead, {{"state", "dead"}});
  page->Add(kTasksQueued, jobs.tasks_queued);
  page->Add(kTasksRunning, jobs.tasks_running);
  page->Add(kOldestQueued, absl::ToDoubleSeconds(jobs.oldest_queued));
  page->Add(kOldestCheckpoint, absl::ToDoubleSeconds(jobs.oldest_checkpoint));
  page->Add(kReclaims, jobs.reclaims);
  page->Add(kStaleWrites, jobs.stale_writes);
  page->Add(kStoreBytes, jobs.store_bytes);
}

void AddProcess(const ProcessStats& process, Page* page) {
  page->Add(kProcessCpu, process.cpu_seconds);
  page->Add(kProcessResident, process.resident_bytes);
  page->Add(kProcessVirtual, process.virtual_bytes);
  page->Add(kProcessThreads, process.threads);
  page->Add(kProcessFds, process.open_fds);
  page->Add(kProcessMaxFds, process.max_fds);
  page->Add(kProcessStart, process.start_time_seconds);
}

}  // namespace

absl::Span<const MetricInfo> AllMetrics() { return kAll; }

struct Metrics::Handles {
  struct Method {
    Histogram* duration = nullptr;
    std::array<Counter*, kNumCodes> by_code = {};  // made at the first call that ends so
    Counter* request_bytes = nullptr;
    Counter* response_bytes = nullptr;
    Counter* messages = nullptr;
  };

  Method* FindMethod(std::string_view name);  // needs mutex
  Counter* CodeCounter(std::string_view name, absl::StatusCode code, Method* method);

  mutable prometheus::Registry registry;
  prometheus::Family<Histogram>& durations = HistogramFamily(kRpcDuration, &registry);
  prometheus::Family<Counter>& requests = CounterFamily(kRpcRequests, &registry);
  prometheus::Family<Counter>& request_bytes = CounterFamily(kRequestBytes, &registry);
  prometheus::Family<Counter>& response_bytes = CounterFamily(kResponseBytes, &registry);
  prometheus::Family<Counter>& messages = CounterFamily(kMessages, &registry);
  prometheus::Family<Histogram>& job_durations = HistogramFamily(kJobDuration, &registry);
  prometheus::Family<Counter>& fit_starts = CounterFamily(kFitStarts, &registry);
  Histogram* queue_delay[2];
  Counter* steps[2][2];     // by pass and outcome
  Counter* evaluations[2];  // by pass
  std::array<Counter*, kNumGradientMethods> gradients;
  Counter* engine_seconds;
  Counter* fit_iterations;
  Counter* fit_evaluations;

  std::mutex mutex;
  std::unordered_map<std::string, Method> methods;
};

Metrics::Metrics() : handles_(std::make_unique<Handles>()) {
  prometheus::Registry* registry = &handles_->registry;
  auto& delays = HistogramFamily(kQueueDelay, registry);
  auto& steps = CounterFamily(kSteps, registry);
  auto& evaluations = CounterFamily(kEvaluations, registry);
  auto& gradients = CounterFamily(kGradients, registry);
  for (size_t i = 0; i < 2; ++i) {
    handles_->queue_delay[i] = &delays.Add({{"class", kClasses[i]}}, CallBuckets());
    handles_->evaluations[i] = &evaluations.Add({{"pass", kPasses[i]}});
    for (size_t k = 0; k < 2; ++k) {
      handles_->steps[i][k] = &steps.Add({{"pass", kPasses[i]}, {"outcome", kOutcomes[k]}});
    }
  }
  for (size_t i = 0; i < kNumGradientMethods; ++i) {
    handles_->gradients[i] = &gradients.Add({{"method", GradientMethodName(i)}});
  }
  handles_->engine_seconds = &CounterFamily(kEngineSeconds, registry).Add({});
  handles_->fit_iterations = &CounterFamily(kFitIterations, registry).Add({});
  handles_->fit_evaluations = &CounterFamily(kFitEvaluations, registry).Add({});
}

Metrics::~Metrics() = default;

Metrics::Handles::Method* Metrics::Handles::FindMethod(std::string_view name) {
  Method& method = methods[std::string(name)];
  if (method.duration != nullptr) return &method;
  const Labels labels = {{"method", std::string(name)}};
  method.duration = &durations.Add(labels, CallBuckets());
  method.request_bytes = &request_bytes.Add(labels);
  method.response_bytes = &response_bytes.Add(labels);
  method.messages = &messages.Add(labels);
  CodeCounter(name, absl::StatusCode::kOk, &method);
  return &method;
}

Counter* Metrics::Handles::CodeCounter(std::string_view name, absl::StatusCode code,
                                       Method* method) {
  const size_t known = static_cast<size_t>(code) < kNumCodes
                           ? static_cast<size_t>(code)
                           : static_cast<size_t>(absl::StatusCode::kUnknown);
  Counter*& counter = method->by_code[known];
  if (counter == nullptr) {
    counter =
        &requests.Add({{"method", std::string(name)},
                       {"code", absl::StatusCodeToString(static_cast<absl::StatusCode>(known))}});
  }
  return counter;
}

void Metrics::AddMethod(std::string_view method) {
  const std::lock_guard<std::mutex> lock(handles_->mutex);
  handles_->FindMethod(method);
}

void Metrics::RecordCall(std::string_view method, absl::StatusCode code, absl::Duration total,
                         const CallRecord& record) {
  {
    const std::lock_guard<std::mutex> lock(handles_->mutex);
    Handles::Method* found = handles_->FindMethod(method);
    handles_->CodeCounter(method, code, found)->Increment();
    found->duration->Observe(absl::ToDoubleSeconds(total));
    found->request_bytes->Increment(static_cast<double>(record.request_bytes));
    found->response_bytes->Increment(static_cast<double>(record.response_bytes));
    found->messages->Increment(static_cast<double>(record.messages));
  }
  handles_->engine_seconds->Increment(absl::ToDoubleSeconds(record.engine));
  RecordWork(record.work);
}

void Metrics::RecordQueueDelay(TaskClass task_class, absl::Duration delay) {
  handles_->queue_delay[static_cast<size_t>(task_class)]->Observe(absl::ToDoubleSeconds(delay));
}

void Metrics::RecordWork(const EngineWork& work) {
  const EngineWork::Pass* const passes[] = {&work.forward, &work.backward};
  for (size_t i = 0; i < 2; ++i) {
    handles_->steps[i][0]->Increment(static_cast<double>(passes[i]->accepted_steps));
    handles_->steps[i][1]->Increment(static_cast<double>(passes[i]->rejected_steps));
    handles_->evaluations[i]->Increment(static_cast<double>(passes[i]->rhs_evaluations));
  }
  for (size_t i = 0; i < kNumGradientMethods; ++i) {
    if (work.gradients[i] > 0) {
      handles_->gradients[i]->Increment(static_cast<double>(work.gradients[i]));
    }
  }
}

void Metrics::RecordJob(std::string_view kind, std::string_view state, absl::Duration duration) {
  handles_->job_durations
      .Add({{"kind", std::string(kind)}, {"state", std::string(state)}}, JobBuckets())
      .Observe(absl::ToDoubleSeconds(duration));
}

void Metrics::RecordFitStart(std::string_view outcome, int64_t iterations, int64_t evaluations) {
  handles_->fit_starts.Add({{"outcome", std::string(outcome)}}).Increment();
  handles_->fit_iterations->Increment(static_cast<double>(iterations));
  handles_->fit_evaluations->Increment(static_cast<double>(evaluations));
}

std::string Metrics::Text(const MetricsSnapshot& snapshot) const {
  Page page;
  page.Take(handles_->registry.Collect());
  page.Add(kActiveCalls, snapshot.active_calls);
  page.Add(kOpenStreams, snapshot.open_streams);
  page.Add(kDraining, int64_t{snapshot.draining});
  AddPool(snapshot, &page);
  AddKernels(snapshot, &page);
  AddRoom(snapshot, &page);
  if (snapshot.jobs.has_value()) AddJobs(*snapshot.jobs, &page);
  AddProcess(snapshot.process, &page);
  page.Add(kBuildInfo, 1.0,
           {{"version", snapshot.version},
            {"evaluator", snapshot.evaluator},
            {"simd_lanes", std::to_string(snapshot.simd_lanes)}});
  return page.Text();
}

}  // namespace costate
