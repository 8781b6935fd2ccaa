// The envelope of a checkpoint: "CKPT", version, length, SHA-256 of all else, then the state. Torn,
// flipped or foreign bytes are told from good ones, so that the one before is used instead.
#ifndef COSTATE_SERVER_JOBS_CHECKPOINT_H_
#define COSTATE_SERVER_JOBS_CHECKPOINT_H_

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace costate::jobs {

inline constexpr int kCheckpointVersion = 1;

std::string SealCheckpoint(std::string_view state);

// DATA_LOSS, with a reason, for what is damaged; FAILED_PRECONDITION for a version of the future.
absl::StatusOr<std::string> OpenCheckpoint(std::string_view payload);

}  // namespace costate::jobs

#endif  // COSTATE_SERVER_JOBS_CHECKPOINT_H_
