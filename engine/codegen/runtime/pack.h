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

// The first `count` of a pack, 0 to W: loads give zero beyond them, stores leave what is there, and
// sums keep c.
template <int W>
inline Pack<W> LoadFirst(const double* p, int64_t count) {
  Pack<W> r;
  for (int i = 0; i < W; ++i) r.v[i] = i < count ? p[i] : 0;
  return r;
}
template <int W>
inline void StoreFirst(Pack<W> a, double* p, int64_t count) {
  for (int i = 0; i < W && i < count; ++i) p[i] = a.v[i];
}
template <int W>
inline Pack<W> AddFirst(Pack<W> a, Pack<W> c, int64_t count) {
  for (int i = 0; i < W && i < count; ++i) c.v[i] += a.v[i];
  return c;
}
template <int W>
inline Pack<W> FmaFirst(Pack<W> a, Pack<W> b, Pack<W> c, int64_t count) {
  for (int i = 0; i < W && i < count; ++i) c.v[i] = __builtin_fma(a.v[i], b.v[i], c.v[i]);
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

inline __mmask8 FirstLanes(int64_t count) { return static_cast<__mmask8>((1u << count) - 1); }
// Where a narrow access does, it is one: what is stored with a mask, or by narrower stores, reaches
// a masked load only through the cache.
template <>
inline Pack<8> LoadFirst<8>(const double* p, int64_t count) {
  if (count == 2) return {_mm512_zextpd128_pd512(_mm_loadu_pd(p))};
  if (count == 4) return {_mm512_zextpd256_pd512(_mm256_loadu_pd(p))};
  if (count == 1) return {_mm512_zextpd128_pd512(_mm_load_sd(p))};
  return {_mm512_maskz_loadu_pd(FirstLanes(count), p)};
}
template <>
inline void StoreFirst<8>(Pack<8> a, double* p, int64_t count) {
  if (count == 2) return _mm_storeu_pd(p, _mm512_castpd512_pd128(a.v));
  if (count == 4) return _mm256_storeu_pd(p, _mm512_castpd512_pd256(a.v));
  if (count == 1) return _mm_store_sd(p, _mm512_castpd512_pd128(a.v));
  _mm512_mask_storeu_pd(p, FirstLanes(count), a.v);
}
template <>
inline Pack<8> AddFirst<8>(Pack<8> a, Pack<8> c, int64_t count) {
  return {_mm512_mask_add_pd(c.v, FirstLanes(count), c.v, a.v)};
}
template <>
inline Pack<8> FmaFirst<8>(Pack<8> a, Pack<8> b, Pack<8> c, int64_t count) {
  return {_mm512_mask3_fmadd_pd(a.v, b.v, c.v, FirstLanes(count))};
}
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

// Of four lanes from `first` on, those below `count`.
inline __m256i LanesBelow(int64_t count, int64_t first) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count - first), _mm256_setr_epi64x(0, 1, 2, 3));
}
template <>
inline Pack<8> LoadFirst<8>(const double* p, int64_t count) {
  return {_mm256_maskload_pd(p, LanesBelow(count, 0)),
          _mm256_maskload_pd(p + 4, LanesBelow(count, 4))};
}
template <>
inline void StoreFirst<8>(Pack<8> x, double* p, int64_t count) {
  _mm256_maskstore_pd(p, LanesBelow(count, 0), x.a);
  _mm256_maskstore_pd(p + 4, LanesBelow(count, 4), x.b);
}
inline Pack<8> TakeFirst(Pack<8> x, Pack<8> z, int64_t count) {
  return {_mm256_blendv_pd(z.a, x.a, _mm256_castsi256_pd(LanesBelow(count, 0))),
          _mm256_blendv_pd(z.b, x.b, _mm256_castsi256_pd(LanesBelow(count, 4)))};
}
template <>
inline Pack<8> AddFirst<8>(Pack<8> x, Pack<8> z, int64_t count) {
  return TakeFirst(Add(z, x), z, count);
}
template <>
inline Pack<8> FmaFirst<8>(Pack<8> x, Pack<8> y, Pack<8> z, int64_t count) {
  return TakeFirst(Fma(x, y, z), z, count);
}
#endif
#endif

#if defined(__AVX512F__)
// Eight dense rows of K terms, turned: pack k holds term k of each row.
template <int K>
struct EightRows {
  Pack<8> term[K];

  static EightRows Load(const double* a) {
    EightRows r;
    for (int k = 0; k < K; ++k) r.term[k] = Pack<8>::Load(a + 8 * k);
    return r.Turned();
  }
  // The first `count` rows; zeros for the others.
  static EightRows LoadFirst(const double* a, int64_t count) {
    EightRows r;
    for (int k = 0; k < K; ++k) {
      const int64_t left = count * K - 8 * k;
      r.term[k] = avx512::LoadFirst<8>(a + 8 * k, left < 0 ? 0 : left > 8 ? 8 : left);
    }
    return r.Turned();
  }

 private:
  // Term k of row r is element K r + k; the packs are taken in one after the other. Lane r of the
  // result of taking pack j in: lane r - 8 of that pack, or of what was taken in before.
  struct Lanes {
    alignas(64) int64_t from[K][K][8];  // [term][pack]
  };
  static constexpr Lanes MakeLanes() {
    Lanes lanes{};
    for (int k = 0; k < K; ++k) {
      for (int j = 1; j < K; ++j) {
        for (int r = 0; r < 8; ++r) {
          const int pack = (K * r + k) / 8, place = (K * r + k) % 8;
          lanes.from[k][j][r] = pack == j ? 8 + place : j > 1 ? r : pack == 0 ? place : 0;
        }
      }
    }
    return lanes;
  }
  static constexpr Lanes kLanes = MakeLanes();

  EightRows Turned() const {
    EightRows turned;
#pragma GCC unroll 4
    for (int k = 0; k < K; ++k) {
      __m512d column = term[0].v;
#pragma GCC unroll 4
      for (int j = 1; j < K; ++j) {
        column = _mm512_permutex2var_pd(column, _mm512_load_si512(kLanes.from[k][j]), term[j].v);
      }
      turned.term[k].v = column;
    }
    return turned;
  }
};
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
