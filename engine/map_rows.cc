#include "engine/map_rows.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "engine/base/kernel.h"
#include "engine/base/status_macros.h"
#include "engine/solvers/stop_watch.h"

namespace costate {
namespace {

// Parameters are copied into every lane: wide models run row by row instead.
constexpr int64_t kMaxLaneParams = 1 << 17;

// lanes[element][lane] = rows[row + lane][element]; lanes past the last row repeat it.
void Load(const double* source, int64_t stride, int64_t elements, int64_t row, int64_t rows,
          int width, double* lanes) {
  for (int w = 0; w < width; ++w) {
    const double* from = source + std::min(row + w, rows - 1) * stride;
    for (int64_t i = 0; i < elements; ++i) lanes[i * width + w] = from[i];
  }
}

// Lane buffers of the point at which a map is taken.
class PointLanes {
 public:
  PointLanes(const DifferentiableMap& map, const MapPoints& points, int width)
      : points_(points),
        width_(width),
        n_(map.num_states()),
        m_(map.num_params()),
        t_(width),
        y_(std::max<int64_t>(1, n_ * width)),
        p_(std::max<int64_t>(1, m_ * width)) {
    if (points.p_stride == 0) Load(points.p, 0, m_, 0, 1, width, p_.data());
  }

  void LoadRow(int64_t row) {
    Load(points_.t, points_.t_stride, 1, row, points_.rows, width_, t_.data());
    Load(points_.y, n_, n_, row, points_.rows, width_, y_.data());
    if (points_.p_stride != 0) {
      Load(points_.p, points_.p_stride, m_, row, points_.rows, width_, p_.data());
    }
  }

  const double* t() const { return t_.data(); }
  const double* y() const { return y_.data(); }
  const double* p() const { return p_.data(); }

 private:
  const MapPoints& points_;
  const int width_;
  const int64_t n_;
  const int64_t m_;
  std::vector<double> t_, y_, p_;
};

// Ends the loops over rows.
class RowWatch {
 public:
  explicit RowWatch(const MapPoints& points)
      : cancellation_(points.cancellation), watch_(points.cancellation, points.budget) {}

  absl::Status Poll() {
    const std::optional<Termination::Reason> reason = watch_.Poll();
    if (!reason.has_value()) return absl::OkStatus();
    RETURN_IF_ERROR(PollCancellation(cancellation_, "outputs or initial values were evaluated"));
    return absl::AbortedError("the wall-clock budget was spent while outputs were evaluated");
  }

