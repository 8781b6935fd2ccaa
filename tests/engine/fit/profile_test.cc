#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/field_error.h"
#include "engine/fit/chi_squared.h"
#include "engine/fit/fit.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/engine/fit/fake_objective.h"
#include "tests/engine/fit/thread_workers.h"

namespace costate::fit {
namespace {

using testing::DecayModel;
using testing::Element;
using testing::FakeObjective;
using ::testing::HasSubstr;
using testing::kInfinity;
using testing::LinearModel;
using testing::Residuals;

Profile Compute(const Objective& objective, const std::vector<double>& best, int64_t element,
                ProfileOptions options = {}) {
  NoWorkers workers;
  return ComputeProfile(objective, ResolveFitOptions(objective, {}).value(), best, element, options,
                        kNeverStops, workers)
      .value();
}

// The root of f between a and b, by halving.
double Root(const std::function<double(double)>& f, double a, double b) {
  const bool rising = f(b) > 0;
  for (int i = 0; i < 200; ++i) {
    const double m = 0.5 * (a + b);
    ((f(m) > 0) == rising ? b : a) = m;
  }
  return 0.5 * (a + b);
}

// s = A v - y with A'A = [3, 3; 3, 5]: covariance [5, -3; -3, 3] / 6. y is in the range of A, so
// that v = (1, 2) leaves nothing: f(x) = (x - v_e)^2 / (2 C_ee), and the other moves by
// C_oe / C_ee of it.
TEST(ProfileTest, OfALinearModelIsTheParabola) {
  const FakeObjective objective({Element("u", 1), Element("w", 2)},
                                LinearModel({1, 0, 1, 1, 1, 2}, {1, 3, 5}));
  const double variance[] = {5.0 / 6, 3.0 / 6}, best[] = {1, 2};
  for (const double confidence : {0.5, 0.95, 0.999}) {
    for (int e = 0; e < 2; ++e) {
      const Profile profile = Compute(objective, {1, 2}, e, {.confidence = confidence});
      const double z = std::sqrt(ChiSquaredQuantile(confidence));
      const double half = z * std::sqrt(variance[e]);
      EXPECT_NEAR(profile.interval_lower, best[e] - half, 1e-4 * half);
      EXPECT_NEAR(profile.interval_upper, best[e] + half, 1e-4 * half);
      ASSERT_EQ(profile.objectives.size(), profile.values.size());
      ASSERT_EQ(profile.points.size(), 2 * profile.values.size());
      EXPECT_TRUE(std::is_sorted(profile.values.begin(), profile.values.end()));
      EXPECT_EQ(std::count(profile.values.begin(), profile.values.end(), best[e]), 1);
      // Steps of a tenth of the rise to each side.
      EXPECT_GE(profile.values.size(), 15u);
      EXPECT_LE(profile.values.size(), 35u);
      for (size_t i = 0; i < profile.values.size(); ++i) {
        const double d = profile.values[i] - best[e];
        EXPECT_NEAR(profile.objectives[i], d * d / (2 * variance[e]), 1e-9);
        EXPECT_EQ(profile.points[2 * i + e], profile.values[i]);
        EXPECT_NEAR(profile.points[2 * i + 1 - e] - best[1 - e], -0.5 * d / variance[e], 1e-7);
      }
      // It ends with the first point beyond the quantile.
      const double allowed = 0.5 * z * z;
      EXPECT_GE(profile.objectives.front(), allowed);
      EXPECT_LT(profile.objectives[1], allowed);
      EXPECT_GE(profile.objectives.back(), allowed);
    }
  }
}

TEST(ProfileTest, SaysInWordsWhatItFound) {
  const FakeObjective objective({Element("u", 1), Element("w", 2)},
                                LinearModel({1, 0, 1, 1, 1, 2}, {1, 3, 5}));
  EXPECT_THAT(Compute(objective, {1, 2}, 1).verdict, HasSubstr("w is identified: between 0.614"));
  EXPECT_THAT(Compute(objective, {1, 2}, 1).verdict, HasSubstr("at 95 %."));
}

// y = A exp(-k t): at a given k, A = sum y e / sum e^2 in closed form, and f(k) with it. Not a
// parabola: the interval is found by halving on the closed form.
TEST(ProfileTest, OfADecayRateFollowsTheClosedForm) {
  const std::vector<double> times = {0.5, 1, 2, 4}, y = {8, 5, 4, 0.5};
  const double sigma = 1.0;
  const auto amplitude = [&](double k) {
    double sy = 0, se = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      const double e = std::exp(-k * times[i]);
      sy += y[i] * e;
      se += e * e;
    }
    return sy / se;
  };
  const auto f = [&](double k) {
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) {
      const double s = (amplitude(k) * std::exp(-k * times[i]) - y[i]) / sigma;
      sum += 0.5 * s * s;
    }
    return sum;
  };
  const double h = 1e-6;
  const double k = Root([&](double x) { return f(x + h) - f(x - h); }, 0.1, 2);
  const double allowed = 0.5 * ChiSquaredQuantile(0.95);
  const double lower = Root([&](double x) { return f(x) - f(k) - allowed; }, 1e-3, k);
  const double upper = Root([&](double x) { return f(x) - f(k) - allowed; }, 10, k);
  ASSERT_GT(std::abs((upper - k) - (k - lower)), 0.02) << "too much of a parabola";
  for (const Scale scale : {Scale::kLinear, Scale::kLog10}) {
    const FakeObjective objective({Element("A", 5), Element("k", 1, 1e-3, 10, scale)},
                                  DecayModel(times, y, sigma));
    const Profile profile = Compute(objective, {amplitude(k), k}, 1);
    EXPECT_NEAR(profile.interval_lower, lower, 1e-3 * (k - lower));
    EXPECT_NEAR(profile.interval_upper, upper, 1e-3 * (upper - k));
    for (size_t i = 0; i < profile.values.size(); ++i) {
      EXPECT_NEAR(profile.objectives[i], f(profile.values[i]), 1e-7);
      EXPECT_NEAR(profile.points[2 * i], amplitude(profile.values[i]), 1e-3);
    }
  }
}

