#include "engine/fit/tangent_field.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/base/status_macros.h"

namespace costate::fit {
namespace {

// What the kernels below run with.
struct Context {
  Kernel value;
  Kernel tangent;
  int64_t n = 0, m = 0;
  int lanes = 1;  // of `tangent`
  std::vector<TangentColumn> columns;
};

// Scratch of the tangent kernel: {d_t [W], d_p [m][W], d_y [n][W], d_value [n][W], its own}.
int64_t ScratchSize(const Context& context) {
  const int64_t own = (1 + context.m + 2 * context.n) * context.lanes;
  return own + std::max(context.value.scratch_size(), context.tangent.scratch_size());
}

// W trajectories; columns one after another. Buffers are [element][W].
void RunForTrajectories(const void* opaque, const double* const* inputs, double* const* outputs,
                        double* scratch) {
  const Context& context = *static_cast<const Context*>(opaque);
  const int64_t width = context.lanes;
  const double* t = inputs[0];
  const double* y = inputs[1];
  const double* p = inputs[2];
  double* d_t = scratch;
  double* d_p = d_t + width;
  double* own = d_p + (context.m + 2 * context.n) * width;
  std::fill_n(d_t, (1 + context.m) * width, 0.0);
  double* values[] = {outputs[0]};
  context.value(inputs, values, own);
  const double* scale = p + context.m * width;
  for (size_t q = 0; q < context.columns.size(); ++q) {
    const TangentColumn& column = context.columns[q];
    const bool param = column.kind == TangentColumn::Kind::kParam;
    double* seed = d_p + (param ? column.index : 0) * width;
    if (param) std::copy_n(scale + q * width, width, seed);
    const int64_t first = (1 + static_cast<int64_t>(q)) * context.n * width;
    const double* tangent_inputs[] = {t, y, p, d_t, y + first, d_p};
    double* tangents[] = {outputs[0] + first};
    context.tangent(tangent_inputs, tangents, own);
    if (param) std::fill_n(seed, width, 0.0);
  }
}

// One trajectory; W columns at a time.
void RunForColumns(const void* opaque, const double* const* inputs, double* const* outputs,
                   double* scratch) {
  const Context& context = *static_cast<const Context*>(opaque);
  const int64_t width = context.lanes, n = context.n;
  const double* y = inputs[1];
  const double* p = inputs[2];
  double* d_t = scratch;
  double* d_p = d_t + width;
  double* d_y = d_p + context.m * width;
  double* d_value = d_y + n * width;
  double* own = d_value + n * width;
  std::fill_n(d_t, (1 + context.m) * width, 0.0);
  double* values[] = {outputs[0]};
  context.value(inputs, values, own);
  const int64_t count = static_cast<int64_t>(context.columns.size());
  for (int64_t first = 0; first < count; first += width) {
    const int64_t used = std::min(width, count - first);
    if (used < width) std::fill_n(d_y, n * width, 0.0);
    for (int64_t w = 0; w < used; ++w) {
      const TangentColumn& column = context.columns[first + w];
      if (column.kind == TangentColumn::Kind::kParam) {
        d_p[column.index * width + w] = p[context.m + first + w];
      }
      const double* from = y + (1 + first + w) * n;
      for (int64_t i = 0; i < n; ++i) d_y[i * width + w] = from[i];
    }
    const double* tangent_inputs[] = {inputs[0], y, p, d_t, d_y, d_p};
    double* tangents[] = {d_value};
    context.tangent(tangent_inputs, tangents, own);
    for (int64_t w = 0; w < used; ++w) {
      const TangentColumn& column = context.columns[first + w];
      if (column.kind == TangentColumn::Kind::kParam) d_p[column.index * width + w] = 0;
      double* into = outputs[0] + (1 + first + w) * n;
      for (int64_t i = 0; i < n; ++i) into[i] = d_value[i * width + w];
    }
  }
}

Kernel MakeKernel(Kernel::Entry entry, Context context, int lanes) {
  auto owner = std::make_shared<const Context>(std::move(context));
  const int64_t scratch = ScratchSize(*owner);
  const Context* raw = owner.get();
  return Kernel(entry, raw, std::move(owner), lanes, scratch);
}

}  // namespace

TangentField::TangentField(const VectorField& model, std::vector<TangentColumn> columns)
    : model_(model), columns_(std::move(columns)) {}

int64_t TangentField::num_states() const { return model_.num_states() * (1 + num_columns()); }

int64_t TangentField::num_params() const { return model_.num_params() + num_columns(); }

absl::StatusOr<Kernel> TangentField::Get(MapKernel kind, int lanes) const {
  if (kind != MapKernel::kValue) {
    return absl::InternalError("variational equations have values only");
  }
  Slot& slot = slots_[lanes > 1 ? 1 : 0];
  absl::MutexLock lock(&slot.mutex);
  if (!slot.kernel) {
    if (lanes == 1) {
      ASSIGN_OR_RETURN(slot.kernel, BuildForColumns());
    } else {
      ASSIGN_OR_RETURN(slot.kernel, BuildForTrajectories(lanes));
    }
  }
  return slot.kernel;
}

absl::StatusOr<Kernel> TangentField::BuildForTrajectories(int lanes) const {
  Context context;
  ASSIGN_OR_RETURN(context.value, model_.Get(MapKernel::kValue, lanes));
  ASSIGN_OR_RETURN(context.tangent, model_.Get(MapKernel::kJvp, lanes));
  context.n = model_.num_states();
  context.m = model_.num_params();
  context.lanes = lanes;
  context.columns = columns_;
  return MakeKernel(RunForTrajectories, std::move(context), lanes);
}

absl::StatusOr<Kernel> TangentField::BuildForColumns() const {
  Context context;
  ASSIGN_OR_RETURN(context.value, model_.Get(MapKernel::kValue, 1));
  context.lanes = model_.simd_lanes();
  ASSIGN_OR_RETURN(context.tangent, model_.Get(MapKernel::kTangentBlock, context.lanes));
  context.n = model_.num_states();
  context.m = model_.num_params();
  context.columns = columns_;
  return MakeKernel(RunForColumns, std::move(context), 1);
}

std::string TangentField::StateName(int64_t state) const {
  const int64_t n = model_.num_states();
  const std::string name = model_.StateName(state % n);
  return state < n ? name : absl::StrCat("the tangent of ", name);
}

SolveOptions WithTangentControl(SolveOptions options, int64_t num_columns) {
  if (options.control.kind != StepControl::Kind::kAdaptive) return options;
  const double share = 1 / std::sqrt(1.0 + static_cast<double>(num_columns));
  StepControl& control = options.control;
  control.rtol *= share;
  std::vector<double> one = control.atol;
  for (double& atol : one) atol *= share;
  if (one.size() > 1) {
    control.atol.clear();
    for (int64_t q = 0; q <= num_columns; ++q) {
      control.atol.insert(control.atol.end(), one.begin(), one.end());
    }
  } else {
    control.atol = std::move(one);
  }
  return options;
}

}  // namespace costate::fit
