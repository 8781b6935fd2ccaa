#include "tests/server/exposition.h"

#include <cctype>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "engine/base/status_macros.h"

namespace costate {
namespace {

absl::Status Wrong(std::string_view what) { return absl::InvalidArgumentError(std::string(what)); }

bool IsName(std::string_view text, bool colons) {
  if (text.empty() || std::isdigit(static_cast<unsigned char>(text[0]))) return false;
  for (const char c : text) {
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_' && !(colons && c == ':')) {
      return false;
    }
  }
  return true;
}

absl::StatusOr<double> ParseValue(std::string_view text) {
  if (text == "+Inf") return std::numeric_limits<double>::infinity();
  if (text == "-Inf") return -std::numeric_limits<double>::infinity();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  const std::string copy(text);
  char* end = nullptr;
  const double value = std::strtod(copy.c_str(), &end);
  const bool number = !copy.empty() && end == copy.c_str() + copy.size() && std::isfinite(value);
  const bool plain = copy.find_first_not_of("+-.0123456789eE") == std::string::npos;
  if (!number || !plain) return Wrong("not a number");
  return value;
}

// The text between quotes at the beginning of `rest`, with escapes undone; `rest` moves past it.
absl::StatusOr<std::string> ParseQuoted(std::string_view* rest) {
  if (rest->empty() || rest->front() != '"') return Wrong("a label value without quotes");
  std::string value;
  for (size_t i = 1; i < rest->size(); ++i) {
    const char c = (*rest)[i];
    if (c == '"') {
      rest->remove_prefix(i + 1);
      return value;
    }
    if (c != '\\') {
      value.push_back(c);
      continue;
    }
    const char escaped = ++i < rest->size() ? (*rest)[i] : ' ';
    if (escaped != '\\' && escaped != '"' && escaped != 'n') return Wrong("an unknown escape");
    value.push_back(escaped == 'n' ? '\n' : escaped);
  }
  return Wrong("a label value without an end");
}

absl::StatusOr<MetricLabels> ParseLabels(std::string_view* rest) {
  MetricLabels labels;
  if (rest->empty() || rest->front() != '{') return labels;
  rest->remove_prefix(1);
  while (!rest->empty() && rest->front() != '}') {
    const size_t equals = rest->find('=');
    if (equals == std::string_view::npos) return Wrong("a label without a value");
    const std::string name(rest->substr(0, equals));
    if (!IsName(name, false) || absl::StartsWith(name, "__")) return Wrong("a wrong label name");
    rest->remove_prefix(equals + 1);
    ASSIGN_OR_RETURN(std::string value, ParseQuoted(rest));
    if (!labels.emplace(name, std::move(value)).second) return Wrong("a label twice");
    if (!rest->empty() && rest->front() == ',') {
      rest->remove_prefix(1);
    } else if (rest->empty() || rest->front() != '}') {
      return Wrong("labels without an end");
    }
  }
  if (rest->empty()) return Wrong("labels without an end");
  rest->remove_prefix(1);
  return labels;
}

}  // namespace

absl::StatusOr<Exposition> Exposition::Parse(std::string_view text) {
  if (text.empty() || text.back() != '\n') return Wrong("the last line has no end");
  text.remove_suffix(1);
  Exposition page;
  int number = 0;
  for (const absl::string_view part :
       absl::StrSplit(absl::string_view(text.data(), text.size()), '\n')) {
    const std::string_view line(part.data(), part.size());
    ++number;
    const absl::Status status =
        absl::StartsWith(part, "#") ? page.ReadComment(line) : page.ReadSample(line);
    if (!status.ok()) return Wrong(absl::StrCat("line ", number, ": ", status.message()));
  }
  RETURN_IF_ERROR(page.CheckHistograms());
  return page;
}

absl::Status Exposition::ReadComment(std::string_view line) {
  const std::vector<std::string> words =
      absl::StrSplit(absl::string_view(line.data(), line.size()), absl::MaxSplits(' ', 3));
  if (words.size() != 4 || words[0] != "#" || !IsName(words[2], true)) {
    return Wrong("neither HELP nor TYPE");
  }
  RETURN_IF_ERROR(StartFamily(words[2]));
  if (words[1] == "HELP") {
    if (words[3].empty() || !helps_.emplace(words[2], words[3]).second) return Wrong("HELP twice");
    return absl::OkStatus();
  }
  if (words[1] != "TYPE") return Wrong("neither HELP nor TYPE");
  if (words[3] != "counter" && words[3] != "gauge" && words[3] != "histogram") {
    return Wrong("an unknown type");
  }
  return types_.emplace(words[2], words[3]).second ? absl::OkStatus() : Wrong("TYPE twice");
}

