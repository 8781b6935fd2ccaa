#include "server/handlers/models.h"

#include <algorithm>
#include <string>

#include "costate/v1/model.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/server/proto_matchers.h"
#include "tests/server/running_server.h"

namespace costate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class ModelServiceTest : public ::testing::Test {
 protected:
  grpc::Status Create(const v1::CreateModelRequest& request) {
    grpc::ClientContext context;
    return server_.models().CreateModel(&context, request, &created_);
  }
  std::string CreateText(const std::string& text) {
    v1::CreateModelRequest request;
    request.mutable_source()->set_text(text);
    const grpc::Status status = Create(request);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return created_.model().name();
  }
  grpc::Status Get(const std::string& name, v1::GetModelResponse* response) {
    grpc::ClientContext context;
    v1::GetModelRequest request;
    request.set_name(name);
    request.set_want_canonical_text(true);
    return server_.models().GetModel(&context, request, response);
  }
  grpc::Status Delete(const std::string& name) {
    grpc::ClientContext context;
    v1::DeleteModelRequest request;
    request.set_name(name);
    v1::DeleteModelResponse response;
    return server_.models().DeleteModel(&context, request, &response);
  }

  RunningServer server_;
  v1::CreateModelResponse created_;
};

TEST_F(ModelServiceTest, RegistersGetsAndForgets) {
  const std::string name = CreateText(ProblemText("sir"));
  EXPECT_TRUE(created_.model().has_create_time());
  EXPECT_THAT(created_.model(), Partially(R"pb(
                display_name: "sir"
                states { name: "s" }
                states { name: "i" offset: 1 }
                states { name: "r" offset: 2 }
                outputs { name: "in_bed" })pb"));
  EXPECT_EQ(CreateText(ProblemText("sir") + "\n# a comment\n"), name);
  v1::GetModelResponse got;
  ASSERT_TRUE(Get(name, &got).ok());
  EXPECT_EQ(got.model().name(), name);
  EXPECT_NE(got.model().canonical_text(), "");
  EXPECT_TRUE(Delete(name).ok());
  EXPECT_EQ(Get(name, &got).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Delete(name).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(ViolatedFields(Delete(name)), ElementsAre("name"));
  EXPECT_THAT(ViolatedFields(Delete("models/none")), ElementsAre("name"));
}

TEST_F(ModelServiceTest, ListsInPages) {
  std::vector<std::string> names;
  for (const char* problem : {"sir", "lorenz", "neuron", "brusselator", "van_der_pol"}) {
    names.push_back(CreateText(ProblemText(problem)));
  }
  std::sort(names.begin(), names.end());
  std::vector<std::string> listed;
  v1::ListModelsRequest request;
  request.set_page_size(2);
  int pages = 0;
  do {
    grpc::ClientContext context;
    v1::ListModelsResponse response;
    ASSERT_TRUE(server_.models().ListModels(&context, request, &response).ok());
    EXPECT_LE(response.models_size(), 2);
    for (const v1::Model& model : response.models()) listed.push_back(model.name());
    request.set_page_token(response.next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(listed, names);
  EXPECT_EQ(pages, 3);
}

TEST_F(ModelServiceTest, ValidatesWithoutRegistering) {
  v1::CreateModelRequest request;
  request.set_validate_only(true);
  request.mutable_source()->set_text(ProblemText("sir"));
  ASSERT_TRUE(Create(request).ok());
  EXPECT_FALSE(created_.model().has_create_time());
  v1::GetModelResponse got;
  EXPECT_EQ(Get(created_.model().name(), &got).error_code(), grpc::StatusCode::NOT_FOUND);

  request.mutable_source()->set_text("state x = 1\nx' = -gmma*x + bta\n");
  ASSERT_TRUE(Create(request).ok());
  EXPECT_FALSE(created_.has_model());
  ASSERT_EQ(created_.issues().issues_size(), 2);
  EXPECT_THAT(created_.issues().formatted(), HasSubstr("^~~~"));
}

TEST_F(ModelServiceTest, RefusesWrongModelsWithIssues) {
  v1::CreateModelRequest request;
  request.mutable_source()->set_text("state x = 1\nx' = -gmma*x\n");
  const grpc::Status status = Create(request);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("unknown name 'gmma'"));
  google::rpc::Status details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  v1::ModelIssues issues;
  ASSERT_EQ(details.details_size(), 2);
  ASSERT_TRUE(details.details(1).UnpackTo(&issues));
  EXPECT_EQ(issues.issues(0).line(), 2);
}

TEST_F(ModelServiceTest, TakesGraphs) {
  const auto request = FromText<v1::CreateModelRequest>(R"pb(
    source {
      graph {
        states { name: "x" }
        init {
          instructions { op: "constant" attributes: 0 }
          results { value: 0 }
          constants { values: 1 }
        }
        rhs {
          instructions {
            op: "input"
            attributes: [ 1, 0 ]
          }
          instructions { op: "neg" operands: 0 }
          results { value: 1 }
        }
      }
    }
    validate_only: true)pb");
  ASSERT_TRUE(Create(request).ok());
  EXPECT_EQ(created_.model().name(), [this] {
    v1::CreateModelRequest text;
    text.set_validate_only(true);
    text.mutable_source()->set_text("state x = 1\nx' = -x\n");
    EXPECT_TRUE(Create(text).ok());
    return created_.model().name();
  }());
  v1::CreateModelRequest wrong = request;
  wrong.mutable_source()->mutable_graph()->mutable_rhs()->mutable_instructions(1)->set_op("rm");
  ASSERT_TRUE(Create(wrong).ok());
  EXPECT_THAT(created_.issues().issues(0).message(), HasSubstr("instructions[1].op"));
}

}  // namespace
}  // namespace costate
