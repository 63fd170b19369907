// The loops of kernels/softmax_tile.hpp: one text for all instruction sets, in the compilers' vector language, and a
// reference. Everything is always-inline, so that it takes the instruction set of its caller.
#pragma once

#include <cmath>
#include <cstdint>

#include "../../core/config.hpp"
#include "isa.hpp"

namespace sslcake::inline v0::kernels::softmax_loops {

/// Vectors of `lanes` floats and as many integers; one lane: plain numbers.
template <int lanes>
struct Lanes {
  typedef float Float __attribute__((vector_size(4 * lanes)));
  typedef std::int32_t Int __attribute__((vector_size(4 * lanes)));
};

/// x becomes exp(x) for x <= 1 or so; below -87, where float32 runs out of normal numbers, 0. NaN stays NaN.
/// exp(x) = 2^n · exp(r) with n = round(x / ln 2), |r| <= ln(2)/2, where Taylor's polynomial of degree 7 is exact enough.
template <int lanes>
SSLCAKE_ALWAYS_INLINE void exp_in_place(typename Lanes<lanes>::Float& x) {
  using Float = typename Lanes<lanes>::Float;
  using Int = typename Lanes<lanes>::Int;
  const Float zero{}, floor = zero - 87.0f;
  const Float clamped = x > floor ? x : floor;  // NaN too: no conversion of it to an integer
  const Float scaled = clamped * 1.44269504088896341f;
  const Int n = __builtin_convertvector(scaled < zero ? scaled - 0.5f : scaled + 0.5f, Int);
  const Float whole = __builtin_convertvector(n, Float);
  const Float r = (clamped - whole * 0.693359375f) + whole * 2.12194440e-4f;  // ln 2 in two parts: the first product is exact
  Float p = zero + 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Int bits = (n + 127) << 23;
  Float power;
  __builtin_memcpy(&power, &bits, sizeof power);
  x = x > floor ? p * power : zero * x;
}

// By reference: a vector passed by value would have to follow a calling convention that differs by instruction set.
template <class V>
SSLCAKE_ALWAYS_INLINE void load(V& v, const float* from) {
  __builtin_memcpy(&v, from, sizeof(V));
}
template <class V>
SSLCAKE_ALWAYS_INLINE void store(const V& v, float* to) {
  __builtin_memcpy(to, &v, sizeof(V));
}

template <int lanes>
SSLCAKE_ALWAYS_INLINE void maxima(std::int64_t columns, const float* s, float& row_max, float* column_max) {
  using Float = typename Lanes<lanes>::Float;
  Float row = Float{} + row_max, v, m;
  std::int64_t j = 0;
  for (; j + lanes <= columns; j += lanes) {
    load(v, s + j);
    load(m, column_max + j);
    row = v > row ? v : row;
    m = v > m ? v : m;
    store(m, column_max + j);
  }
  for (int k = 0; k < lanes; ++k) row_max = row[k] > row_max ? row[k] : row_max;
  for (; j < columns; ++j) {
    row_max = s[j] > row_max ? s[j] : row_max;
    column_max[j] = s[j] > column_max[j] ? s[j] : column_max[j];
  }
}

template <int lanes>
SSLCAKE_ALWAYS_INLINE void sums(std::int64_t columns, const float* s, float row_max, const float* column_max, float& row_sum,
                                float* column_sum) {
  using Float = typename Lanes<lanes>::Float;
  Float row{}, v, m, a, b, sum;
  std::int64_t j = 0;
  for (; j + lanes <= columns; j += lanes) {
    load(v, s + j);
    load(m, column_max + j);
    load(sum, column_sum + j);
    a = v - row_max;
    b = v - m;
    exp_in_place<lanes>(a);
    exp_in_place<lanes>(b);
    row += a;
    sum += b;
    store(sum, column_sum + j);
  }
  for (int k = 0; k < lanes; ++k) row_sum += row[k];
  for (; j < columns; ++j) {
    row_sum += std::exp(s[j] - row_max);
    column_sum[j] += std::exp(s[j] - column_max[j]);
  }
}

template <int lanes>
SSLCAKE_ALWAYS_INLINE void weights(std::int64_t columns, float* s, float row_log, const float* column_log) {
  using Float = typename Lanes<lanes>::Float;
  Float v, m, a, b;
  std::int64_t j = 0;
  for (; j + lanes <= columns; j += lanes) {
    load(v, s + j);
    load(m, column_log + j);
    a = v - row_log;
    b = v - m;
    exp_in_place<lanes>(a);
    exp_in_place<lanes>(b);
    a += b;
    store(a, s + j);
  }
  for (; j < columns; ++j) s[j] = std::exp(s[j] - row_log) + std::exp(s[j] - column_log[j]);
}

/// The loops over one row for one instruction set.
template <class T>
struct Table {
  void (*maxima)(std::int64_t columns, const T* s, T& row_max, T* column_max);
  void (*sums)(std::int64_t columns, const T* s, T row_max, const T* column_max, T& row_sum, T* column_sum);
  void (*weights)(std::int64_t columns, T* s, T row_log, const T* column_log);
};

/// The plain text; float64 always uses it.
template <class T>
struct Reference {
  static void maxima(std::int64_t columns, const T* s, T& row_max, T* column_max) {
    for (std::int64_t j = 0; j < columns; ++j) {
      row_max = s[j] > row_max ? s[j] : row_max;
      column_max[j] = s[j] > column_max[j] ? s[j] : column_max[j];
    }
  }
  static void sums(std::int64_t columns, const T* s, T row_max, const T* column_max, T& row_sum, T* column_sum) {
    for (std::int64_t j = 0; j < columns; ++j) {
      row_sum += std::exp(s[j] - row_max);
      column_sum[j] += std::exp(s[j] - column_max[j]);
    }
  }
  static void weights(std::int64_t columns, T* s, T row_log, const T* column_log) {
    for (std::int64_t j = 0; j < columns; ++j) s[j] = std::exp(s[j] - row_log) + std::exp(s[j] - column_log[j]);
  }
  static constexpr Table<T> table{maxima, sums, weights};
};

/// Defines a struct `name` with the same functions for the instruction set of `target`.
#define SSLCAKE_SOFTMAX_LOOPS(name, target, lanes)                                                                  \
  struct name {                                                                                                     \
    target static void row_maxima(std::int64_t n, const float* s, float& row, float* column) {                      \
      maxima<lanes>(n, s, row, column);                                                                             \
    }                                                                                                               \
    target static void row_sums(std::int64_t n, const float* s, float row_max, const float* column_max, float& row, \
                                float* column) {                                                                    \
      sums<lanes>(n, s, row_max, column_max, row, column);                                                          \
    }                                                                                                               \
    target static void row_weights(std::int64_t n, float* s, float row, const float* column) {                      \
      weights<lanes>(n, s, row, column);                                                                            \
    }                                                                                                               \
    static constexpr Table<float> table{row_maxima, row_sums, row_weights};                                         \
  }

SSLCAKE_SOFTMAX_LOOPS(Portable, , 4);
#if SSLCAKE_X86
SSLCAKE_SOFTMAX_LOOPS(Avx2, __attribute__((target("avx2,fma"))), 8);
SSLCAKE_SOFTMAX_LOOPS(Avx512, __attribute__((target("avx512f,avx2,fma"))), 16);
#endif
#undef SSLCAKE_SOFTMAX_LOOPS

template <class T>
const Table<T>& table() {
  if constexpr (sizeof(T) == sizeof(float)) {
    switch (isa()) {
#if SSLCAKE_X86
      case Isa::avx2: return Avx2::table;
      case Isa::avx512:
      case Isa::avx512bf16: return Avx512::table;
#endif
      case Isa::portable: return Portable::table;
      default: break;
    }
  }
  return Reference<T>::table;
}

}  // namespace sslcake::inline v0::kernels::softmax_loops
