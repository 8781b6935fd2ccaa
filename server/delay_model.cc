#include "server/delay_model.h"

#include <algorithm>

namespace costate {
namespace {

constexpr double kMemory = 0.95;    // weight of the past at each task
constexpr double kLeastCost = 1e3;  // no task is cheaper than its bookkeeping

}  // namespace

void DelayModel::Record(double cost, absl::Duration time) {
  cost_sum_ = kMemory * cost_sum_ + std::max(cost, kLeastCost);
  seconds_sum_ = kMemory * seconds_sum_ + std::max(0.0, absl::ToDoubleSeconds(time));
}

absl::Duration DelayModel::TimeFor(double cost) const {
  return absl::Seconds(std::max(cost, 0.0) * (seconds_sum_ / cost_sum_));
}

}  // namespace costate
