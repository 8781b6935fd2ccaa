// W doubles at once, in registers where the instruction set of the including file has them.
//
// Included once per instruction set, with COSTATE_ISA naming a namespace of its own: code
// compiled for one instruction set must never be merged with another's.
#ifndef COSTATE_ISA
#error "define COSTATE_ISA before including pack.h"
#endif

#include <cstdint>

#if defined(__AVX2__) && defined(__FMA__)
#include <immintrin.h>
#endif

namespace costate::codegen::COSTATE_ISA {

template <int W>
struct Pack {
  double v[W];

  static Pack Load(const double* p) {
    Pack r;
    for (int i = 0; i < W; ++i) r.v[i] = p[i];
    return r;
  }
  static Pack Splat(double x) {
    Pack r;
    for (int i = 0; i < W; ++i) r.v[i] = x;
    return r;
  }
  void Store(double* p) const {
    for (int i = 0; i < W; ++i) p[i] = v[i];
  }
};

template <int W>
inline Pack<W> Add(Pack<W> a, Pack<W> b) {
  for (int i = 0; i < W; ++i) a.v[i] += b.v[i];
  return a;
}
template <int W>
inline Pack<W> Mul(Pack<W> a, Pack<W> b) {
  for (int i = 0; i < W; ++i) a.v[i] *= b.v[i];
  return a;
}
template <int W>
inline Pack<W> Fma(Pack<W> a, Pack<W> b, Pack<W> c) {
  for (int i = 0; i < W; ++i) c.v[i] = __builtin_fma(a.v[i], b.v[i], c.v[i]);
  return c;
}

#if defined(__AVX2__) && defined(__FMA__)
template <>
struct Pack<2> {
  __m128d v;
  static Pack Load(const double* p) { return {_mm_loadu_pd(p)}; }
  static Pack Splat(double x) { return {_mm_set1_pd(x)}; }
  void Store(double* p) const { _mm_storeu_pd(p, v); }
};
inline Pack<2> Add(Pack<2> a, Pack<2> b) { return {_mm_add_pd(a.v, b.v)}; }
inline Pack<2> Mul(Pack<2> a, Pack<2> b) { return {_mm_mul_pd(a.v, b.v)}; }
inline Pack<2> Fma(Pack<2> a, Pack<2> b, Pack<2> c) { return {_mm_fmadd_pd(a.v, b.v, c.v)}; }

template <>
struct Pack<4> {
  __m256d v;
  static Pack Load(const double* p) { return {_mm256_loadu_pd(p)}; }
  static Pack Splat(double x) { return {_mm256_set1_pd(x)}; }
  void Store(double* p) const { _mm256_storeu_pd(p, v); }
};
inline Pack<4> Add(Pack<4> a, Pack<4> b) { return {_mm256_add_pd(a.v, b.v)}; }
inline Pack<4> Mul(Pack<4> a, Pack<4> b) { return {_mm256_mul_pd(a.v, b.v)}; }
inline Pack<4> Fma(Pack<4> a, Pack<4> b, Pack<4> c) { return {_mm256_fmadd_pd(a.v, b.v, c.v)}; }

template <>
struct Pack<8> {
#if defined(__AVX512F__)
  __m512d v;
  static Pack Load(const double* p) { return {_mm512_loadu_pd(p)}; }
  static Pack Splat(double x) { return {_mm512_set1_pd(x)}; }
  void Store(double* p) const { _mm512_storeu_pd(p, v); }
#else
  __m256d a, b;
  static Pack Load(const double* p) { return {_mm256_loadu_pd(p), _mm256_loadu_pd(p + 4)}; }
  static Pack Splat(double x) { return {_mm256_set1_pd(x), _mm256_set1_pd(x)}; }
  void Store(double* p) const {
    _mm256_storeu_pd(p, a);
    _mm256_storeu_pd(p + 4, b);
  }
#endif
};
#if defined(__AVX512F__)
inline Pack<8> Add(Pack<8> a, Pack<8> b) { return {_mm512_add_pd(a.v, b.v)}; }
inline Pack<8> Mul(Pack<8> a, Pack<8> b) { return {_mm512_mul_pd(a.v, b.v)}; }
inline Pack<8> Fma(Pack<8> a, Pack<8> b, Pack<8> c) { return {_mm512_fmadd_pd(a.v, b.v, c.v)}; }
#else
inline Pack<8> Add(Pack<8> x, Pack<8> y) {
  return {_mm256_add_pd(x.a, y.a), _mm256_add_pd(x.b, y.b)};
}
inline Pack<8> Mul(Pack<8> x, Pack<8> y) {
  return {_mm256_mul_pd(x.a, y.a), _mm256_mul_pd(x.b, y.b)};
}
inline Pack<8> Fma(Pack<8> x, Pack<8> y, Pack<8> z) {
  return {_mm256_fmadd_pd(x.a, y.a, z.a), _mm256_fmadd_pd(x.b, y.b, z.b)};
}
#endif
#endif

// ((0 + 4) + (2 + 6)) + ((1 + 5) + (3 + 7))
inline double Fold(Pack<8> x) {
#if defined(__AVX512F__)
  const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(x.v), _mm512_extractf64x4_pd(x.v, 1));
#elif defined(__AVX2__) && defined(__FMA__)
  const __m256d four = _mm256_add_pd(x.a, x.b);
#endif
#if defined(__AVX2__) && defined(__FMA__)
  const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
  return _mm_cvtsd_f64(two) + _mm_cvtsd_f64(_mm_unpackhi_pd(two, two));
#else
  const double* v = x.v;
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
#endif
}

}  // namespace costate::codegen::COSTATE_ISA