 private:
  const Cancellation* const cancellation_;
  StopWatch watch_;
};

std::vector<double> LaneBuffer(int64_t elements, int width) {
  return std::vector<double>(std::max<int64_t>(1, elements * width));
}

// into[row + lane][i] += lanes[i][lane] for the rows that exist.
void AddLanes(const std::vector<double>& lanes, int64_t elements, int64_t row, int64_t rows,
              int width, int64_t stride, double* into) {
  if (into == nullptr) return;
  for (int64_t r = row; r < std::min(row + width, rows); ++r) {
    for (int64_t i = 0; i < elements; ++i) {
      into[r * stride + i] += lanes[i * width + (r - row)];
    }
  }
}

}  // namespace

absl::Status PollCancellation(const Cancellation* cancellation, const char* doing) {
  if (cancellation == nullptr || !cancellation->cancelled()) return absl::OkStatus();
  switch (cancellation->reason()) {
    case Cancellation::Reason::kDeadlineExceeded:
      return absl::DeadlineExceededError(absl::StrCat("the deadline passed while ", doing));
    case Cancellation::Reason::kShuttingDown:
      return absl::UnavailableError(absl::StrCat("the server shut down while ", doing));
    case Cancellation::Reason::kClientCancelled:
    case Cancellation::Reason::kNone:
      break;
  }
  return absl::CancelledError(absl::StrCat("cancelled while ", doing));
}

absl::StatusOr<absl::Duration> PrepareKernels(const absl::InlinedVector<KernelNeed, 6>& needs,
                                              const Cancellation* cancellation) {
  const absl::Time start = absl::Now();
  for (const KernelNeed& need : needs) {
    if (need.lanes == 0) continue;
    RETURN_IF_ERROR(PollCancellation(cancellation, "kernels were compiled"));
    RETURN_IF_ERROR(need.map->Get(need.kind, need.lanes).status());
  }
  return absl::Now() - start;
}

int RowLanes(const DifferentiableMap& map, int64_t rows) {
  const int wide = map.simd_lanes();
  return rows >= 2 && map.num_params() <= kMaxLaneParams ? wide : 1;
}

absl::Status EvaluateRows(const DifferentiableMap& map, const MapPoints& points, double* values) {
  const int64_t k = map.num_values();
  if (k == 0 || points.rows == 0) return absl::OkStatus();
  const int width = RowLanes(map, points.rows);
  ASSIGN_OR_RETURN(const Kernel kernel, map.Get(MapKernel::kValue, width));
  PointLanes point(map, points, width);
  std::vector<double> out = LaneBuffer(k, width);
  std::vector<double> scratch(kernel.scratch_size());
  RowWatch watch(points);
  for (int64_t row = 0; row < points.rows; row += width) {
    RETURN_IF_ERROR(watch.Poll());
    point.LoadRow(row);
    const double* inputs[] = {point.t(), point.y(), point.p()};
    double* outputs[] = {out.data()};
    kernel(inputs, outputs, scratch.data());
    for (int64_t r = row; r < std::min(row + width, points.rows); ++r) {
      for (int64_t i = 0; i < k; ++i) values[r * k + i] = out[i * width + (r - row)];
    }
  }
  return absl::OkStatus();
}

absl::Status TransposeRows(const DifferentiableMap& map, const MapPoints& points,
                           const double* cotangents, double* c_t, double* c_y, double* c_p) {
  const int64_t k = map.num_values();
  const int64_t n = map.num_states();
  const int64_t m = map.num_params();
  if (k == 0 || points.rows == 0) return absl::OkStatus();
  const int width = RowLanes(map, points.rows);
  ASSIGN_OR_RETURN(const Kernel kernel, map.Get(MapKernel::kVjp, width));
  PointLanes point(map, points, width);
  std::vector<double> c_value = LaneBuffer(k, width);
  std::vector<double> lane_t = LaneBuffer(1, width);
  std::vector<double> lane_y = LaneBuffer(n, width);
  std::vector<double> lane_p = LaneBuffer(m, width);
  std::vector<double> scratch(kernel.scratch_size());
  RowWatch watch(points);
  for (int64_t row = 0; row < points.rows; row += width) {
    RETURN_IF_ERROR(watch.Poll());
    point.LoadRow(row);
    Load(cotangents, k, k, row, points.rows, width, c_value.data());
    const double* inputs[] = {point.t(), point.y(), point.p(), c_value.data()};
    double* outputs[] = {lane_t.data(), lane_y.data(), lane_p.data()};
    kernel(inputs, outputs, scratch.data());
    AddLanes(lane_t, 1, row, points.rows, width, 1, c_t);
    AddLanes(lane_y, n, row, points.rows, width, n, c_y);
    AddLanes(lane_p, m, row, points.rows, width, 0, c_p);
  }
  return absl::OkStatus();
}

absl::Status PushRows(const DifferentiableMap& map, const MapPoints& points, int64_t columns,
                      const double* d_t, const double* d_y, const double* d_p, double* d_values) {
  const int64_t k = map.num_values();
  const int64_t n = map.num_states();
  const int64_t m = map.num_params();
  if (k == 0 || points.rows == 0 || columns == 0) return absl::OkStatus();
  const int width = map.simd_lanes();
  ASSIGN_OR_RETURN(const Kernel kernel, map.Get(MapKernel::kTangentBlock, width));
  std::vector<double> lane_t = LaneBuffer(1, width);
  std::vector<double> lane_y = LaneBuffer(n, width);
  std::vector<double> lane_p = LaneBuffer(m, width);
  std::vector<double> out = LaneBuffer(k, width);
  std::vector<double> scratch(kernel.scratch_size());
  RowWatch watch(points);
  for (int64_t first = 0; first < columns; first += width) {
    const int64_t used = std::min<int64_t>(width, columns - first);
    const auto load = [&](const double* source, int64_t elements, std::vector<double>& lanes) {
      if (source == nullptr) return;
      for (int64_t i = 0; i < elements; ++i) {
        std::copy_n(source + i * columns + first, used, lanes.data() + i * width);
      }
    };
    std::fill(lane_t.begin(), lane_t.end(), 0.0);
    std::fill(lane_y.begin(), lane_y.end(), 0.0);
    std::fill(lane_p.begin(), lane_p.end(), 0.0);
    load(d_t, 1, lane_t);
    load(d_p, m, lane_p);
    for (int64_t row = 0; row < points.rows; ++row) {
      RETURN_IF_ERROR(watch.Poll());
      load(d_y == nullptr ? nullptr : d_y + row * n * columns, n, lane_y);
      const double* inputs[] = {points.t + row * points.t_stride,
                                points.y + row * n,
                                points.p,
                                lane_t.data(),
                                lane_y.data(),
                                lane_p.data()};
      double* outputs[] = {out.data()};
      kernel(inputs, outputs, scratch.data());
      for (int64_t i = 0; i < k; ++i) {
        std::copy_n(out.data() + i * width, used, d_values + (row * k + i) * columns + first);
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace costate
