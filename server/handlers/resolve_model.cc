#include "server/handlers/resolve_model.h"

#include <utility>

#include "engine/base/field_error.h"
#include "engine/base/status_macros.h"
#include "engine/model/model.h"
#include "server/convert/graph.h"
#include "server/convert/model.h"
#include "server/environment.h"

namespace costate {
namespace {

int64_t NumInstructions(const ModelIr& ir) {
  return static_cast<int64_t>(ir.init.instructions.size() + ir.rhs.instructions.size() +
                              ir.output_map.instructions.size());
}

// Of a model with its text; instructions, kernels and names are counted roughly.
int64_t EstimateBytes(const Model& model, const std::string& text) {
  constexpr int64_t kBytesPerInstruction = 256;
  constexpr int64_t kBytesPerModel = 4096;
  int64_t elements = 0;
  for (const TensorInfo& param : model.ir().params) {
    elements += static_cast<int64_t>(param.defaults.size());
  }
  return 2 * static_cast<int64_t>(text.size()) + 8 * elements + kBytesPerModel +
         kBytesPerInstruction * NumInstructions(model.ir());
}

absl::StatusOr<ModelOrIssues> CompileText(CallContext& call, const std::string& text) {
  ParsedModel parsed = ParseModel(text);
  ModelOrIssues result;
  if (!parsed.ok()) {
    result.issues = std::move(parsed.issues);
    return result;
  }
  auto entry = std::make_shared<ModelEntry>();
  ASSIGN_OR_RETURN(entry->model, call.environment.engine().Compile(std::move(parsed.ir)));
  entry->text = text;
  entry->bytes = EstimateBytes(*entry->model, text);
  result.entry = std::move(entry);
  return result;
}

// Issues of a graph have no place in a text.
Issue IssueOf(const absl::Status& status) {
  Issue issue;
  issue.message = std::string(status.message());
  return issue;
}

absl::StatusOr<ModelOrIssues> CompileGraph(CallContext& call, const std::string& field,
                                           const v1::Graph& graph) {
  ModelOrIssues result;
  absl::StatusOr<ModelIr> ir = GraphFromProto(field, graph);
  if (!ir.ok()) {
    result.issues = {IssueOf(ir.status())};
    return result;
  }
  auto entry = std::make_shared<ModelEntry>();
  ASSIGN_OR_RETURN(entry->model, call.environment.engine().Compile(*std::move(ir)));
  entry->graph = graph.SerializeAsString();
  entry->bytes = EstimateBytes(*entry->model, entry->graph);
  result.entry = std::move(entry);
  return result;
}

absl::StatusOr<ResolvedModel> ResolveText(CallContext& call, const std::string& field,
                                          const std::string& text) {
  ResolvedModel resolved;
  resolved.entry = call.environment.models().FindText(text);
  if (resolved.entry != nullptr) return resolved;
  ASSIGN_OR_RETURN(ModelOrIssues compiled, CompileText(call, text));
  if (compiled.entry == nullptr) {
    return ModelIssuesStatus(field + ".text", text, compiled.issues);
  }
  resolved.entry = std::move(compiled.entry);
  call.environment.models().KeepText(resolved.entry);
  resolved.compile_cost =
      limits::kCompileCostPerInstruction * NumInstructions(resolved.entry->model->ir());
  return resolved;
}

absl::StatusOr<ResolvedModel> ResolveGraph(CallContext& call, const std::string& field,
                                           const v1::Graph& graph) {
  absl::StatusOr<ModelIr> ir = GraphFromProto(field + ".graph", graph);
  if (!ir.ok()) return ir.status();
  auto entry = std::make_shared<ModelEntry>();
  ASSIGN_OR_RETURN(entry->model, call.environment.engine().Compile(*std::move(ir)));
  ResolvedModel resolved;
  resolved.compile_cost = limits::kCompileCostPerInstruction * NumInstructions(entry->model->ir());
  resolved.entry = std::move(entry);
  return resolved;
}

absl::StatusOr<ResolvedModel> Resolve(CallContext& call, const std::string& field,
                                      const v1::ModelSource& source) {
  switch (source.source_case()) {
    case v1::ModelSource::kName: {
      absl::StatusOr<ModelEntryPtr> entry = call.environment.models().Get(source.name());
      if (!entry.ok()) return WithFieldPrefix(field, entry.status());
      return ResolvedModel{*std::move(entry), 0};
    }
    case v1::ModelSource::kText:
      return ResolveText(call, field, source.text());
    case v1::ModelSource::kGraph:
      return ResolveGraph(call, field, source.graph());
    case v1::ModelSource::SOURCE_NOT_SET:
      break;
  }
  return absl::InternalError("a model without source passed validation");
}

}  // namespace

absl::StatusOr<ModelOrIssues> CompileModel(CallContext& call, const std::string& field,
                                           const v1::ModelSource& source) {
  const absl::Time start = absl::Now();
  absl::StatusOr<ModelOrIssues> compiled =
      source.has_text() ? CompileText(call, source.text())
                        : CompileGraph(call, field + ".graph", source.graph());
  call.record.compile += absl::Now() - start;
  return compiled;
}

absl::Status InlineModel(Environment& environment, const std::string& field,
                         v1::ModelSource* source) {
  if (!source->has_name()) return absl::OkStatus();
  const absl::StatusOr<ModelEntryPtr> entry = environment.models().Get(source->name());
  if (!entry.ok()) return WithFieldPrefix(field, entry.status());
  if (!(*entry)->text.empty()) {
    source->set_text((*entry)->text);
  } else if (!source->mutable_graph()->ParseFromString((*entry)->graph)) {
    return absl::InternalError("a registered graph cannot be read");
  }
  return absl::OkStatus();
}

absl::StatusOr<ResolvedModel> ResolveModel(CallContext& call, const std::string& field,
                                           const v1::ModelSource& source) {
  const absl::Time start = absl::Now();
  absl::StatusOr<ResolvedModel> resolved = Resolve(call, field, source);
  call.record.compile += absl::Now() - start;
  if (resolved.ok()) call.record.model = resolved->entry->model->resource_name();
  return resolved;
}

}  // namespace costate
