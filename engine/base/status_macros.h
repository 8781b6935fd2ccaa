// Early return on error, for functions that return absl::Status or absl::StatusOr.
//
//   RETURN_IF_ERROR(Check(x));
//   ASSIGN_OR_RETURN(const Model model, ParseModel(text));
#ifndef COSTATE_ENGINE_BASE_STATUS_MACROS_H_
#define COSTATE_ENGINE_BASE_STATUS_MACROS_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define COSTATE_CONCAT_INNER_(a, b) a##b
#define COSTATE_CONCAT_(a, b) COSTATE_CONCAT_INNER_(a, b)

#define RETURN_IF_ERROR(expr)                           \
  do {                                                  \
    if (absl::Status status_ = (expr); !status_.ok()) { \
      return status_;                                   \
    }                                                   \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL_(COSTATE_CONCAT_(statusor_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL_(statusor, lhs, expr) \
  auto statusor = (expr);                           \
  if (!statusor.ok()) {                             \
    return std::move(statusor).status();            \
  }                                                 \
  lhs = std::move(statusor).value()

#endif  // COSTATE_ENGINE_BASE_STATUS_MACROS_H_
