// The loops of kernels/gelu.hpp: one text for all instruction sets, and a reference by the C library's erfc.
#pragma once

#include <cmath>
#include <cstdint>
#include <numbers>

#include "isa.hpp"
#include "vector_exp.hpp"

namespace sslcake::inline v0::kernels::gelu_loops {

/// Φ(x) and φ(x).
template <int lanes>
SSLCAKE_ALWAYS_INLINE void normal(const typename vectors::Lanes<lanes>::Float& x,
                                  typename vectors::Lanes<lanes>::Float& distribution,
                                  typename vectors::Lanes<lanes>::Float& density) {
  using Float = typename vectors::Lanes<lanes>::Float;
  const Float zero{}, size = x < zero ? -x : x;
  const Float within = size > 20.0f ? zero + 20.0f : size;  // φ is 0 there; squares stay finite, NaN stays NaN
  density = within * within * -0.5f;
  vectors::exp_in_place<lanes>(density);
  density *= 0.398942280f;
  const Float t = 1.0f / (size * 0.35f + 1.0f);
  Float r = zero - 0.0729651765f;  // minimax in the relative error over 0 <= x <= 13.2, behind which φ is 0
  r = r * t + 0.360423166f;
  r = r * t - 0.640009605f;
  r = r * t + 0.397855987f;
  r = r * t - 0.0571271764f;
  r = r * t + 0.264121086f;
  r = r * t + 0.300467327f;
  r = r * t + 0.350568759f;
  r = r * t + 0.34997973f;
  const Float tail = r * t * density;
  distribution = x < zero ? tail : 1.0f - tail;
}

template <int lanes>
SSLCAKE_ALWAYS_INLINE void value(std::int64_t n, const float* x, float* y) {
  using Float = typename vectors::Lanes<lanes>::Float;
  Float v, distribution, density;
  for (std::int64_t i = 0; i < n; i += lanes) {
    const std::int64_t count = n - i < lanes ? n - i : lanes;
    float rest[lanes] = {};
    if (count < lanes) {
      for (std::int64_t k = 0; k < count; ++k) rest[k] = x[i + k];
      vectors::load(v, rest);
    } else {
      vectors::load(v, x + i);
    }
    normal<lanes>(v, distribution, density);
    v *= distribution;
    if (count < lanes) {
      vectors::store(v, rest);
      for (std::int64_t k = 0; k < count; ++k) y[i + k] = rest[k];
    } else {
      vectors::store(v, y + i);
    }
  }
}

template <int lanes>
SSLCAKE_ALWAYS_INLINE void gradient(std::int64_t n, const float* x, const float* dy, float* dx) {
  using Float = typename vectors::Lanes<lanes>::Float;
  Float v, g, distribution, density;
  for (std::int64_t i = 0; i < n; i += lanes) {
    const std::int64_t count = n - i < lanes ? n - i : lanes;
    float rest[2 * lanes] = {};
    if (count < lanes) {
      for (std::int64_t k = 0; k < count; ++k) rest[k] = x[i + k], rest[lanes + k] = dy[i + k];
      vectors::load(v, rest);
      vectors::load(g, rest + lanes);
    } else {
      vectors::load(v, x + i);
      vectors::load(g, dy + i);
    }
    normal<lanes>(v, distribution, density);
    g *= distribution + v * density;
    if (count < lanes) {
      vectors::store(g, rest);
      for (std::int64_t k = 0; k < count; ++k) dx[i + k] = rest[k];
    } else {
      vectors::store(g, dx + i);
    }
  }
}

struct Table {
  void (*value)(std::int64_t n, const float* x, float* y);
  void (*gradient)(std::int64_t n, const float* x, const float* dy, float* dx);
};

struct Reference {
  static float distribution(float x) { return 0.5f * std::erfc(-x * (std::numbers::sqrt2_v<float> / 2)); }
  static void values(std::int64_t n, const float* x, float* y) {
    for (std::int64_t i = 0; i < n; ++i) y[i] = x[i] * distribution(x[i]);
  }
  static void gradients(std::int64_t n, const float* x, const float* dy, float* dx) {
    for (std::int64_t i = 0; i < n; ++i)
      dx[i] = dy[i] * (distribution(x[i]) + x[i] * 0.398942280f * std::exp(-0.5f * x[i] * x[i]));
  }
  static constexpr Table table{values, gradients};
};

/// Defines a struct `name` with the same functions for the instruction set of `target`.
#define SSLCAKE_GELU_LOOPS(name, target, lanes)                                                                          \
  struct name {                                                                                                          \
    target static void values(std::int64_t n, const float* x, float* y) { value<lanes>(n, x, y); }                       \
    target static void gradients(std::int64_t n, const float* x, const float* dy, float* dx) { gradient<lanes>(n, x, dy, dx); } \
    static constexpr Table table{values, gradients};                                                                     \
  }

SSLCAKE_GELU_LOOPS(Portable, , 4);
#if SSLCAKE_X86
SSLCAKE_GELU_LOOPS(Avx2, __attribute__((target("avx2,fma"))), 8);
SSLCAKE_GELU_LOOPS(Avx512, __attribute__((target("avx512f,avx2,fma"))), 16);
#endif
#undef SSLCAKE_GELU_LOOPS

inline const Table& table() {
  switch (isa()) {
    case Isa::reference: return Reference::table;
#if SSLCAKE_X86
    case Isa::avx2: return Avx2::table;
    case Isa::avx512:
    case Isa::avx512bf16:
    case Isa::amx: return Avx512::table;
#endif
    default: return Portable::table;
  }
}

}  // namespace sslcake::inline v0::kernels::gelu_loops