absl::Status Exposition::StartFamily(const std::string& name) {
  if (name == family_) return absl::OkStatus();
  if (closed_.count(name) > 0) return Wrong("a family in two pieces");
  closed_.insert(std::exchange(family_, name));
  return absl::OkStatus();
}

std::string Exposition::FamilyOf(const std::string& sample) const {
  for (const char* suffix : {"_bucket", "_sum", "_count"}) {
    if (!absl::EndsWith(sample, suffix)) continue;
    const std::string family = sample.substr(0, sample.size() - std::string(suffix).size());
    const auto found = types_.find(family);
    if (found != types_.end() && found->second == "histogram") return family;
  }
  return sample;
}

absl::Status Exposition::ReadSample(std::string_view line) {
  const size_t name_end = line.find_first_of("{ ");
  if (name_end == std::string_view::npos) return Wrong("a sample without a value");
  Series series{std::string(line.substr(0, name_end)), {}};
  if (!IsName(series.name, true)) return Wrong("a wrong name");
  std::string_view rest = line.substr(name_end);
  ASSIGN_OR_RETURN(series.labels, ParseLabels(&rest));
  if (rest.empty() || rest.front() != ' ') return Wrong("no space before the value");
  ASSIGN_OR_RETURN(const double value, ParseValue(rest.substr(1)));
  const std::string family = FamilyOf(series.name);
  if (family != family_ || types_.count(family) == 0 || helps_.count(family) == 0) {
    return Wrong("a sample without its TYPE and HELP before it");
  }
  const bool counts = types_[family] != "gauge" && !absl::EndsWith(series.name, "_sum");
  if (counts && !(std::isfinite(value) && value >= 0)) return Wrong("a count that is none");
  if (types_[family] == "histogram" && series.name == family) return Wrong("a histogram as one");
  return samples_.emplace(std::move(series), value).second ? absl::OkStatus()
                                                           : Wrong("a series twice");
}

absl::Status Exposition::CheckHistograms() const {
  std::map<Series, std::map<double, double>> buckets;  // by the series without `le`
  for (const auto& [series, value] : samples_) {
    const std::string family = FamilyOf(series.name);
    if (types_.at(family) != "histogram" || !absl::EndsWith(series.name, "_bucket")) continue;
    Series whole{family, series.labels};
    const auto bound = whole.labels.find("le");
    if (bound == whole.labels.end()) return Wrong("a bucket without a bound");
    ASSIGN_OR_RETURN(const double limit, ParseValue(bound->second));
    whole.labels.erase("le");
    buckets[whole][limit] = value;
  }
  for (const auto& [series, counts] : buckets) {
    double last = 0;
    for (const auto& [bound, count] : counts) {
      if (count < last) return Wrong(absl::StrCat(series.name, ": buckets are not cumulative"));
      last = count;
    }
    if (!std::isinf(counts.rbegin()->first) ||
        last != Value(series.name + "_count", series.labels) ||
        !Has(series.name + "_sum", series.labels)) {
      return Wrong(absl::StrCat(series.name, ": +Inf, count and sum do not agree"));
    }
  }
  return absl::OkStatus();
}

bool Exposition::Has(const std::string& name, const MetricLabels& labels) const {
  return samples_.count({name, labels}) > 0;
}

double Exposition::Value(const std::string& name, const MetricLabels& labels) const {
  const auto found = samples_.find({name, labels});
  return found == samples_.end() ? std::numeric_limits<double>::quiet_NaN() : found->second;
}

double Exposition::Sum(const std::string& name, const MetricLabels& labels) const {
  double sum = 0;
  for (const auto& [series, value] : samples_) {
    bool included = series.name == name;
    for (const auto& [key, label] : labels) {
      const auto found = series.labels.find(key);
      included = included && found != series.labels.end() && found->second == label;
    }
    if (included) sum += value;
  }
  return sum;
}

std::set<std::string> Exposition::sampled_families() const {
  std::set<std::string> families;
  for (const auto& [series, value] : samples_) families.insert(FamilyOf(series.name));
  return families;
}

}  // namespace costate
