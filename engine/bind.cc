#include "engine/bind.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/base/limits.h"
#include "engine/base/status_macros.h"
#include "engine/map_rows.h"
#include "engine/near_names.h"
#include "engine/tensor_index.h"

namespace costate {
namespace {

std::vector<std::string_view> Names(const std::vector<TensorInfo>& tensors) {
  std::vector<std::string_view> names;
  names.reserve(tensors.size());
  for (const TensorInfo& tensor : tensors) names.push_back(tensor.name);
  return names;
}

// The one batch size of a request.
class BatchSize {
 public:
  // `owner` is what has the batch axis at `field`, for messages: "t0" or a tensor's name.
  absl::Status Agree(const std::string& field, std::string_view owner, int64_t size) {
    const std::string got = absl::StrCat("a batch of ", size, " for ", QuoteName(owner));
    if (size < 1 || size > limits::kMaxTrajectories) {
      return FieldError(field, got,
                        absl::StrCat("1 to ", limits::kMaxTrajectories, " trajectories"));
    }
    if (!field_.empty() && size != size_) {
      return FieldError(
          field, got, absl::StrCat(size_, ", the batch of ", QuoteName(owner_), " (", field_, ")"));
    }
    if (given()) return absl::OkStatus();
    size_ = size;
    field_ = field;
    owner_ = std::string(owner);
    return absl::OkStatus();
  }
  int64_t size() const { return size_; }
  bool given() const { return !field_.empty(); }

