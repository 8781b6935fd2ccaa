// What regions of schemes and the spectra of models cost.
#include <cstdint>
#include <string>

#include "absl/strings/str_format.h"
#include "engine/analyze_stability.h"
#include "engine/stability/region.h"
#include "engine/stability/stability_function.h"
#include "tests/benchmarks/bench_problems.h"
#include "tests/benchmarks/report.h"

namespace costate {
namespace {

constexpr int kRounds = 11;

stability::RegionRequest Raster(const Scheme& scheme, int64_t points) {
  stability::RegionRequest request;
  request.scheme = scheme;
  request.real_points = request.imag_points = points;
  request.want_raster = true;
  return request;
}

// Spectral radii of the same samples through the matrix of the step, one by one.
double RasterByMatrices(const Scheme& scheme, const stability::Region& region) {
  const stability::StabilityFunction function(scheme);
  double sum = 0;
  for (int64_t i = 0; i < region.imag_points; ++i) {
    for (int64_t j = 0; j < region.real_points; ++j) {
      const auto at = [](double low, double high, int64_t k, int64_t count) {
        return low + (high - low) * static_cast<double>(k) / static_cast<double>(count - 1);
      };
      const stability::Complex z = {
          at(region.window.real_min, region.window.real_max, j, region.real_points),
          at(region.window.imag_min, region.window.imag_max, i, region.imag_points)};
      sum += stability::SpectralRadius(function.Matrix(z));
    }
  }
  return sum;
}

void Regions() {
  BenchTable table("Regions: boundary, intervals and area; then rasters");
  const struct {
    const char* name;
    Scheme scheme;
  } schemes[] = {{"rk4", Method::kRk4},
                 {"tsit5", Method::kTsit5},
                 {"rk4, coupling 0.99", {Method::kRk4, 0.99, 1}}};
  for (const auto& [name, scheme] : schemes) {
    stability::RegionRequest request;
    request.scheme = scheme;
    const double ns =
        MedianNanoseconds([&] { Must(stability::ComputeRegion(request, kNeverStops)); }, kRounds);
    table.Row(name, 1e-6 * ns, "ms", "", 0, "");
  }
  constexpr int64_t kPoints = 1000;
  for (const auto& [name, scheme] : schemes) {
    const stability::RegionRequest request = Raster(scheme, kPoints);
    const stability::Region region = Must(stability::ComputeRegion(request, kNeverStops));
    volatile double sink = 0;
    const PairedTimes times =
        MedianPair([&] { Must(stability::ComputeRegion(request, kNeverStops)); },
                   [&] { sink = sink + RasterByMatrices(scheme, region); }, kRounds);
    table.Row(absl::StrFormat("%s, 1e6 samples", name), 1e-6 * times.first_ns, "ms",
              "QR of each step's matrix", 1e-6 * times.second_ns, "");
  }
}

void Spectrum(BenchTable* table, const char* name, Simulation simulation) {
  SolveRequest solve = {.simulation = simulation};
  StabilityRequest request;
  request.simulation = std::move(simulation);
  const StabilityResult once = Must(TheEngine().AnalyzeStability(request));
  const PairedTimes times = MedianPair([&] { Must(TheEngine().AnalyzeStability(request)); },
                                       [&] { Must(TheEngine().Solve(solve)); }, kRounds);
  table->Row(absl::StrFormat("%s: %d points, %d eigenvalues", name, once.times.size(),
                             once.num_eigenvalues),
             1e-6 * times.first_ns, "ms", "the solve alone", 1e-6 * times.second_ns, "");
}

// Diffusion of n cells, of which all eigenvalues are known.
std::string HeatModel(int64_t n) {
  return absl::StrFormat(
      "model heat\nparam d = 1\nstate u[%d] = ones(%d)\nu' = d*(roll(u, 1, 0) + roll(u, -1, 0) - "
      "2*u)\n",
      n, n);
}

void Spectra() {
  BenchTable table("Eigenvalues along a solve, judged by the region of its method");
  Spectrum(&table, "Lorenz", Simulate(Load("lorenz.ode"), 10, 1e-6, 1e-9));
  Spectrum(&table, "van der Pol", Simulate(Load("van_der_pol.ode"), 10, 1e-6, 1e-9));
  Spectrum(&table, "heat, 100 cells", Simulate(CompileModel(HeatModel(100)), 1, 1e-6, 1e-9));
  Spectrum(&table, "heat, 1,000 cells", Simulate(CompileModel(HeatModel(1000)), 1, 1e-6, 1e-9));
}

}  // namespace
}  // namespace costate

int main() {
  costate::Regions();
  costate::Spectra();
  return 0;
}
