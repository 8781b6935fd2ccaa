#include "engine/model/name_suggestion.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/ascii.h"

namespace costate {
namespace {

constexpr int kEdit = 2;        // cost of one edit
constexpr int kCaseChange = 1;  // half an edit
constexpr int kSwap = 1;        // of neighbours, likewise

// Optimal string alignment distance; `limit` or more comes back as `limit`.
int Distance(std::string_view a, std::string_view b, int limit) {
  const int size_difference = std::abs(static_cast<int>(a.size()) - static_cast<int>(b.size()));
  if (size_difference * kEdit >= limit) return limit;
  std::vector<int> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) above[j] = static_cast<int>(j) * kEdit;
  int smallest_above = 0;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = static_cast<int>(i) * kEdit;
    int smallest = row[0];
    for (size_t j = 1; j <= b.size(); ++j) {
      int change = kEdit;
      if (a[i - 1] == b[j - 1]) {
        change = 0;
      } else if (absl::ascii_tolower(a[i - 1]) == absl::ascii_tolower(b[j - 1])) {
        change = kCaseChange;
      }
      row[j] = std::min({above[j - 1] + change, above[j] + kEdit, row[j - 1] + kEdit});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + kSwap);
      }
      smallest = std::min(smallest, row[j]);
    }
    if (smallest >= limit && smallest_above + kSwap >= limit) return limit;
    smallest_above = smallest;
    before.swap(above);
    above.swap(row);
  }
  return std::min(above[b.size()], limit);
}

}  // namespace

std::string NearestName(std::string_view name, const std::vector<std::string_view>& candidates) {
  const int allowed = std::max(1, static_cast<int>(name.size()) / 3);
  int best = allowed * kEdit + 1;
  std::string_view nearest;
  for (std::string_view candidate : candidates) {
    if (candidate == name) continue;
    const int distance = Distance(name, candidate, best);
    // A whole replacement is no likeness: at least one character must survive.
    const int whole = static_cast<int>(std::max(name.size(), candidate.size())) * kEdit;
    if (distance < best && distance < whole) {
      best = distance;
      nearest = candidate;
    }
  }
  return std::string(nearest);
}

}  // namespace costate
