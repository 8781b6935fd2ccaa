#include "server/validate/fit.h"

#include <cmath>
#include <functional>
#include <limits>
#include <string>

#include "engine/base/field_error.h"
#include "server/limits.h"
#include "tests/server/proto_matchers.h"

namespace costate {
namespace {

constexpr char kGood[] = R"pb(
  simulation {
    model { text: "state x = 1\nx' = 0" }
    t1: 1
  }
  conditions {
    name: "fast"
    params {
      name: "k"
      array { values: 2 }
    }
    t0: 0
    t1: 2
  }
  conditions { name: "slow" }
  data {
    condition: "fast"
    state: "x"
    times { values: [ 0, 1 ] }
    values { values: [ 1, 2 ] }
    sigma { values: [ 0.1, 0.2 ] }
    weight: 0
  }
  data {
    condition: "slow"
    output: "y"
    times { values: 1 }
    values { values: 1 }
  }
  free {
    name: "k"
    start { values: 1 }
    lower: 0.1
    upper: 10
    scale: PARAMETER_SCALE_LOG10
  }
  options {
    method: FIT_METHOD_ADAM
    starts: 3
    schedule { kind: KIND_COSINE decay: 0.5 }
  }
)pb";

// The field at fault after a change to a good request; "" if there is none.
std::string Field(const std::function<void(v1::FitRequest*)>& change) {
  auto request = FromText<v1::FitRequest>(kGood);
  change(&request);
  const absl::Status status = ValidateFitRequest("fit", request);
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return FieldOf(status).value_or("");
}

TEST(ValidateFit, TakesAGoodOne) {
  EXPECT_EQ(Field([](v1::FitRequest*) {}), "");
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->clear_conditions(); }), "")
      << "whether a series' condition is there is the fit's to judge";
}

TEST(ValidateFit, NeedsItsParts) {
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->clear_simulation(); }), "fit.simulation");
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->clear_data(); }), "fit.data");
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->clear_free(); }), "fit.free");
}

TEST(ValidateFit, OneSpanAndNothingSaved) {
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->mutable_simulation()->add_t1(2); }),
            "fit.simulation.t1");
  EXPECT_EQ(Field([](v1::FitRequest* fit) {
              fit->mutable_simulation()->mutable_options()->mutable_save()->set_every_steps(1);
            }),
            "fit.simulation.options.save");
  EXPECT_EQ(Field([](v1::FitRequest* fit) {
              fit->mutable_simulation()->mutable_options()->set_return_grid(true);
            }),
            "fit.simulation.options.return_grid");
  EXPECT_EQ(Field([](v1::FitRequest* fit) {
              fit->mutable_simulation()->mutable_options()->mutable_wall_budget()->set_seconds(1);
            }),
            "fit.simulation.options.wall_budget");
}

TEST(ValidateFit, Conditions) {
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->mutable_conditions(1)->clear_name(); }),
            "fit.conditions[1].name");
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->mutable_conditions(1)->set_name("fast"); }),
            "fit.conditions");
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->mutable_conditions(0)->set_t1(INFINITY); }),
            "fit.conditions[0].t1");
  EXPECT_EQ(Field([](v1::FitRequest* fit) {
              fit->mutable_conditions(0)->mutable_params(0)->clear_array();
            }),
            "fit.conditions[0].params[0].array");
}

TEST(ValidateFit, Data) {
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->mutable_data(0)->clear_channel(); }),
            "fit.data[0].channel");
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->mutable_data(0)->clear_times(); }),
            "fit.data[0].times");
  EXPECT_EQ(
      Field([](v1::FitRequest* fit) { fit->mutable_data(0)->mutable_values()->add_values(3); }),
      "fit.data[0].values");
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->mutable_data(0)->set_weight(-1); }),
            "fit.data[0].weight");
  EXPECT_EQ(Field([](v1::FitRequest* fit) {
              fit->mutable_data(0)->set_noise(static_cast<v1::NoiseModel>(99));
            }),
            "fit.data[0].noise");
}

TEST(ValidateFit, MissingValuesNeedTheirFlag) {
  const auto with_nan = [](v1::FitRequest* fit) {
    fit->mutable_data(0)->mutable_values()->set_values(1, NAN);
  };
  EXPECT_EQ(Field(with_nan), "fit.data[0].values[1]");
  EXPECT_EQ(Field([&](v1::FitRequest* fit) {
              with_nan(fit);
              fit->mutable_data(0)->set_allow_missing(true);
            }),
            "");
  // In the form of bytes, too.
  EXPECT_EQ(Field([](v1::FitRequest* fit) {
              fit->mutable_data(0)->mutable_values()->clear_values();
              fit->mutable_data(0)->mutable_values()->set_data(DoublesToBytes({1, NAN}));
            }),
            "fit.data[0].values[1]");
}

