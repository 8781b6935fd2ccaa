// Every finite limit of the server, in one place; those of the engine are in engine/base/limits.h.
#ifndef COSTATE_SERVER_LIMITS_H_
#define COSTATE_SERVER_LIMITS_H_

#include <cstdint>

#include "absl/time/time.h"

namespace costate::limits {

// Messages. A request of arrays may be as large as --max-message-bytes; a control request (names,
// pages) never needs more than the second figure.
inline constexpr int64_t kDefaultMaxMessageBytes = int64_t{64} << 20;
inline constexpr int64_t kMaxControlMessageBytes = int64_t{4} << 20;
// Parsed objects are larger than their bytes: an empty submessage takes 2 bytes on the wire and
// about 150 in memory. These two caps bound the expansion; see validate/wire_scan.h.
inline constexpr int64_t kMaxSubmessages = 2'500'000;
inline constexpr int64_t kMaxUnknownFields = 10'000;

// Status texts and details travel in trailers, which peers cap at 8 KiB together.
inline constexpr int64_t kMaxStatusMessageBytes = 768;
inline constexpr int64_t kMaxStatusDetailBytes = 3072;

// Counts in one request.
inline constexpr int64_t kMaxNamedArrays = 100'000;
inline constexpr int64_t kMaxWrtNames = 100'000;
inline constexpr int64_t kMaxLossTerms = 100'000;
inline constexpr int64_t kMaxCotangents = 10'000;
inline constexpr int64_t kMaxCheckedMethods = 16;
inline constexpr int64_t kMaxArrayRank = 8;
inline constexpr int64_t kMaxOperands = 10'000;  // of one instruction
inline constexpr int64_t kMaxPageSize = 1000;
inline constexpr int64_t kDefaultPageSize = 100;

// Counts in one fit.
inline constexpr int64_t kMaxFitStarts = 100'000;
inline constexpr int64_t kMaxFitConditions = 10'000;
inline constexpr int64_t kMaxFitSeries = 100'000;
inline constexpr int64_t kMaxFitPoints = 5'000'000;  // times of all series
inline constexpr int64_t kMaxFitFree = 100'000;      // named, and elements they stand for
inline constexpr int64_t kMaxFitIterations = 100'000'000;
inline constexpr int64_t kMaxProfilePoints = 100'000;  // to each side
inline constexpr int64_t kMaxProfiles = 10'000;

// Jobs.
inline constexpr int64_t kMaxIdempotencyKeyCharacters = 128;
inline constexpr int64_t kMaxDisplayNameBytes = 256;
inline constexpr int32_t kMaxJobPriority = 100;  // and -100
inline constexpr absl::Duration kDefaultJobRetention = absl::Hours(24 * 30);
inline constexpr absl::Duration kMaxJobRetention = absl::Hours(24 * 3650);
inline constexpr int64_t kDefaultMaxQueuedJobs = 1'000'000;
inline constexpr int64_t kMaxWatches = 256;  // open WatchJob calls

// Checkpoints on disk of all gradients together, where there is a scratch directory.
inline constexpr int64_t kDefaultMaxDiskBytes = int64_t{16} << 30;

// Models.
inline constexpr int64_t kMaxRegisteredModels = 10'000;
inline constexpr int64_t kMaxRegisteredTextBytes = int64_t{256} << 20;
inline constexpr int64_t kMaxCachedTexts = 1024;  // parsed inline models
inline constexpr int64_t kMaxCachedTextBytes = int64_t{64} << 20;

// Calls.
inline constexpr absl::Duration kDefaultMaxDeadline = absl::Hours(1);
inline constexpr absl::Duration kDefaultKeepTime = absl::Minutes(5);  // of a kept solve
inline constexpr absl::Duration kDefaultMaxKeepTime = absl::Hours(1);
inline constexpr absl::Duration kDefaultDrainGrace = absl::Seconds(30);
inline constexpr absl::Duration kMaxStreamStall = absl::Seconds(60);  // reader takes nothing
inline constexpr int64_t kStreamChunkBytes = 64 << 10;   // of rows, per message, at least
inline constexpr int64_t kStreamPendingBytes = 1 << 20;  // rows kept while a write is in flight
inline constexpr int64_t kMaxStreams = 64;               // open StreamSolve calls

// The compute pool.
inline constexpr int64_t kMaxQueuedTasks = 1024;
inline constexpr int64_t kMaxQueuedBytes = int64_t{1} << 30;  // requests waiting or running
inline constexpr absl::Duration kMaxInteractiveWait = absl::Seconds(1);
inline constexpr absl::Duration kMaxBatchWait = absl::Seconds(60);
// A task estimated below this cost (element operations, see Engine::EstimateCost) starts as
// interactive; one that runs longer than the quantum is counted as batch from then on.
inline constexpr double kInteractiveCost = 2e8;
inline constexpr absl::Duration kInteractiveQuantum = absl::Milliseconds(100);
// Work of building the kernels of one instruction, in the same unit.
inline constexpr double kCompileCostPerInstruction = 5e5;

}  // namespace costate::limits

#endif  // COSTATE_SERVER_LIMITS_H_