 private:
  int64_t size_ = 1;
  std::string field_;  // the first that has a batch axis
  std::string owner_;
};

// A NamedArray that fits its tensor.
struct Match {
  const NamedArray* array = nullptr;
  const TensorInfo* tensor = nullptr;
  std::string field;
  bool batched = false;
};

std::string ShapeText(const std::vector<int64_t>& shape) {
  return ShapeToString(Shape(shape.begin(), shape.end()));
}

absl::Status CheckValues(const Match& match, bool bounded) {
  const std::vector<double>& values = match.array->values;
  const TensorInfo& tensor = *match.tensor;
  for (size_t i = 0; i < values.size(); ++i) {
    const bool inside = !bounded || (values[i] >= tensor.lower && values[i] <= tensor.upper);
    if (std::isfinite(values[i]) && inside) continue;
    const std::string field =
        values.size() == 1 ? match.field : absl::StrCat(match.field, ".array[", i, "]");
    if (!std::isfinite(values[i])) {
      return FieldError(field, absl::StrCat(values[i], " for ", QuoteName(tensor.name)),
                        "a finite number");
    }
    return FieldError(
        field, absl::StrCat(values[i], " for ", QuoteName(tensor.name)),
        absl::StrCat("a value in its declared range [", tensor.lower, ", ", tensor.upper, "]"));
  }
  return absl::OkStatus();
}

absl::Status CheckShape(Match* match, BatchSize* batch) {
  const NamedArray& array = *match->array;
  const Shape& expected = match->tensor->shape;
  const size_t rank = expected.size();
  const std::string expected_text =
      absl::StrCat("shape ", ShapeToString(expected), " or [B", rank == 0 ? "" : ", ",
                   rank == 0 ? "" : ShapeToString(expected).substr(1, std::string::npos),
                   rank == 0 ? "]" : "", " with a batch axis");
  const std::string got =
      absl::StrCat("shape ", ShapeText(array.shape), " for ", QuoteName(match->tensor->name));
  const std::string field = absl::StrCat(match->field, ".array");
  match->batched = array.shape.size() == rank + 1;
  if (!match->batched && array.shape.size() != rank) return FieldError(field, got, expected_text);
  const size_t lead = match->batched ? 1 : 0;
  if (!std::equal(expected.begin(), expected.end(), array.shape.begin() + lead)) {
    return FieldError(field, got, expected_text);
  }
  if (match->batched) RETURN_IF_ERROR(batch->Agree(field, match->tensor->name, array.shape[0]));
  const int64_t elements = NumElements(expected) * (match->batched ? array.shape[0] : 1);
  if (static_cast<int64_t>(array.values.size()) != elements) {
    return FieldError(field, absl::StrCat(array.values.size(), " values"),
                      absl::StrCat(elements, " for shape ", ShapeText(array.shape)));
  }
  return absl::OkStatus();
}

// `kind` is "parameter" or "state", `path` the field of the list.
absl::StatusOr<std::vector<Match>> MatchArrays(const std::vector<NamedArray>& arrays,
                                               const std::vector<TensorInfo>& tensors,
                                               std::string_view kind, std::string_view path,
                                               BatchSize* batch) {
  const TensorIndex index(tensors, arrays.size());
  absl::flat_hash_set<const TensorInfo*> seen;
  std::vector<Match> matches;
  matches.reserve(arrays.size());
  for (size_t i = 0; i < arrays.size(); ++i) {
    Match match;
    match.field = absl::StrCat(std::string(path), "[", i, "]");
    match.array = &arrays[i];
    match.tensor = index.Find(arrays[i].name);
    const std::string name_field = absl::StrCat(match.field, ".name");
    if (match.tensor == nullptr) {
      return FieldStatus(
          absl::StatusCode::kInvalidArgument, name_field,
          absl::StrCat("the model has no ", std::string(kind), " ", QuoteName(arrays[i].name), "; ",
                       SuggestName(arrays[i].name, Names(tensors))));
    }
    if (!seen.insert(match.tensor).second) {
      return FieldError(name_field, absl::StrCat(QuoteName(arrays[i].name), " again"),
                        "each name once");
    }
    RETURN_IF_ERROR(CheckShape(&match, batch));
    RETURN_IF_ERROR(CheckValues(match, path == "params"));
    matches.push_back(std::move(match));
  }
  return matches;
}

// Values that are copied between two looks at the cancellation.
constexpr int64_t kValuesPerLook = 1 << 18;

absl::Status LookAt(const Cancellation* cancellation) {
  return PollCancellation(cancellation, "parameters and initial values were laid out");
}

// Grows `flat` to rows [rows, width] of `defaults`, which is empty for zeros.
absl::Status Grow(int64_t rows, int64_t width, const std::vector<double>& defaults,
                  const Cancellation* cancellation, std::vector<double>* flat) {
  const int64_t rows_per_look = std::max<int64_t>(1, kValuesPerLook / std::max<int64_t>(1, width));
  flat->reserve(rows * width);
  for (int64_t r = 0; r < rows; ++r) {
    if (r % rows_per_look == 0) RETURN_IF_ERROR(LookAt(cancellation));
    if (defaults.empty()) {
      flat->resize((r + 1) * width);
    } else {
      flat->insert(flat->end(), defaults.begin(), defaults.end());
    }
  }
  return absl::OkStatus();
}

// Writes values into rows [rows, width] at the tensor's place.
absl::Status Place(const Match& match, int64_t rows, int64_t width,
                   const Cancellation* cancellation, std::vector<double>* flat) {
  const int64_t size = NumElements(match.tensor->shape);
  const int64_t rows_per_look = std::max<int64_t>(1, kValuesPerLook / std::max<int64_t>(1, size));
  for (int64_t r = 0; r < rows; ++r) {
    if (r % rows_per_look == 0) RETURN_IF_ERROR(LookAt(cancellation));
    const double* from = match.array->values.data() + (match.batched ? r * size : 0);
    std::copy_n(from, size, flat->data() + r * width + match.tensor->offset);
  }
  return absl::OkStatus();
}

absl::Status CheckTime(const std::string& field, const std::vector<double>& times,
                       BatchSize* batch) {
  if (times.empty()) return FieldError(field, "none", "one time, or one for each trajectory");
  for (size_t i = 0; i < times.size(); ++i) {
    if (std::isfinite(times[i])) continue;
    return FieldError(times.size() == 1 ? field : absl::StrCat(field, "[", i, "]"),
                      absl::StrCat(times[i]), "a finite number");
  }
  return times.size() == 1 ? absl::OkStatus()
                           : batch->Agree(field, field, static_cast<int64_t>(times.size()));
}

absl::Status FillParams(const ModelIr& ir, const std::vector<Match>& matches,
                        const Cancellation* cancellation, BoundSimulation* bound) {
  const int64_t m = ir.num_params();
  const bool batched =
      std::any_of(matches.begin(), matches.end(), [](const Match& match) { return match.batched; });
  const int64_t rows = batched ? bound->num_trajectories : 1;
  if (8.0 * static_cast<double>(rows) * m > static_cast<double>(limits::kMaxSavedBytes)) {
    return FieldStatus(absl::StatusCode::kResourceExhausted, "params",
                       absl::StrCat(rows, " trajectories of ", m, " parameters pass the limit of ",
                                    limits::kMaxSavedBytes, " bytes"));
  }
  std::vector<double> defaults(m);
  for (const TensorInfo& tensor : ir.params) {
    std::copy(tensor.defaults.begin(), tensor.defaults.end(), defaults.begin() + tensor.offset);
  }
  RETURN_IF_ERROR(Grow(rows, m, defaults, cancellation, &bound->params));
  for (const Match& match : matches) {
    RETURN_IF_ERROR(Place(match, rows, m, cancellation, &bound->params));
  }
  return absl::OkStatus();
}

absl::Status CheckInitialState(const ModelIr& ir, const Cancellation* cancellation,
                               const BoundSimulation& bound) {
  const int64_t n = ir.num_states();
  const int64_t size = static_cast<int64_t>(bound.y0.size());
  for (int64_t i = 0; i < size; ++i) {
    if (i % kValuesPerLook == 0) RETURN_IF_ERROR(LookAt(cancellation));
    if (std::isfinite(bound.y0[i])) continue;
    return FieldStatus(
        absl::StatusCode::kInvalidArgument, "initial_state",
        absl::StrCat("the initial value of ", QuoteName(ElementName(ir.states, i % n)), " is ",
                     bound.y0[i], size > n ? absl::StrCat(" in trajectory ", i / n) : "",
                     ", from the model's own expression; give it a value or mend the parameters"));
  }
  return absl::OkStatus();
}

absl::Status FillInitialState(const ModelIr& ir, const std::vector<Match>& matches,
                              const Cancellation* cancellation, BoundSimulation* bound) {
  const int64_t n = ir.num_states();
  const int64_t m = ir.num_params();
  const int64_t rows = bound->num_trajectories;
  if (8.0 * static_cast<double>(rows) * n > static_cast<double>(limits::kMaxSavedBytes)) {
    return FieldStatus(absl::StatusCode::kResourceExhausted, "initial_state",
                       absl::StrCat(rows, " trajectories of ", n, " states pass the limit of ",
                                    limits::kMaxSavedBytes, " bytes"));
  }
  RETURN_IF_ERROR(Grow(rows, n, {}, cancellation, &bound->y0));
  MapPoints points;
  points.rows = rows;
  points.t = bound->t0.data();
  points.t_stride = bound->t0.size() == 1 ? 0 : 1;
  points.p = bound->params.data();
  points.p_stride = static_cast<int64_t>(bound->params.size()) > m ? m : 0;
  points.cancellation = cancellation;
  const DifferentiableMap& init = bound->model->init();
  ASSIGN_OR_RETURN(
      bound->compile,
      PrepareKernels({{&init, MapKernel::kValue, RowLanes(init, rows)}}, cancellation));
  RETURN_IF_ERROR(EvaluateRows(init, points, bound->y0.data()));
  bound->given.assign(n, false);
  for (const Match& match : matches) {
    RETURN_IF_ERROR(Place(match, rows, n, cancellation, &bound->y0));
    std::fill_n(bound->given.begin() + match.tensor->offset, NumElements(match.tensor->shape),
                true);
  }
  return CheckInitialState(ir, cancellation, *bound);
}

// The names that stand for the ends of the span.
bool IsTime(std::string_view name) { return name == "t0" || name == "t1"; }

bool FindWrt(const std::string& name, const TensorIndex& params, const TensorIndex& states,
             WrtEntry* entry) {
  const TensorInfo* tensor = params.Find(name);
  entry->name = name;
  entry->kind = WrtEntry::Kind::kParam;
  if (tensor == nullptr) {
    tensor = states.Find(name);
    entry->kind = WrtEntry::Kind::kInitialState;
  }
  if (tensor != nullptr) {
    entry->offset = tensor->offset;
    entry->shape = tensor->shape;
    entry->size = NumElements(tensor->shape);
    return true;
  }
  entry->kind = name == "t0" ? WrtEntry::Kind::kT0 : WrtEntry::Kind::kT1;
  return IsTime(name);
}

}  // namespace

Problem BoundSimulation::all() const {
  Problem problem;
  problem.field = &model->rhs();
  problem.num_trajectories = num_trajectories;
  problem.t0 = t0;
  problem.t1 = t1;
  problem.y0 = y0;
  problem.params = params;
  return problem;
}

Problem BoundSimulation::one(int64_t trajectory) const {
  const int64_t n = model->rhs().num_states();
  const int64_t m = model->rhs().num_params();
  const bool shared = static_cast<int64_t>(params.size()) == m;
  Problem problem;
  problem.field = &model->rhs();
  problem.t0 = absl::MakeConstSpan(t0).subspan(t0.size() == 1 ? 0 : trajectory, 1);
  problem.t1 = absl::MakeConstSpan(t1).subspan(t1.size() == 1 ? 0 : trajectory, 1);
  problem.y0 = absl::MakeConstSpan(y0).subspan(trajectory * n, n);
  problem.params = absl::MakeConstSpan(params).subspan(shared ? 0 : trajectory * m, m);
  return problem;
}

absl::StatusOr<BoundSimulation> Bind(const Simulation& simulation,
                                     const Cancellation* cancellation) {
  if (simulation.model == nullptr) return FieldError("model", "none", "a model");
  const ModelIr& ir = simulation.model->ir();
  BatchSize batch;
  RETURN_IF_ERROR(CheckTime("t0", simulation.t0, &batch));
  RETURN_IF_ERROR(CheckTime("t1", simulation.t1, &batch));
  ASSIGN_OR_RETURN(const std::vector<Match> params,
                   MatchArrays(simulation.params, ir.params, "parameter", "params", &batch));
  ASSIGN_OR_RETURN(const std::vector<Match> states, MatchArrays(simulation.initial_state, ir.states,
                                                                "state", "initial_state", &batch));
  BoundSimulation bound;
  bound.model = simulation.model.get();
  bound.num_trajectories = batch.size();
  bound.batched = batch.given();
  bound.t0 = simulation.t0;
  bound.t1 = simulation.t1;
  RETURN_IF_ERROR(FillParams(ir, params, cancellation, &bound));
  RETURN_IF_ERROR(FillInitialState(ir, states, cancellation, &bound));
  return bound;
}

absl::StatusOr<std::vector<WrtEntry>> ResolveWrt(const ModelIr& ir,
                                                 const std::vector<std::string>& names) {
  std::vector<std::string> wanted = names;
  if (wanted.empty()) {
    for (const TensorInfo& tensor : ir.params) wanted.push_back(tensor.name);
    if (wanted.empty()) {
      return FieldError("wrt", "none", "at least one name, since the model has no parameters");
    }
  }
  const TensorIndex params(ir.params, wanted.size());
  const TensorIndex states(ir.states, wanted.size());
  absl::flat_hash_set<std::string_view> seen;
  std::vector<WrtEntry> entries(wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    const std::string field = absl::StrCat("wrt[", i, "]");
    if (!FindWrt(wanted[i], params, states, &entries[i])) {
      std::vector<std::string_view> known = Names(ir.params);
      for (const TensorInfo& tensor : ir.states) known.push_back(tensor.name);
      known.insert(known.end(), {"t0", "t1"});
      return FieldStatus(absl::StatusCode::kInvalidArgument, field,
                         absl::StrCat("no parameter, state or time ", QuoteName(wanted[i]), "; ",
                                      SuggestName(wanted[i], known)));
    }
    if (!names.empty() && IsTime(wanted[i]) && entries[i].kind != WrtEntry::Kind::kT0 &&
        entries[i].kind != WrtEntry::Kind::kT1) {
      const bool param = entries[i].kind == WrtEntry::Kind::kParam;
      return FieldStatus(
          absl::StatusCode::kInvalidArgument, field,
          absl::StrCat(QuoteName(wanted[i]), " is a ", param ? "parameter" : "state",
                       " of the model and an end of the time span; rename the ",
                       param ? "parameter, or leave wrt empty to get every parameter" : "state"));
    }
    if (!seen.insert(wanted[i]).second) {
      return FieldError(field, absl::StrCat(QuoteName(wanted[i]), " again"), "each name once");
    }
  }
  return entries;
}

absl::Status CheckSpans(const BoundSimulation& bound, const std::vector<WrtEntry>& wrt) {
  for (const WrtEntry& entry : wrt) {
    if (entry.kind != WrtEntry::Kind::kT0 && entry.kind != WrtEntry::Kind::kT1) continue;
    for (int64_t b = 0; b < bound.num_trajectories; ++b) {
      const Problem problem = bound.one(b);
      if (problem.t0[0] != problem.t1[0]) continue;
      return FieldError(
          "t1", absl::StrCat(problem.t1[0], ", equal to t0"),
          absl::StrCat("a span with steps to differentiate with respect to ", entry.name));
    }
  }
  return absl::OkStatus();
}

int64_t NumColumns(const std::vector<WrtEntry>& wrt) {
  int64_t columns = 0;
  for (const WrtEntry& entry : wrt) columns += entry.size;
  return columns;
}

}  // namespace costate