TEST(ValidateFit, SigmaIsPositive) {
  for (const double bad : {0.0, -1.0, static_cast<double>(INFINITY), static_cast<double>(NAN)}) {
    const std::string field = Field(
        [bad](v1::FitRequest* fit) { fit->mutable_data(0)->mutable_sigma()->set_values(1, bad); });
    EXPECT_EQ(field.substr(0, 17), "fit.data[0].sigma") << bad << " " << field;
  }
  EXPECT_EQ(
      Field([](v1::FitRequest* fit) { fit->mutable_data(0)->mutable_sigma()->add_values(1); }),
      "fit.data[0].sigma");
}

TEST(ValidateFit, Free) {
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->mutable_free(0)->clear_name(); }),
            "fit.free[0].name");
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->mutable_free(0)->set_lower(11); }),
            "fit.free[0].lower")
      << "bounds crossed";
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->mutable_free(0)->set_upper(NAN); }),
            "fit.free[0].upper");
  EXPECT_EQ(Field([](v1::FitRequest* fit) {
              fit->mutable_free(0)->set_scale(static_cast<v1::ParameterScale>(99));
            }),
            "fit.free[0].scale");
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->mutable_free(0)->mutable_prior()->set_a(NAN); }),
            "fit.free[0].prior.a");
  EXPECT_EQ(Field([](v1::FitRequest* fit) { fit->mutable_free(0)->add_per_condition(""); }),
            "fit.free[0].per_condition[0]");
}

TEST(ValidateFit, Options) {
  const auto field = [](const std::string& text) {
    return Field(
        [&text](v1::FitRequest* fit) { *fit->mutable_options() = FromText<v1::FitOptions>(text); });
  };
  EXPECT_EQ(field("method: FIT_METHOD_NLOPT nlopt_algorithm: 'LN_BOBYQA'"), "");
  EXPECT_EQ(field("starts: -1"), "fit.options.starts");
  EXPECT_EQ(field("starts: 100001"), "fit.options.starts");
  EXPECT_EQ(field("max_iterations: -1"), "fit.options.max_iterations");
  EXPECT_EQ(field("batch_size: -1"), "fit.options.batch_size");
  EXPECT_EQ(field("function_tolerance: -1"), "fit.options.function_tolerance");
  EXPECT_EQ(field("learning_rate: 0"), "fit.options.learning_rate");
  EXPECT_EQ(field("beta1: 1"), "fit.options.beta1");
  EXPECT_EQ(field("clip_norm: 0"), "fit.options.clip_norm");
  EXPECT_EQ(field("schedule { decay: 2 }"), "fit.options.schedule.decay");
  EXPECT_EQ(field("schedule { warmup: -1 }"), "fit.options.schedule.warmup");
  EXPECT_EQ(field("gradient { checkpoints: -1 }"), "fit.options.gradient.checkpoints");
  EXPECT_EQ(field("gradient { want_time_gradient: true }"),
            "fit.options.gradient.want_time_gradient");
  EXPECT_EQ(field("gradient { report { level: LEVEL_BASIC } }"), "fit.options.gradient.report");
  EXPECT_EQ(field("gradient { report { level: LEVEL_OFF } }"), "");
  v1::FitRequest unknown = FromText<v1::FitRequest>(kGood);
  unknown.mutable_options()->set_method(static_cast<v1::FitMethod>(99));
  EXPECT_EQ(FieldOf(ValidateFitRequest("fit", unknown)), "fit.options.method");
}

TEST(ValidateProfile, NeedsAPointAndNamesFieldsFromOutside) {
  v1::ProfileRequest request;
  const auto field = [&request] {
    return FieldOf(ValidateProfileRequest("profile", request)).value_or("");
  };
  EXPECT_EQ(field(), "profile.fit");
  *request.mutable_fit() = FromText<v1::FitRequest>(kGood);
  EXPECT_EQ(field(), "profile.best");
  request.mutable_best()->add_values(1);
  EXPECT_EQ(field(), "");
  request.set_confidence(1);
  EXPECT_EQ(field(), "profile.confidence");
  request.set_confidence(0.9);
  request.set_max_points(-1);
  EXPECT_EQ(field(), "profile.max_points");
  request.set_max_points(1);
  request.add_names("");
  EXPECT_EQ(field(), "profile.names[0]");
  request.clear_names();
  request.mutable_fit()->clear_data();
  EXPECT_EQ(field(), "profile.fit.data");
}

}  // namespace
}  // namespace costate
