// ModelService.
#ifndef COSTATE_SERVER_HANDLERS_MODELS_H_
#define COSTATE_SERVER_HANDLERS_MODELS_H_

#include "absl/status/status.h"
#include "costate/v1/model.pb.h"
#include "server/call.h"

namespace costate {

absl::Status CreateModel(CallContext& call, const v1::CreateModelRequest& request,
                         v1::CreateModelResponse* response);
absl::Status GetModel(CallContext& call, const v1::GetModelRequest& request,
                      v1::GetModelResponse* response);
absl::Status ListModels(CallContext& call, const v1::ListModelsRequest& request,
                        v1::ListModelsResponse* response);
absl::Status DeleteModel(CallContext& call, const v1::DeleteModelRequest& request,
                         v1::DeleteModelResponse* response);

}  // namespace costate

#endif  // COSTATE_SERVER_HANDLERS_MODELS_H_
