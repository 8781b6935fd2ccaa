#include "tests/server/jobs/store_model.h"

#include <algorithm>
#include <tuple>

namespace costate::jobs {

int64_t StoreModel::Count(const Job& job, TaskState state) {
  return std::count_if(job.tasks.begin(), job.tasks.end(),
                       [&](const Task& task) { return task.state == state; });
}

StoreModel::Task* StoreModel::Held(const Lease& lease) {
  const auto job = jobs.find(lease.job);
  if (job == jobs.end()) return nullptr;
  Task& task = job->second.tasks.at(lease.task);
  return task.state == TaskState::kRunning && task.epoch == lease.epoch ? &task : nullptr;
}

void StoreModel::Change(Job& job, JobState state) {
  job.state = state;
  job.states.push_back(state);
  ++job.events;
}

void StoreModel::Stop(Task& task, TaskState state, const std::string& reason) {
  task.state = state;
  task.reasons.back() = reason;
}

void StoreModel::End(Job& job, JobState state) {
  for (Task& task : job.tasks) {
    if (task.state == TaskState::kRunning) Stop(task, TaskState::kCancelled, "cancelled");
    if (task.state == TaskState::kQueued || task.state == TaskState::kWaiting) {
      task.state = TaskState::kCancelled;
    }
  }
  Change(job, state);
}

void StoreModel::EndIfCancelled(Job& job) {
  if (job.cancel && Count(job, TaskState::kRunning) == 0) End(job, JobState::kCancelled);
}

void StoreModel::GiveBack(Job& job, Task& task, const std::string& reason) {
  Stop(task, job.cancel ? TaskState::kCancelled : TaskState::kQueued, reason);
  EndIfCancelled(job);
}

void StoreModel::Create(const std::string& id, const NewJob& made) {
  Job& job = jobs[id];
  job.order = ++created_;
  job.priority = made.priority;
  job.last_waits = made.last_task_waits && made.num_tasks > 1;
  job.deadline = made.deadline;
  job.queued_since = now;
  job.tasks.resize(made.num_tasks);
  if (job.last_waits) job.tasks.back().state = TaskState::kWaiting;
  Change(job, JobState::kQueued);
}

std::vector<Lease> StoreModel::Claim(int64_t count, absl::Duration lease) {
  std::vector<Lease> leases;
  while (static_cast<int64_t>(leases.size()) < count) {
    // Most minutes waited plus priority first; then in order of creation; then by number.
    std::optional<std::tuple<absl::Time, int64_t, int64_t>> best;
    std::string id;
    for (const auto& [name, job] : jobs) {
      for (size_t i = 0; i < job.tasks.size(); ++i) {
        if (job.tasks[i].state != TaskState::kQueued) continue;
        const std::tuple place{job.queued_since - job.priority * absl::Minutes(1), job.order,
                               static_cast<int64_t>(i)};
        if (best.has_value() && *best <= place) continue;
        best = place;
        id = name;
      }
    }
    if (!best.has_value()) break;
    Job& job = jobs[id];
    if (job.deadline <= now) {
      End(job, JobState::kFailed);
      continue;
    }
    Task& task = job.tasks[std::get<2>(*best)];
    task.state = TaskState::kRunning;
    task.lease_until = now + lease;
    task.reasons.emplace_back();
    leases.push_back({id, std::get<2>(*best), ++task.epoch});
    if (job.state == JobState::kQueued) Change(job, JobState::kRunning);
  }
  return leases;
}

JobStore::Renewal StoreModel::Renew(const Lease& lease, absl::Duration length) {
  Task* const task = Held(lease);
  if (task == nullptr) return {};
  task->lease_until = now + length;
  return {true, jobs[lease.job].cancel, task->lease_until};
}

absl::StatusCode StoreModel::Save(const Lease& lease, const std::string& state, double best) {
  Task* const task = Held(lease);
  if (task == nullptr) return absl::StatusCode::kAborted;
  task->checkpoints.push_back(state);
  if (task->checkpoints.size() > kKeptCheckpoints) {
    task->checkpoints.erase(task->checkpoints.begin());
  }
  task->losses = 0;
  Job& job = jobs[lease.job];
  ++job.events;
  job.best = std::min(job.best.value_or(best), best);
  return absl::StatusCode::kOk;
}

absl::StatusCode StoreModel::Complete(const Lease& lease, const TaskEnd& end) {
  const auto found = jobs.find(lease.job);
  if (found == jobs.end()) return absl::StatusCode::kAborted;
  Job& job = found->second;
  if (job.tasks.at(lease.task).completed_epoch == lease.epoch) return absl::StatusCode::kOk;
  Task* const task = Held(lease);
  if (task == nullptr) return absl::StatusCode::kAborted;
  task->completed_epoch = task->epoch;
  switch (end.kind) {
    case TaskEnd::Kind::kDone:
      Stop(*task, TaskState::kDone, "done");
      task->result = end.result;
      task->checkpoints.clear();
      if (Count(job, TaskState::kDone) == static_cast<int64_t>(job.tasks.size())) {
        End(job, JobState::kSucceeded);
      } else if (job.cancel) {
        EndIfCancelled(job);
      } else if (job.last_waits &&
                 Count(job, TaskState::kDone) == static_cast<int64_t>(job.tasks.size()) - 1) {
        job.tasks.back().state = TaskState::kQueued;
      }
      break;
    case TaskEnd::Kind::kFailed:
      Stop(*task, TaskState::kFailed, "failed");
      if (job.cancel) {
        EndIfCancelled(job);
      } else {
        End(job, JobState::kFailed);
      }
      break;
    case TaskEnd::Kind::kCancelled:
      GiveBack(job, *task, job.cancel ? "cancelled" : "released");
      break;
  }
  return absl::StatusCode::kOk;
}

absl::StatusCode StoreModel::Release(const Lease& lease) {
  Task* const task = Held(lease);
  if (task == nullptr) return absl::StatusCode::kAborted;
  GiveBack(jobs[lease.job], *task, "released");
  return absl::StatusCode::kOk;
}

int64_t StoreModel::Reap() {
  // Those whose leases ended first come first: a job that dies takes its other tasks with it.
  std::vector<std::tuple<absl::Time, int64_t, int64_t, std::string>> expired;
  for (const auto& [id, job] : jobs) {
    for (size_t i = 0; i < job.tasks.size(); ++i) {
      const Task& task = job.tasks[i];
      if (task.state == TaskState::kRunning && task.lease_until <= now) {
        expired.emplace_back(task.lease_until, job.order, static_cast<int64_t>(i), id);
      }
    }
  }
  std::sort(expired.begin(), expired.end());
  int64_t taken = 0;
  for (const auto& [until, order, number, id] : expired) {
    Job& job = jobs[id];
    Task& task = job.tasks[number];
    if (task.state != TaskState::kRunning) continue;
    ++taken;
    ++task.losses;
    if (job.cancel || task.losses < kMaxLostLeases) {
      GiveBack(job, task, "lease lost");
    } else {
      Stop(task, TaskState::kDead, "lease lost");
      End(job, JobState::kDead);
    }
  }
  for (auto& [id, job] : jobs) {
    if (!Ended(job.state) && job.deadline <= now && Count(job, TaskState::kRunning) == 0) {
      End(job, JobState::kFailed);
    }
  }
  return taken;
}

absl::StatusCode StoreModel::Cancel(const std::string& id) {
  const auto found = jobs.find(id);
  if (found == jobs.end()) return absl::StatusCode::kNotFound;
  Job& job = found->second;
  if (Ended(job.state)) return absl::StatusCode::kOk;
  if (job.cancel) return absl::StatusCode::kOk;
  job.cancel = true;
  for (Task& task : job.tasks) {
    if (task.state == TaskState::kQueued || task.state == TaskState::kWaiting) {
      task.state = TaskState::kCancelled;
    }
  }
  EndIfCancelled(job);
  return absl::StatusCode::kOk;
}

absl::StatusCode StoreModel::Requeue(const std::string& id) {
  const auto found = jobs.find(id);
  if (found == jobs.end()) return absl::StatusCode::kNotFound;
  Job& job = found->second;
  if (!Ended(job.state) || job.state == JobState::kSucceeded || job.deadline <= now) {
    return absl::StatusCode::kFailedPrecondition;
  }
  job.cancel = false;
  job.queued_since = now;
  for (Task& task : job.tasks) {
    if (task.state == TaskState::kDone) continue;
    task.state = TaskState::kQueued;
    task.losses = 0;
  }
  if (job.last_waits && Count(job, TaskState::kDone) < static_cast<int64_t>(job.tasks.size()) - 1) {
    job.tasks.back().state = TaskState::kWaiting;
  }
  Change(job, JobState::kQueued);
  return absl::StatusCode::kOk;
}

absl::StatusCode StoreModel::Delete(const std::string& id) {
  const auto found = jobs.find(id);
  if (found == jobs.end()) return absl::StatusCode::kNotFound;
  if (!Ended(found->second.state)) return absl::StatusCode::kFailedPrecondition;
  jobs.erase(found);
  return absl::StatusCode::kOk;
}

}  // namespace costate::jobs
