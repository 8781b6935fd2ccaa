// Sinks for the rows of a solve.
#ifndef COSTATE_SERVER_HANDLERS_ROW_STREAM_H_
#define COSTATE_SERVER_HANDLERS_ROW_STREAM_H_

#include <cstdint>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "costate/v1/solve.pb.h"
#include "engine/engine.h"
#include "server/handlers/response_stream.h"

namespace costate {

// Sends rows on a stream: a header, then chunks. A chunk leaves when it has `rows_per_chunk` rows
// and the stream is free; while it is not, rows are kept up to limits::kStreamPendingBytes, then
// the solve waits. So memory stays bounded whatever the reader does.
class RowStream : public SolveSink {
 public:
  struct Parts {
    bool states = true;
    bool outputs = true;
  };

  // `rows_per_chunk` 0: as many as make limits::kStreamChunkBytes. `stream` and `model` must
  // outlive this.
  RowStream(const Model& model, Parts parts, int64_t rows_per_chunk,
            ResponseStream<v1::StreamSolveResponse>* stream);

  absl::Status Begin(const Resolution& resolution, int64_t num_trajectories) override;
  absl::Status Save(int64_t trajectory, double t, absl::Span<const double> y,
                    absl::Span<const double> outputs) override;
  absl::Status Flush();

 private:
  struct Pending {
    v1::StreamSolveResponse message;
    int64_t rows = 0;
  };

  absl::Status Send(Pending* pending);

  const Model& model_;
  const Parts parts_;
  const int64_t row_bytes_;
  const int64_t rows_per_chunk_;
  ResponseStream<v1::StreamSolveResponse>* const stream_;
  std::map<int64_t, Pending> pending_;  // by trajectory
  int64_t pending_bytes_ = 0;
};

// Collects rows for a single answer and stops the solve when they pass `max_bytes`.
class RowCollector : public SolveSink {
 public:
  explicit RowCollector(int64_t max_bytes) : max_bytes_(max_bytes) {}

  absl::Status Begin(const Resolution& resolution, int64_t num_trajectories) override;
  absl::Status Save(int64_t trajectory, double t, absl::Span<const double> y,
                    absl::Span<const double> outputs) override;

  // Puts the rows where a solve without a sink leaves them.
  void MoveInto(SolveResult* result);

 private:
  struct Rows {
    std::vector<double> times;
    std::vector<double> states;
    std::vector<double> outputs;
  };

  const int64_t max_bytes_;
  int64_t bytes_ = 0;
  std::vector<Rows> rows_;  // by trajectory
};

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_ROW_STREAM_H_
