#include <algorithm>
#include <numeric>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/types/span.h"
#include "engine/autodiff/autodiff.h"

namespace costate {
namespace {

constexpr int64_t kMaxWork = int64_t{1} << 33;

using Row = absl::Span<const int64_t>;

// Rows that constrain: each set of columns once.
std::vector<Row> DistinctRows(const SparsityPattern& pattern) {
  absl::flat_hash_set<std::string_view> seen;
  std::vector<Row> rows;
  for (int64_t i = 0; i < pattern.num_rows; ++i) {
    const Row row(pattern.columns.data() + pattern.row_start[i],
                  pattern.row_start[i + 1] - pattern.row_start[i]);
    const std::string_view bytes(reinterpret_cast<const char*>(row.data()),
                                 row.size() * sizeof(int64_t));
    if (row.size() > 1 && seen.insert(bytes).second) rows.push_back(row);
  }
  return rows;
}

// Calls f(other) for every column that shares a row with `column`, perhaps several times.
template <typename F>
void ForEachNeighbour(const std::vector<Row>& rows,
                      const std::vector<std::vector<int64_t>>& rows_of, int64_t column, F f) {
  for (int64_t row : rows_of[column]) {
    for (int64_t other : rows[row]) {
      if (other != column) f(other);
    }
  }
}

}  // namespace

std::vector<int> ColourColumns(const SparsityPattern& pattern) {
  const int64_t n = pattern.num_columns;
  std::vector<int> colours(n, 0);
  const std::vector<Row> rows = DistinctRows(pattern);
  int64_t work = 0;
  for (const Row& row : rows) work += static_cast<int64_t>(row.size() * row.size());
  if (work > kMaxWork) {
    std::iota(colours.begin(), colours.end(), 0);
    return colours;
  }
  std::vector<std::vector<int64_t>> rows_of(n);
  for (size_t i = 0; i < rows.size(); ++i) {
    for (int64_t column : rows[i]) rows_of[column].push_back(static_cast<int64_t>(i));
  }
  std::vector<int64_t> mark(n, -1);
  std::vector<int64_t> degree(n, 0);
  for (int64_t column = 0; column < n; ++column) {
    ForEachNeighbour(rows, rows_of, column, [&](int64_t other) {
      degree[column] += mark[other] != column;
      mark[other] = column;
    });
  }
  std::vector<int64_t> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return degree[a] > degree[b]; });
  std::fill(colours.begin(), colours.end(), -1);
  std::vector<int64_t> taken_for(n + 1, -1);  // per colour: the column it was last refused to
  for (int64_t column : order) {
    ForEachNeighbour(rows, rows_of, column, [&](int64_t other) {
      if (colours[other] >= 0) taken_for[colours[other]] = column;
    });
    int colour = 0;
    while (taken_for[colour] == column) ++colour;
    colours[column] = colour;
  }
  return colours;
}

}  // namespace costate
