// Timing and the common table of all benchmark programs.
//
//   BenchTable table("kernels");
//   const double ns = MedianNanoseconds([&] { kernel(in, out, scratch); });
//   table.Row("Lorenz, W = 1", ns, "ns", "C++ -O3 -march=native", reference_ns, "<= 1.1x");
#ifndef COSTATE_TESTS_BENCHMARKS_REPORT_H_
#define COSTATE_TESTS_BENCHMARKS_REPORT_H_

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

namespace costate {

inline double SecondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Median over `rounds` of the time of one call, calls repeated so that a round takes >= 2 ms.
template <typename F>
double MedianNanoseconds(F&& call, int rounds = 31) {
  int64_t repeats = 1;
  for (;;) {
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < repeats; ++i) call();
    if (SecondsSince(start) > 2e-3 || repeats > (int64_t{1} << 30)) break;
    repeats *= 2;
  }
  std::vector<double> samples;
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < repeats; ++i) call();
    samples.push_back(SecondsSince(start) * 1e9 / static_cast<double>(repeats));
  }
  std::nth_element(samples.begin(), samples.begin() + rounds / 2, samples.end());
  return samples[rounds / 2];
}

// Medians of two calls measured in turn, so that a drifting machine hits both alike. `ratio` is
// the median of the ratios first / second, round by round.
struct PairedTimes {
  double first_ns = 0, second_ns = 0, ratio = 0;
};

template <typename F, typename G>
PairedTimes MedianPair(F&& first, G&& second, int rounds = 31) {
  std::vector<double> a, b, ratios;
  for (int round = 0; round < rounds; ++round) {
    a.push_back(MedianNanoseconds(first, 1));
    b.push_back(MedianNanoseconds(second, 1));
    ratios.push_back(a.back() / b.back());
  }
  const auto median = [](std::vector<double>& v) {
    std::nth_element(v.begin(), v.begin() + v.size() / 2, v.end());
    return v[v.size() / 2];
  };
  return {median(a), median(b), median(ratios)};
}

// Prints rows "what | measured | reference | ratio | reach" as they are made.
class BenchTable {
 public:
  explicit BenchTable(std::string_view title) {
    std::printf("\n%s\n%-52s %14s   %-34s %14s %8s   %s\n", std::string(title).c_str(), "what",
                "measured", "reference", "", "ratio", "reach");
  }
  // reference_value <= 0: no figure; then the ratio is left out.
  void Row(std::string_view what, double value, std::string_view unit, std::string_view reference,
           double reference_value, std::string_view reach) {
    const std::string measured = Format(value, unit);
    const std::string other = reference_value > 0 ? Format(reference_value, unit) : "";
    char ratio[32] = "";
    if (reference_value > 0) std::snprintf(ratio, sizeof ratio, "%.2fx", value / reference_value);
    std::printf("%-52s %14s   %-34s %14s %8s   %s\n", std::string(what).c_str(), measured.c_str(),
                std::string(reference).c_str(), other.c_str(), ratio, std::string(reach).c_str());
    std::fflush(stdout);
  }

 private:
  static std::string Format(double value, std::string_view unit) {
    char text[64];
    std::snprintf(text, sizeof text, "%.4g %s", value, std::string(unit).c_str());
    return text;
  }
};

}  // namespace costate

#endif  // COSTATE_TESTS_BENCHMARKS_REPORT_H_
