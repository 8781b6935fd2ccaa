#include "server/handlers/models.h"

#include <string>
#include <utility>
#include <vector>

#include "engine/base/status_macros.h"
#include "server/convert/model.h"
#include "server/convert/options.h"
#include "server/environment.h"
#include "server/handlers/resolve_model.h"
#include "server/validate/model_source.h"

namespace costate {
namespace {

void EntryToProto(const ModelEntry& entry, bool want_canonical_text, v1::Model* proto) {
  ModelToProto(*entry.model, want_canonical_text, proto);
  *proto->mutable_create_time() = TimestampToProto(entry.create_time);
}

absl::Status RefuseModel(const v1::CreateModelRequest& request, const std::vector<Issue>& issues,
                         v1::CreateModelResponse* response) {
  const std::string& text = request.source().text();
  if (!request.validate_only()) return ModelIssuesStatus("source", text, issues);
  IssuesToProto(text, issues, response->mutable_issues());
  return absl::OkStatus();
}

}  // namespace

absl::Status CreateModel(CallContext& call, const v1::CreateModelRequest& request,
                         v1::CreateModelResponse* response) {
  RETURN_IF_ERROR(ValidateCreateModelRequest(request));
  ASSIGN_OR_RETURN(ModelOrIssues compiled, CompileModel(call, "source", request.source()));
  if (compiled.entry == nullptr) return RefuseModel(request, compiled.issues, response);
  call.record.model = compiled.entry->model->resource_name();
  if (request.validate_only()) {
    ModelToProto(*compiled.entry->model, request.want_canonical_text(), response->mutable_model());
    return absl::OkStatus();
  }
  auto entry = std::make_shared<ModelEntry>(*compiled.entry);
  entry->create_time = call.environment.now();
  const ModelEntryPtr registered = call.environment.models().Register(std::move(entry));
  EntryToProto(*registered, request.want_canonical_text(), response->mutable_model());
  return absl::OkStatus();
}

absl::Status GetModel(CallContext& call, const v1::GetModelRequest& request,
                      v1::GetModelResponse* response) {
  RETURN_IF_ERROR(ValidateModelName("name", request.name()));
  ASSIGN_OR_RETURN(const ModelEntryPtr entry, call.environment.models().Get(request.name()));
  EntryToProto(*entry, request.want_canonical_text(), response->mutable_model());
  return absl::OkStatus();
}

absl::Status ListModels(CallContext& call, const v1::ListModelsRequest& request,
                        v1::ListModelsResponse* response) {
  RETURN_IF_ERROR(ValidateListModelsRequest(request));
  const int64_t size =
      request.page_size() == 0 ? limits::kDefaultPageSize : int64_t{request.page_size()};
  std::vector<ModelEntryPtr> entries =
      call.environment.models().List(request.page_token(), size + 1);
  const bool more = static_cast<int64_t>(entries.size()) > size;
  if (more) entries.pop_back();
  for (const ModelEntryPtr& entry : entries) EntryToProto(*entry, false, response->add_models());
  if (more) response->set_next_page_token(entries.back()->model->resource_name());
  return absl::OkStatus();
}

absl::Status DeleteModel(CallContext& call, const v1::DeleteModelRequest& request,
                         v1::DeleteModelResponse* response) {
  static_cast<void>(response);
  RETURN_IF_ERROR(ValidateModelName("name", request.name()));
  return call.environment.models().Delete(request.name());
}

}  // namespace costate
