// A strict reader of Prometheus' text format 0.0.4, as
// https://prometheus.io/docs/instrumenting/exposition_formats/ describes it.
#ifndef COSTATE_TESTS_SERVER_EXPOSITION_H_
#define COSTATE_TESTS_SERVER_EXPOSITION_H_

#include <map>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace costate {

using MetricLabels = std::map<std::string, std::string>;

// Beyond the grammar it asks for what scrapers take for granted: a type and a help text before the
// samples of each family, families in one piece, no series twice, counters finite and not negative,
// buckets of histograms cumulative, in ascending order, with +Inf equal to the count, and a sum.
class Exposition {
 public:
  // INVALID_ARGUMENT with the number of the line.
  static absl::StatusOr<Exposition> Parse(std::string_view text);

  // By the name of the family.
  const std::map<std::string, std::string>& types() const { return types_; }
  const std::map<std::string, std::string>& helps() const { return helps_; }

  bool Has(const std::string& name, const MetricLabels& labels = {}) const;
  // NaN without such a series. Of a histogram by the names of its parts: <name>_count.
  double Value(const std::string& name, const MetricLabels& labels = {}) const;
  // The sum of all series of that name whose labels include these.
  double Sum(const std::string& name, const MetricLabels& labels = {}) const;
  std::set<std::string> sampled_families() const;

 private:
  struct Series {
    std::string name;
    MetricLabels labels;
    friend bool operator<(const Series& a, const Series& b) {
      return a.name != b.name ? a.name < b.name : a.labels < b.labels;
    }
  };

  absl::Status ReadComment(std::string_view line);
  absl::Status ReadSample(std::string_view line);
  absl::Status StartFamily(const std::string& name);
  absl::Status CheckHistograms() const;
  std::string FamilyOf(const std::string& sample) const;

  std::map<std::string, std::string> types_;
  std::map<std::string, std::string> helps_;
  std::map<Series, double> samples_;
  std::string family_;            // of the last line
  std::set<std::string> closed_;  // families before it
};

}  // namespace costate

#endif  // COSTATE_TESTS_SERVER_EXPOSITION_H_
