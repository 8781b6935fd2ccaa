// The job store on a disk: durable calls per second, and what a long queue costs.
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/jobs/sqlite_store.h"
#include "tests/benchmarks/report.h"

namespace costate::jobs {
namespace {

constexpr absl::Duration kLease = absl::Hours(1);

// A directory that goes with the program.
class Place {
 public:
  Place() : path_(std::filesystem::temp_directory_path().string() + "/costate-bench-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~Place() { std::filesystem::remove_all(path_); }
  std::unique_ptr<JobStore> Open(const std::string& name) const {
    SqliteOptions options;
    options.directory = path_ + "/" + name;
    auto store = OpenSqliteStore(options);
    if (!store.ok()) {
      std::fprintf(stderr, "%s\n", store.status().ToString().c_str());
      std::exit(1);
    }
    return *std::move(store);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

template <typename T>
T Must(absl::StatusOr<T> value) {
  if (!value.ok()) {
    std::fprintf(stderr, "%s\n", value.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(value);
}

NewJob SmallJob() {
  NewJob job;
  job.kind = "fit";
  job.spec = std::string(1000, 's');
  return job;
}

// Writes of a page, each on the disk before the next: what no commit can be faster than.
double SyncsPerSecond(const std::string& directory) {
  constexpr int kWrites = 300;
  const std::string path = directory + "/sync";
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const std::string page(4096, 'p');
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kWrites; ++i) {
    if (write(fd, page.data(), page.size()) < 0 || fdatasync(fd) != 0) std::abort();
  }
  const double seconds = SecondsSince(start);
  close(fd);
  return kWrites / seconds;
}

double CreatesPerSecond(JobStore& store, int producers, int64_t jobs) {
  std::atomic<int64_t> next = 0;
  std::vector<std::thread> threads;
  const auto start = std::chrono::steady_clock::now();
  for (int p = 0; p < producers; ++p) {
    threads.emplace_back([&] {
      while (next++ < jobs) Must(store.Create(SmallJob()));
    });
  }
  for (std::thread& thread : threads) thread.join();
  return static_cast<double>(jobs) / SecondsSince(start);
}

struct Quantiles {
  double p50_ms = 0, p99_ms = 0;
};

template <typename F>
Quantiles Measure(int calls, F&& call) {
  std::vector<double> times;
  for (int i = 0; i < calls; ++i) {
    const auto start = std::chrono::steady_clock::now();
    call();
    times.push_back(1e3 * SecondsSince(start));
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times[times.size() * 99 / 100]};
}

Quantiles Claims(JobStore& store) {
  return Measure(200, [&] { Must(store.ClaimTasks("bench", 1, kLease)); });
}

// From somewhere in the middle, and of one state, as a client would page.
Quantiles Pages(JobStore& store) {
  const ListFilter filter = {{JobState::kQueued}, {}, ""};
  std::string token;
  return Measure(200, [&] { token = Must(store.List(filter, 100, token)).next_page_token; });
}

double ResidentMegabytes() {
  std::ifstream file("/proc/self/statm");
  int64_t all = 0, resident = 0;
  file >> all >> resident;
  return static_cast<double>(resident * sysconf(_SC_PAGESIZE)) / 1e6;
}

void Durable(const Place& place, BenchTable& table) {
  const double syncs = SyncsPerSecond(place.path());
  const std::unique_ptr<JobStore> store = place.Open("durable");
  for (const int producers : {1, 16, 64}) {
    const double rate = CreatesPerSecond(*store, producers, producers == 1 ? 500 : 4000);
    table.Row(absl::StrCat("durable creates per second, producers: ", producers), rate, "/s",
              "write + fdatasync of 4 KiB", syncs, producers == 1 ? "" : ">= 1000 /s");
  }
  const Quantiles both = Measure(200, [&] {
    const std::vector<Claim> claims = Must(store->ClaimTasks("bench", 1, kLease));
    TaskEnd end;
    end.result = std::string(1000, 'r');
    if (!store->Complete(claims[0].lease, end).ok()) std::exit(1);
  });
  table.Row("claim and complete, one worker, p50", both.p50_ms, "ms", "two syncs", 2e3 / syncs, "");
}

void LongQueue(const Place& place, BenchTable& table) {
  constexpr int64_t kFew = 1000;
  constexpr int64_t kMany = 100'000;
  const std::unique_ptr<JobStore> store = place.Open("queue");
  CreatesPerSecond(*store, 64, kFew);
  const Quantiles few_claims = Claims(*store);
  const Quantiles few_pages = Pages(*store);
  const double before = ResidentMegabytes();
  const double rate = CreatesPerSecond(*store, 64, kMany);
  table.Row("100,000 jobs from 64 producers", rate, "/s", "", 0, ">= 1000 /s");
  table.Row("  resident memory they add", ResidentMegabytes() - before, "MB", "", 0, "");
  const Quantiles many_claims = Claims(*store);
  const Quantiles many_pages = Pages(*store);
  table.Row("  claim, p50", many_claims.p50_ms, "ms", "at 1,000 queued", few_claims.p50_ms, "flat");
  table.Row("  claim, p99", many_claims.p99_ms, "ms", "at 1,000 queued", few_claims.p99_ms, "flat");
  table.Row("  page of 100, p50", many_pages.p50_ms, "ms", "at 1,000 queued", few_pages.p50_ms,
            "flat");
  table.Row("  page of 100, p99", many_pages.p99_ms, "ms", "at 1,000 queued", few_pages.p99_ms,
            "flat");
  const Quantiles stats = Measure(200, [&] { Must(store->Stats()); });
  table.Row("  figures for metrics, p50", stats.p50_ms, "ms", "", 0, "");
  table.Row("  on disk, per job", static_cast<double>(Must(store->Stats()).bytes) / kMany, "bytes",
            "of which request", 1000, "");
}

int Main() {
  const Place place;
  BenchTable table("job store, SQLite on the disk of the temporary directory");
  Durable(place, table);
  LongQueue(place, table);
  return 0;
}

}  // namespace
}  // namespace costate::jobs

int main() { return costate::jobs::Main(); }
