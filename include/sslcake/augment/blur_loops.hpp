// The inner loop of a Gaussian blur, one text for all instruction sets (internal).
#pragma once

#include "../kernels/cpu/bfloat_vectors.hpp"
#include "../kernels/cpu/isa.hpp"

namespace sslcake::inline v0::augment::blur_loops {

/// V vectors of the result, at x.
template <class Vector, int V>
SSLCAKE_ALWAYS_INLINE void mix_at(const float* weights, int reach, const float* const* rows, int x, float* out) {
  Vector sum[V], before, after;
  constexpr int lanes = sizeof(Vector) / sizeof(float);
  for (int v = 0; v < V; ++v) {
    kernels::load(before, rows[0] + x + v * lanes);
    sum[v] = before * weights[0];
  }
  for (int k = 1; k <= reach; ++k)
    for (int v = 0; v < V; ++v) {
      kernels::load(before, rows[-k] + x + v * lanes);
      kernels::load(after, rows[k] + x + v * lanes);
      sum[v] += (before + after) * weights[k];
    }
  for (int v = 0; v < V; ++v) kernels::store(sum[v], out + x + v * lanes);
}

template <int lanes>
SSLCAKE_ALWAYS_INLINE void mix(const float* weights, int reach, const float* const* rows, int n, float* out) {
  using Vector = typename kernels::VectorOf<float, 4 * lanes>::type;
  int x = 0;
  for (; x + 2 * lanes <= n; x += 2 * lanes) mix_at<Vector, 2>(weights, reach, rows, x, out);
  for (; x + lanes <= n; x += lanes) mix_at<Vector, 1>(weights, reach, rows, x, out);
  for (; x < n; ++x) mix_at<float, 1>(weights, reach, rows, x, out);
}

/// out[x] = weights[0] rows[0][x] + Σ over k = 1 .. reach of weights[k] (rows[-k][x] + rows[k][x]), for n results.
using Mix = void (*)(const float* weights, int reach, const float* const* rows, int n, float* out);

#define SSLCAKE_BLUR_MIX(name, target, lanes)                                                                      \
  target inline void name(const float* weights, int reach, const float* const* rows, int n, float* out) {          \
    mix<lanes>(weights, reach, rows, n, out);                                                                      \
  }
SSLCAKE_BLUR_MIX(portable, , 4)
#if SSLCAKE_X86
SSLCAKE_BLUR_MIX(avx2, __attribute__((target("avx2,fma"))), 8)
SSLCAKE_BLUR_MIX(avx512, __attribute__((target("avx512f,avx2,fma"))), 16)
#endif
#undef SSLCAKE_BLUR_MIX

inline Mix chosen() {
  switch (kernels::isa()) {
#if SSLCAKE_X86
    case kernels::Isa::avx2: return avx2;
    case kernels::Isa::avx512:
    case kernels::Isa::avx512bf16:
    case kernels::Isa::amx: return avx512;
#endif
    default: return portable;
  }
}

}  // namespace sslcake::inline v0::augment::blur_loops
