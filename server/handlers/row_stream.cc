#include "server/handlers/row_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"
#include "server/convert/array.h"
#include "server/convert/layout.h"
#include "server/convert/options.h"
#include "server/limits.h"

namespace costate {
namespace {

int64_t RowBytes(const Model& model, RowStream::Parts parts) {
  int64_t values = 1;
  if (parts.states) values += model.ir().num_states();
  if (parts.outputs) values += model.ir().num_outputs();
  return values * static_cast<int64_t>(sizeof(double));
}

}  // namespace

RowStream::RowStream(const Model& model, Parts parts, int64_t rows_per_chunk,
                     ResponseStream<v1::StreamSolveResponse>* stream)
    : model_(model),
      parts_(parts),
      row_bytes_(RowBytes(model, parts)),
      rows_per_chunk_(rows_per_chunk > 0
                          ? rows_per_chunk
                          : std::max<int64_t>(1, limits::kStreamChunkBytes / row_bytes_)),
      stream_(stream) {}

absl::Status RowStream::Begin(const Resolution& resolution, int64_t num_trajectories) {
  v1::StreamSolveResponse message;
  v1::StreamHeader* header = message.mutable_header();
  if (parts_.states) LayoutToProto(model_.ir().states, header->mutable_state_layout());
  if (parts_.outputs) LayoutToProto(model_.ir().outputs, header->mutable_output_layout());
  SolveOptionsToProto(resolution.options, header->mutable_options());
  header->set_model(model_.resource_name());
  header->set_num_trajectories(num_trajectories);
  header->set_batched(resolution.batched);
  return stream_->Write(message);
}

absl::Status RowStream::Save(int64_t trajectory, double t, absl::Span<const double> y,
                             absl::Span<const double> outputs) {
  Pending& pending = pending_[trajectory];
  v1::StreamChunk* chunk = pending.message.mutable_chunk();
  AppendDoubles({&t, 1}, chunk->mutable_times()->mutable_data());
  if (parts_.states) AppendDoubles(y, chunk->mutable_states()->mutable_data());
  if (parts_.outputs) AppendDoubles(outputs, chunk->mutable_outputs()->mutable_data());
  chunk->set_trajectory(trajectory);
  ++pending.rows;
  pending_bytes_ += row_bytes_;
  if (pending_bytes_ >= limits::kStreamPendingBytes) return Flush();
  if (pending.rows < rows_per_chunk_ || stream_->busy()) return absl::OkStatus();
  RETURN_IF_ERROR(Send(&pending));
  pending_.erase(trajectory);
  return absl::OkStatus();
}

absl::Status RowStream::Send(Pending* pending) {
  v1::StreamChunk* chunk = pending->message.mutable_chunk();
  chunk->mutable_times()->add_shape(pending->rows);
  if (parts_.states) {
    chunk->mutable_states()->add_shape(pending->rows);
    chunk->mutable_states()->add_shape(model_.ir().num_states());
  }
  if (parts_.outputs) {
    chunk->mutable_outputs()->add_shape(pending->rows);
    chunk->mutable_outputs()->add_shape(model_.ir().num_outputs());
  }
  pending_bytes_ -= pending->rows * row_bytes_;
  return stream_->Write(pending->message);
}

absl::Status RowStream::Flush() {
  for (auto& [trajectory, pending] : pending_) RETURN_IF_ERROR(Send(&pending));
  pending_.clear();
  return absl::OkStatus();
}

absl::Status RowCollector::Begin(const Resolution& resolution, int64_t num_trajectories) {
  static_cast<void>(resolution);
  rows_.resize(num_trajectories);
  return absl::OkStatus();
}

absl::Status RowCollector::Save(int64_t trajectory, double t, absl::Span<const double> y,
                                absl::Span<const double> outputs) {
  bytes_ += static_cast<int64_t>((1 + y.size() + outputs.size()) * sizeof(double));
  if (bytes_ > max_bytes_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the answer passed the limit of ", max_bytes_,
                     " bytes of one message; save fewer rows, or stream the solve"));
  }
  Rows& rows = rows_[trajectory];
  rows.times.push_back(t);
  rows.states.insert(rows.states.end(), y.begin(), y.end());
  rows.outputs.insert(rows.outputs.end(), outputs.begin(), outputs.end());
  return absl::OkStatus();
}

void RowCollector::MoveInto(SolveResult* result) {
  result->outputs.resize(rows_.size());
  for (size_t b = 0; b < rows_.size(); ++b) {
    result->trajectories[b].num_reached = static_cast<int64_t>(rows_[b].times.size());
    result->trajectories[b].times = std::move(rows_[b].times);
    result->trajectories[b].states = std::move(rows_[b].states);
    result->outputs[b] = std::move(rows_[b].outputs);
  }
}

}  // namespace costate
