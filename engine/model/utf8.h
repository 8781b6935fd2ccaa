// Code points of UTF-8 text.
#ifndef COSTATE_ENGINE_MODEL_UTF8_H_
#define COSTATE_ENGINE_MODEL_UTF8_H_

#include <cstdint>
#include <string_view>

namespace costate {

struct CodePoint {
  uint32_t value = 0;  // U+FFFD when invalid
  int num_bytes = 1;   // 1 when invalid
  bool valid = true;
};

// Decodes at byte `i` < text.size(). Overlong forms, surrogates and values past U+10FFFF are
// invalid.
inline CodePoint DecodeUtf8(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<uint8_t>(text[k]); };
  const uint8_t lead = byte(i);
  if (lead < 0x80) return {lead, 1, true};
  const int size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  const CodePoint invalid{0xfffd, 1, false};
  if (lead < 0xc2 || lead > 0xf4 || i + size > text.size()) return invalid;
  uint32_t value = lead & (0x7f >> size);
  for (int k = 1; k < size; ++k) {
    if ((byte(i + k) & 0xc0) != 0x80) return invalid;
    value = value << 6 | (byte(i + k) & 0x3f);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[size] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) {
    return invalid;
  }
  return {value, size, true};
}

inline int32_t CountCodePoints(std::string_view text) {
  int32_t count = 0;
  for (size_t i = 0; i < text.size(); ++count) i += DecodeUtf8(text, i).num_bytes;
  return count;
}

}  // namespace costate

#endif  // COSTATE_ENGINE_MODEL_UTF8_H_