// y = 1 - exp(-k t) with k = 5 at t = 1 and a large sigma: any larger k does as well.
TEST(ProfileTest, AnOpenSideIsInfiniteAndSaidSo) {
  const auto model = [](const std::vector<double>& v) {
    const double e = std::exp(-v[0]);
    return Residuals{{(1 - e - (1 - std::exp(-5.0))) / 0.1}, {e / 0.1}};
  };
  const FakeObjective bounded({Element("k", 5, 1e-2, 1e3, Scale::kLog10)}, model);
  const Profile profile = Compute(bounded, {5}, 0);
  const double z = std::sqrt(ChiSquaredQuantile(0.95));
  const double lower = -std::log(std::exp(-5.0) + 0.1 * z);
  EXPECT_NEAR(profile.interval_lower, lower, 1e-3 * (5 - lower));
  EXPECT_EQ(profile.interval_upper, kInfinity);
  EXPECT_NEAR(profile.values.back(), 1e3, 1e-9);
  EXPECT_THAT(profile.verdict, HasSubstr("k is not identified in practice at 95 %: above 1.59"));
  EXPECT_THAT(profile.verdict, HasSubstr("but open upwards, to its bound 1000."));

  const FakeObjective open({Element("k", 5, 1e-2, kInfinity, Scale::kLog10)}, model);
  const Profile few = Compute(open, {5}, 0, {.max_points = 4});
  EXPECT_EQ(few.interval_upper, kInfinity);
  EXPECT_THAT(few.verdict, HasSubstr("where the points ran out"));
  const auto beyond = std::count_if(few.values.begin(), few.values.end(),
                                    [](double value) { return value > 5.01; });
  EXPECT_EQ(beyond, 4);
}

