#ifndef COSTATE_ENGINE_SOLVERS_RK_TSIT5_H_
#define COSTATE_ENGINE_SOLVERS_RK_TSIT5_H_

#include "engine/solvers/rk/tableau.h"

namespace costate::rk {

// Tsitouras 5(4), FSAL, with its free fourth-order interpolant (equation 12 of the paper,
// multiplied out).
struct Tsit5 {
  static constexpr Method kMethod = Method::kTsit5;
  static constexpr std::string_view kName = "tsit5";
  static constexpr std::string_view kCitation =
      "Tsitouras, Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying "
      "assumption, Comput. Math. Appl. 62 (2011) 770-775";
  static constexpr int kOrder = 5, kErrorOrder = 4, kDenseOrder = 4;
  static constexpr int kStages = 7, kExtraStages = 0, kDenseDegree = 4;

  static constexpr double kC[7] = {0, 0.161, 0.327, 0.9, 0.98002554090450968573, 1, 1};
  static constexpr double kA[7][7] = {
      {},
      {0.161},
      {-0.0084806554923569885443, 0.33548065549235698854},
      {2.8971530571054934321, -6.3594484899750748431, 4.362295432869581411},
      {5.3258648284392566044, -11.748883564062827877, 7.4955393428898362083,
       -0.092495066361755249257},
      {5.8614554429464200287, -12.920969317847109292, 8.1593678985761586432,
       -0.071584973281400997222, -0.028269050394068382909},
      {0.09646076681806522952, 0.01, 0.47988965041449957477, 1.3790085741037418932,
       -3.29006951543608067990, 2.3247105240997739824},
  };
  static constexpr double kB[7] = {0.09646076681806522952,
                                   0.01,
                                   0.47988965041449957477,
                                   1.3790085741037418932,
                                   -3.29006951543608067990,
                                   2.3247105240997739824,
                                   0};
  static constexpr double kE[7] = {0.0017800110522257714434,
                                   0.00081643445965674690322,
                                   -0.0078808780102619960103,
                                   0.14471100717326290754,
                                   -0.58235716545255522502,
                                   0.45808210592918694666,
                                   -1.0 / 66};
  static constexpr double kDense[7][4] = {
      {1, -2.7637061972748259113, 2.9132554618219127438, -1.0530884977290216},
      {0, 0.1317, -0.2234, 0.1017},
      {0, 3.9302962368947515285, -5.9410338721315047347, 2.490627285651252793},
      {0, -12.411077166933676984, 30.338188630282321598, -16.54810288924490272},
      {0, 37.509313416511039195, -88.178904894766401101, 47.37952196281928122},
      {0, -27.896526289197287792, 65.091894674793671515, -34.87065786149660974},
      {0, 1.5, -4, 2.5},
  };
};

}  // namespace costate::rk

#endif  // COSTATE_ENGINE_SOLVERS_RK_TSIT5_H_
