#include "server/convert/model.h"

#include <cmath>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "engine/base/field_error.h"
#include "engine/model/model.h"
#include "server/convert/array.h"
#include "server/convert/layout.h"
#include "server/limits.h"

namespace costate {
namespace {

constexpr char kIssuesUrl[] = "type.googleapis.com/costate.v1.ModelIssues";

void ParameterToProto(const TensorInfo& tensor, v1::Parameter* proto) {
  proto->set_name(tensor.name);
  proto->mutable_shape()->Assign(tensor.shape.begin(), tensor.shape.end());
  if (!tensor.defaults.empty()) {
    v1::Array* defaults = proto->mutable_default_value();
    defaults->mutable_shape()->Assign(tensor.shape.begin(), tensor.shape.end());
    AppendDoubles(tensor.defaults, defaults->mutable_data());
  }
  if (std::isfinite(tensor.lower)) proto->set_lower(tensor.lower);
  if (std::isfinite(tensor.upper)) proto->set_upper(tensor.upper);
}

}  // namespace

void ModelToProto(const Model& model, bool want_canonical_text, v1::Model* proto) {
  const ModelIr& ir = model.ir();
  proto->set_name(model.resource_name());
  proto->set_display_name(ir.name);
  for (const TensorInfo& tensor : ir.params) ParameterToProto(tensor, proto->add_params());
  LayoutToProto(ir.states, proto->mutable_states());
  LayoutToProto(ir.outputs, proto->mutable_outputs());
  if (want_canonical_text) proto->set_canonical_text(CanonicalText(ir));
}

void IssuesToProto(std::string_view text, const std::vector<Issue>& issues,
                   v1::ModelIssues* proto) {
  for (const Issue& issue : issues) {
    v1::ModelIssue* entry = proto->add_issues();
    entry->set_line(issue.location.line);
    entry->set_column(issue.location.column);
    entry->set_length(issue.location.length);
    entry->set_message(issue.message);
    entry->set_hint(issue.hint);
  }
  proto->set_formatted(FormatIssues("model", text, issues));
}

absl::Status ModelIssuesStatus(const std::string& field, std::string_view text,
                               const std::vector<Issue>& issues) {
  // Room for the BadRequest that goes along.
  constexpr size_t kMaxBytes = static_cast<size_t>(limits::kMaxStatusDetailBytes) - 512;
  std::vector<Issue> sent = issues;
  v1::ModelIssues proto;
  IssuesToProto(text, sent, &proto);
  while (proto.ByteSizeLong() > kMaxBytes && sent.size() > 1) {
    sent.resize(sent.size() / 2);
    proto.Clear();
    IssuesToProto(text, sent, &proto);
  }
  if (proto.ByteSizeLong() > kMaxBytes) proto.clear_formatted();
  const std::string first = FormatIssues("model", text, {issues.begin(), issues.begin() + 1});
  const std::string count =
      issues.size() == 1 ? "1 issue" : absl::StrCat(issues.size(), " issues, the first is");
  absl::Status status = FieldStatus(absl::StatusCode::kInvalidArgument, field,
                                    absl::StrCat("the model has ", count, "\n", first));
  if (proto.ByteSizeLong() <= kMaxBytes) {
    status.SetPayload(kIssuesUrl, absl::Cord(proto.SerializeAsString()));
  }
  return status;
}

}  // namespace costate
