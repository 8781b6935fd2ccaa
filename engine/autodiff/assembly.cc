#include "engine/autodiff/assembly.h"

#include <algorithm>
#include <functional>
#include <queue>
#include <utility>

#include "absl/types/span.h"
#include "engine/autodiff/terms.h"
#include "engine/base/limits.h"

namespace costate {
namespace {

// Cost of an instruction, in element operations.
constexpr int64_t kInstructionCost = 16;

struct Range {
  int64_t begin = 0;
  int64_t end = 0;
  ValueId value = kNoValue;
};

int64_t SizeOf(const FunctionBuilder& b, ValueId id) { return NumElements(b.shape(id)); }

// Sorted by place, equal ranges added up.
std::vector<Range> MergeEqual(FunctionBuilder& b, std::vector<Piece> pieces) {
  std::vector<Range> ranges;
  for (const Piece& piece : pieces) {
    ranges.push_back({piece.offset, piece.offset + SizeOf(b, piece.value), piece.value});
  }
  std::stable_sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  std::vector<Range> merged;
  for (size_t i = 0; i < ranges.size();) {
    std::vector<ValueId> terms;
    bool same_shape = true;
    size_t next = i;
    for (; next < ranges.size() && ranges[next].begin == ranges[i].begin &&
           ranges[next].end == ranges[i].end;
         ++next) {
      terms.push_back(ranges[next].value);
      same_shape = same_shape && b.shape(terms.back()) == b.shape(terms.front());
    }
    if (!same_shape) {
      for (ValueId& term : terms) term = Flatten(b, term);
    }
    merged.push_back({ranges[i].begin, ranges[i].end, SumTerms(b, std::move(terms))});
    i = next;
  }
  return merged;
}

// Per range the layer it goes to, so that ranges of one layer do not overlap; as few as possible.
std::vector<int> AssignLayers(absl::Span<const Range> ranges, int* num_layers) {
  using End = std::pair<int64_t, int>;  // end of the last range, layer
  std::priority_queue<End, std::vector<End>, std::greater<End>> ends;
  std::vector<int> layers;
  *num_layers = 0;
  for (const Range& range : ranges) {
    int layer = *num_layers;
    if (!ends.empty() && ends.top().first <= range.begin) {
      layer = ends.top().second;
      ends.pop();
    } else {
      ++*num_layers;
    }
    ends.push({range.end, layer});
    layers.push_back(layer);
  }
  return layers;
}

std::vector<int64_t> CutPoints(absl::Span<const Range> ranges) {
  std::vector<int64_t> cuts;
  for (const Range& range : ranges) {
    cuts.push_back(range.begin);
    cuts.push_back(range.end);
  }
  std::sort(cuts.begin(), cuts.end());
  cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
  return cuts;
}

size_t CutIndex(const std::vector<int64_t>& cuts, int64_t place) {
  return std::lower_bound(cuts.begin(), cuts.end(), place) - cuts.begin();
}

void AssembleByCutting(FunctionBuilder& b, absl::Span<const Range> ranges,
                       const std::vector<int64_t>& cuts, std::vector<Segment>* segments) {
  std::vector<std::vector<ValueId>> cells(cuts.size() - 1);
  for (const Range& range : ranges) {
    const ValueId flat = Flatten(b, range.value);
    for (size_t cell = CutIndex(cuts, range.begin); cuts[cell] < range.end; ++cell) {
      cells[cell].push_back(
          b.Slice(flat, {cuts[cell] - range.begin, cuts[cell + 1] - range.begin, 1}));
    }
  }
  for (size_t cell = 0; cell < cells.size(); ++cell) {
    segments->push_back(
        {cuts[cell], cuts[cell + 1] - cuts[cell], SumTerms(b, std::move(cells[cell]))});
  }
}

// The ranges of one layer and zeros between, as one vector from `begin` to `end`.
ValueId LayOut(FunctionBuilder& b, absl::Span<const Range> ranges, int64_t begin, int64_t end) {
  std::vector<ValueId> parts;
  int64_t place = begin;
  const auto fill = [&](int64_t up_to) {
    if (up_to > place) parts.push_back(Zeros(b, Shape{up_to - place}));
  };
  for (const Range& range : ranges) {
    fill(range.begin);
    parts.push_back(Flatten(b, range.value));
    place = range.end;
  }
  fill(end);
  return b.Concat(std::move(parts), 0);
}

void AssembleByLayers(FunctionBuilder& b, absl::Span<const Range> ranges,
                      const std::vector<int>& layer_of, int num_layers, int64_t end,
                      std::vector<Segment>* segments) {
  std::vector<std::vector<Range>> layers(num_layers);
  for (size_t i = 0; i < ranges.size(); ++i) layers[layer_of[i]].push_back(ranges[i]);
  const int64_t begin = ranges[0].begin;
  std::vector<ValueId> terms;
  for (const std::vector<Range>& layer : layers) terms.push_back(LayOut(b, layer, begin, end));
  segments->push_back({begin, end - begin, SumTerms(b, std::move(terms))});
}

// Ranges that overlap, directly or through others; they reach to `end`.
void AssembleCluster(FunctionBuilder& b, absl::Span<const Range> ranges, int64_t end,
                     std::vector<Segment>* segments) {
  if (ranges.size() == 1) {
    segments->push_back({ranges[0].begin, end - ranges[0].begin, ranges[0].value});
    return;
  }
  const std::vector<int64_t> cuts = CutPoints(ranges);
  int64_t slices = 0;
  int64_t elements = 0;
  for (const Range& range : ranges) {
    slices += static_cast<int64_t>(CutIndex(cuts, range.end) - CutIndex(cuts, range.begin));
    elements += range.end - range.begin;
  }
  int num_layers = 0;
  const std::vector<int> layers = AssignLayers(ranges, &num_layers);
  const int64_t hull = end - ranges[0].begin;
  const auto count = static_cast<int64_t>(ranges.size());
  const bool cutting_is_cheaper =
      kInstructionCost * slices + elements <= kInstructionCost * count + 2 * num_layers * hull;
  if (cutting_is_cheaper || hull > limits::kMaxTensorElements) {
    AssembleByCutting(b, ranges, cuts, segments);
  } else {
    AssembleByLayers(b, ranges, layers, num_layers, end, segments);
  }
}

}  // namespace

ValueId Flatten(FunctionBuilder& b, ValueId x) { return b.Reshape(x, Shape{SizeOf(b, x)}); }

std::vector<Segment> AssemblePieces(FunctionBuilder& b, std::vector<Piece> pieces, int64_t total) {
  const std::vector<Range> ranges = MergeEqual(b, std::move(pieces));
  std::vector<Segment> segments;
  int64_t covered = 0;
  for (size_t first = 0; first < ranges.size();) {
    if (ranges[first].begin > covered) {
      segments.push_back({covered, ranges[first].begin - covered, kNoValue});
    }
    int64_t end = ranges[first].end;
    size_t next = first + 1;
    for (; next < ranges.size() && ranges[next].begin < end; ++next) {
      end = std::max(end, ranges[next].end);
    }
    AssembleCluster(b, absl::MakeConstSpan(ranges).subspan(first, next - first), end, &segments);
    covered = end;
    first = next;
  }
  if (covered < total) segments.push_back({covered, total - covered, kNoValue});
  return segments;
}

ValueId AssembleValue(FunctionBuilder& b, std::vector<Piece> pieces, const Shape& shape) {
  std::vector<ValueId> parts;
  for (const Segment& segment : AssemblePieces(b, std::move(pieces), NumElements(shape))) {
    parts.push_back(segment.value == kNoValue ? Zeros(b, Shape{segment.size})
                                              : Flatten(b, segment.value));
  }
  return b.Reshape(b.Concat(std::move(parts), 0), shape);
}

}  // namespace costate