TEST(ProfileTest, OneOfAProductIsFlat) {
  const FakeObjective objective(
      {Element("a", 1, 1e-2, 1e2, Scale::kLog10), Element("b", 1, 1e-4, 1e4, Scale::kLog10)},
      [](const std::vector<double>& v) {
        Residuals r;
        for (const double t : {1.0, 2.0, 3.0}) {
          r.s.push_back(v[0] * v[1] * t - 1.1 * t);
          r.jacobian.push_back(v[1] * t);
          r.jacobian.push_back(v[0] * t);
        }
        return r;
      });
  const Profile profile = Compute(objective, {1, 1.1}, 0);
  EXPECT_EQ(profile.interval_lower, -kInfinity);
  EXPECT_EQ(profile.interval_upper, kInfinity);
  EXPECT_EQ(profile.verdict,
            "a is not identified: the fit is as good at every value, down to its bound 0.01 and up "
            "to its bound 100.");
  EXPECT_LE(profile.values.size(), 25u);
  for (size_t i = 0; i < profile.values.size(); ++i) {
    EXPECT_NEAR(profile.points[2 * i] * profile.points[2 * i + 1], 1.1, 1e-5);
  }
}

TEST(ProfileTest, BoundsOfTheOthersAreKept) {
  // f = ((u - 1)^2 + (u + w - 3)^2) / 2 with w in [1.9, 2.1]: at u = x, w goes to the bound.
  const FakeObjective objective({Element("u", 1), Element("w", 2, 1.9, 2.1)},
                                LinearModel({1, 0, 1, 1}, {1, 3}));
  const Profile profile = Compute(objective, {1, 2}, 0);
  for (size_t i = 0; i < profile.values.size(); ++i) {
    const double x = profile.values[i], w = std::clamp(3 - x, 1.9, 2.1);
    EXPECT_NEAR(profile.points[2 * i + 1], w, 1e-7);
    EXPECT_NEAR(profile.objectives[i], 0.5 * ((x - 1) * (x - 1) + (x + w - 3) * (x + w - 3)), 1e-9);
  }
  // Beyond the corner: d^2 / 2 + (d - 0.1)^2 / 2 = allowed.
  const double allowed = 0.5 * ChiSquaredQuantile(0.95);
  const double d =
      Root([&](double t) { return 0.5 * (t * t + (t - 0.1) * (t - 0.1)) - allowed; }, 0.1, 10);
  EXPECT_NEAR(profile.interval_upper, 1 + d, 1e-3 * d);
}

TEST(ProfileTest, AnEstimateOnItsBound) {
  const FakeObjective objective({Element("u", 1, 0, 5), Element("w", 1, 1, 1)},
                                LinearModel({1, 0, 0, 1}, {-1, 1}));
  const Profile profile = Compute(objective, {0, 1}, 0);
  EXPECT_EQ(profile.values.front(), 0);
  EXPECT_EQ(profile.interval_lower, -kInfinity);
  // (x + 1)^2 / 2 = 1/2 + allowed.
  EXPECT_NEAR(profile.interval_upper, std::sqrt(1 + ChiSquaredQuantile(0.95)) - 1, 1e-3);
  EXPECT_THAT(profile.verdict, HasSubstr("but open downwards, to its bound 0."));
  const Profile held = Compute(objective, {0, 1}, 1);
  EXPECT_EQ(held.values.size(), 1u);
  EXPECT_EQ(held.verdict, "w is held by its bounds.");
}

// s = x / 10, not to be had beyond 3.
TEST(ProfileTest, EndsWhereTheModelFails) {
  const FakeObjective objective({Element("x", 0, -100, 100)}, [](const std::vector<double>& v) {
    return Residuals{{v[0] > 3 ? kInfinity : v[0] / 10}, {0.1}};
  });
  const Profile profile = Compute(objective, {0}, 0);
  EXPECT_EQ(profile.interval_upper, kInfinity);
  EXPECT_GT(profile.values.back(), 2.5);
  EXPECT_LE(profile.values.back(), 3);
  EXPECT_THAT(profile.verdict, HasSubstr("beyond which the model could not be solved"));
}

