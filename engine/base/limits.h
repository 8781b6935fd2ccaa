// Every finite limit of the engine, in one place. Limits are properties of the build, not of a
// request; a request over a limit is refused before work starts, naming the limit.
#ifndef COSTATE_ENGINE_BASE_LIMITS_H_
#define COSTATE_ENGINE_BASE_LIMITS_H_

#include <cstdint>

namespace costate::limits {

// Model text and graph.
inline constexpr int64_t kMaxModelTextBytes = 4 << 20;
inline constexpr int64_t kMaxIdentifierBytes = 128;
inline constexpr int64_t kMaxNestingDepth = 256;        // parentheses, calls, conditionals
inline constexpr int64_t kMaxInstructions = 1'000'000;  // per IR function, derivatives included
inline constexpr int64_t kMaxTensorRank = 4;
inline constexpr int64_t kMaxTensorElements = 16'777'216;   // one tensor: 128 MiB of doubles
inline constexpr int64_t kMaxScratchElements = 33'554'432;  // intermediates of one function
// Scalar operations a compiled function may be written out to (loops over tensors count once):
// about a minute of compilation and 0.5 GiB of memory. A power counts its products.
inline constexpr int64_t kMaxEmittedOperations = 4'000'000;
inline constexpr int64_t kMaxStates = 1'000'000;   // elements over all state tensors
inline constexpr int64_t kMaxParams = 10'000'000;  // elements over all parameter tensors
inline constexpr int64_t kMaxIssues = 100;         // reported per model

// Solves.
inline constexpr int64_t kMaxSteps = 1'000'000'000;  // accepted and rejected, per trajectory
inline constexpr int64_t kDefaultMaxSteps = 1'000'000;
inline constexpr int64_t kMaxTrajectories = 1'000'000;           // batch axis
inline constexpr int64_t kMaxSavedBytes = int64_t{4} << 30;      // result of one request
inline constexpr int64_t kMaxRecordingBytes = int64_t{4} << 30;  // stored trajectory of one adjoint

// Stability.
inline constexpr int64_t kMaxRasterPoints = 100'000'000;  // of one region
inline constexpr double kMaxWindow = 1e6;                 // |Re z| and |Im z|
inline constexpr int64_t kMaxAnalysedPoints = 10'000;     // of one trajectory
inline constexpr int64_t kMaxEigenvalues = 200;           // at a point, of large systems

}  // namespace costate::limits

#endif  // COSTATE_ENGINE_BASE_LIMITS_H_
