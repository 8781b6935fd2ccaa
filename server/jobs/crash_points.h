// Named places where a test can end the process, as if power were lost there.
//
//   COSTATE_CRASH_AT=after_claim:3 costated ...
//
// ends the process without any clean-up when the place "after_claim" is passed for the third time.
// Without the variable, which is read once, a place costs a comparison. The places: after_create,
// after_claim, before_checkpoint, after_checkpoint, before_complete, after_complete,
// before_release, after_release.
#ifndef COSTATE_SERVER_JOBS_CRASH_POINTS_H_
#define COSTATE_SERVER_JOBS_CRASH_POINTS_H_

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <string_view>

namespace costate::jobs {

inline void CrashPoint(std::string_view place) {
  static const char* const asked = std::getenv("COSTATE_CRASH_AT");
  if (asked == nullptr) return;
  const std::string_view text = asked;
  const size_t colon = text.find(':');
  if (text.substr(0, colon) != place) return;
  static std::atomic<int> passed{0};
  const int when =
      colon == std::string_view::npos ? 1 : std::atoi(std::string(text.substr(colon + 1)).c_str());
  constexpr int kLikeKilled = 137;
  if (++passed == when) _exit(kLikeKilled);
}

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_CRASH_POINTS_H_
