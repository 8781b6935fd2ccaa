#include "server/jobs/job_progress.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace costate::jobs {

v1::FitSummary JobProgress::Update(int64_t task, const v1::FitSummary& summary) {
  const std::lock_guard<std::mutex> lock(mutex_);
  by_task_[task] = summary;
  v1::FitSummary total;
  for (const auto& [index, part] : by_task_) {
    // Each task names the starts of the whole fit.
    total.set_starts(std::max(total.starts(), part.starts()));
    total.set_starts_done(total.starts_done() + part.starts_done());
    total.set_starts_failed(total.starts_failed() + part.starts_failed());
    total.set_iterations(total.iterations() + part.iterations());
  }
  return total;
}

bool JobProgress::empty() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return by_task_.empty();
}

bool JobProgress::TakeEnd() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return !std::exchange(end_taken_, true);
}

std::shared_ptr<JobProgress> JobProgresses::Of(const std::string& job) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (auto it = by_job_.begin(); it != by_job_.end();) {
    it = it->second.expired() && it->first != job ? by_job_.erase(it) : std::next(it);
  }
  std::weak_ptr<JobProgress>& known = by_job_[job];
  std::shared_ptr<JobProgress> progress = known.lock();
  if (progress == nullptr) known = progress = std::make_shared<JobProgress>();
  return progress;
}

}  // namespace costate::jobs