TEST(ProfileTest, BeginsAtABetterPointThanTheGivenOne) {
  const FakeObjective objective({Element("u", 1), Element("w", 2)},
                                LinearModel({1, 0, 1, 1, 1, 2}, {1, 3, 5}));
  const Profile profile = Compute(objective, {1.5, 2}, 0);
  const double half = std::sqrt(ChiSquaredQuantile(0.95) * 5 / 6);
  EXPECT_NEAR(profile.interval_lower, 1 - half, 1e-3);
  EXPECT_NEAR(profile.interval_upper, 1 + half, 1e-3);
  EXPECT_THAT(profile.verdict, HasSubstr("a better point than the given one, by"));
}

// s = (x^2 - 1) (1 + 0.1 (x - 1)) has a shallow minimum at -1, on the way to the one at 1; here
// with an offset that makes 1 the deeper one.
TEST(ProfileTest, TellsOfABetterFitOnTheWay) {
  const FakeObjective objective({Element("x", 1, -3, 3)}, [](const std::vector<double>& v) {
    const double x = v[0];
    return Residuals{{x * x - 1, 0.5 * (x - 1)}, {2 * x, 0.5}};
  });
  // The shallow minimum, from 2 x (x^2 - 1) + (x - 1) / 4 = 0, that is 8 x (x + 1) = -1.
  const double shallow = (-8 - std::sqrt(64.0 - 32)) / 16;
  const Profile profile = Compute(objective, {shallow}, 0);
  EXPECT_THAT(profile.verdict, HasSubstr("a better fit was found, by 0.4"));
}

TEST(ProfileTest, DoesNotDependOnWorkers) {
  const FakeObjective objective({Element("A", 5), Element("k", 1, 1e-3, 10, Scale::kLog10)},
                                DecayModel({0.5, 1, 2, 4}, {8, 5, 4, 0.5}, 1));
  const Profile alone = Compute(objective, {9, 0.5}, 1);
  testing::ThreadWorkers workers(2);
  const Profile together = ComputeProfile(objective, ResolveFitOptions(objective, {}).value(),
                                          std::vector<double>{9, 0.5}, 1, {}, kNeverStops, workers)
                               .value();
  EXPECT_EQ(alone.values, together.values);
  EXPECT_EQ(alone.points, together.points);
  EXPECT_EQ(alone.interval_lower, together.interval_lower);
}

TEST(ProfileTest, RefusesWhatCannotBe) {
  const FakeObjective objective({Element("u", 1, 0, 5), Element("w", 2)},
                                LinearModel({1, 0, 1, 1, 1, 2}, {1, 3, 5}));
  NoWorkers workers;
  const FitOptions options = ResolveFitOptions(objective, {}).value();
  const auto field = [&](std::vector<double> best, ProfileOptions with) {
    const absl::Status status =
        ComputeProfile(objective, options, best, 0, with, kNeverStops, workers).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return FieldOf(status).value_or("");
  };
  EXPECT_EQ(field({1, 2}, {.confidence = 1}), "confidence");
  EXPECT_EQ(field({1, 2}, {.confidence = 0}), "confidence");
  EXPECT_EQ(field({1, 2}, {.max_points = 0}), "max_points");
  EXPECT_EQ(field({1}, {}), "best");
  EXPECT_EQ(field({7, 2}, {}), "best[0]");
  const FakeObjective wall({Element("x", 0)},
                           [](const std::vector<double>&) { return Residuals{{kInfinity}, {0}}; });
  const absl::Status status =
      ComputeProfile(wall, options, std::vector<double>{0}, 0, {}, kNeverStops, workers).status();
  EXPECT_EQ(FieldOf(status), std::optional<std::string>("best"));
  Cancellation cancellation;
  cancellation.Cancel(Cancellation::Reason::kClientCancelled);
  StopSource stop;
  stop.cancellation = &cancellation;
  EXPECT_EQ(ComputeProfile(objective, options, std::vector<double>{1, 2}, 0, {}, stop, workers)
                .status()
                .code(),
            absl::StatusCode::kCancelled);
}

}  // namespace
}  // namespace costate::fit
