// Time since the machine was started, suspension included: what a worker measures its leases by.
// Nobody can set it.
#ifndef COSTATE_SERVER_JOBS_BOOT_CLOCK_H_
#define COSTATE_SERVER_JOBS_BOOT_CLOCK_H_

#include <time.h>

#include "absl/time/time.h"

namespace costate::jobs {

inline absl::Duration BootTime() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_BOOT_CLOCK_H_
