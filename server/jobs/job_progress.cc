#include "server/jobs/job_progress.h"

#include <algorithm>

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

std::shared_ptr<JobProgress> JobProgresses::Of(const std::string& job) {
  constexpr size_t kKept = 64;
  const std::lock_guard<std::mutex> lock(mutex_);
  std::shared_ptr<JobProgress>& progress = by_job_[job];
  if (progress == nullptr) {
    progress = std::make_shared<JobProgress>();
    order_.push_back(job);
  }
  std::shared_ptr<JobProgress> wanted = progress;
  for (size_t left = order_.size(); left > 0 && by_job_.size() > kKept; --left) {
    const auto oldest = by_job_.find(order_.front());
    if (oldest->second.use_count() == 1) {
      by_job_.erase(oldest);
    } else {
      order_.push_back(order_.front());
    }
    order_.pop_front();
  }
  return wanted;
}

}  // namespace costate::jobs
