#include "engine/gradients/method.h"

#include <cstdlib>

namespace costate {
namespace {

constexpr GradientMethod kMethods[] = {
    GradientMethod::kForward,     GradientMethod::kBackprop,  GradientMethod::kCheckpointed,
    GradientMethod::kSegmented,   GradientMethod::kBacksolve, GradientMethod::kInterpolating,
    GradientMethod::kQuadrature,  GradientMethod::kGauss,     GradientMethod::kFiniteDifference,
    GradientMethod::kComplexStep,
};

constexpr GradientMethodInfo kForward = {
    GradientMethod::kForward, "forward", GradientFamily::kTangent,
    "Hindmarsh et al. 2005, SUNDIALS, ACM TOMS 31(3): CVODES, staggered error test"};
constexpr GradientMethodInfo kBackprop = {
    GradientMethod::kBackprop, "backprop", GradientFamily::kDiscreteAdjoint,
    "Hager 2000, Numer. Math. 87; Zhuang et al. 2020, arXiv 2006.02493"};
constexpr GradientMethodInfo kCheckpointed = {
    GradientMethod::kCheckpointed, "checkpointed", GradientFamily::kDiscreteAdjoint,
    "Griewank and Walther 2000, ACM TOMS 26(1); Stumm and Walther 2010, SIAM J. Sci. Comput. "
    "32(2); Wang, Moin and Iaccarino 2009, SIAM J. Sci. Comput. 31(4)"};
constexpr GradientMethodInfo kSegmented = {GradientMethod::kSegmented, "segmented",
                                           GradientFamily::kDiscreteAdjoint,
                                           "Chen et al. 2016, arXiv 1604.06174"};
constexpr GradientMethodInfo kReversible = {GradientMethod::kReversible, "reversible",
                                            GradientFamily::kDiscreteAdjoint,
                                            "McCallum and Foster 2024, arXiv 2410.11648"};
constexpr GradientMethodInfo kBacksolve = {GradientMethod::kBacksolve, "backsolve",
                                           GradientFamily::kContinuousAdjoint,
                                           "Chen et al. 2018, arXiv 1806.07366"};
constexpr GradientMethodInfo kInterpolating = {
    GradientMethod::kInterpolating, "interpolating", GradientFamily::kContinuousAdjoint,
    "Cao, Li, Petzold and Serban 2003, SIAM J. Sci. Comput. 24(3)"};
constexpr GradientMethodInfo kQuadrature = {GradientMethod::kQuadrature, "quadrature",
                                            GradientFamily::kContinuousAdjoint,
                                            "Rackauckas et al. 2020, arXiv 2001.04385"};
constexpr GradientMethodInfo kGauss = {GradientMethod::kGauss, "gauss",
                                       GradientFamily::kContinuousAdjoint,
                                       "Norcliffe and Deisenroth 2023, arXiv 2309.07013"};
constexpr GradientMethodInfo kFiniteDifference = {GradientMethod::kFiniteDifference,
                                                  "finite_difference", GradientFamily::kDifference,
                                                  "More and Wild 2012, ACM TOMS 38(3)"};
constexpr GradientMethodInfo kComplexStep = {GradientMethod::kComplexStep, "complex_step",
                                             GradientFamily::kDifference,
                                             "Squire and Trapp 1998, SIAM Review 40(1)"};

}  // namespace

const GradientMethodInfo& GetGradientMethodInfo(GradientMethod method) {
  switch (method) {
    case GradientMethod::kForward:
      return kForward;
    case GradientMethod::kBackprop:
      return kBackprop;
    case GradientMethod::kCheckpointed:
      return kCheckpointed;
    case GradientMethod::kSegmented:
      return kSegmented;
    case GradientMethod::kReversible:
      return kReversible;
    case GradientMethod::kBacksolve:
      return kBacksolve;
    case GradientMethod::kInterpolating:
      return kInterpolating;
    case GradientMethod::kQuadrature:
      return kQuadrature;
    case GradientMethod::kGauss:
      return kGauss;
    case GradientMethod::kFiniteDifference:
      return kFiniteDifference;
    case GradientMethod::kComplexStep:
      return kComplexStep;
    case GradientMethod::kAuto:
      break;
  }
  std::abort();  // resolved before
}

absl::Span<const GradientMethod> AllGradientMethods() { return kMethods; }

}  // namespace costate
