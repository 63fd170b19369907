// The loops of kernels/softmax_tile.hpp: one text for all instruction sets, in the compilers' vector language, and a
// reference. Everything is always-inline, so that it takes the instruction set of its caller.
#pragma once

#include <cmath>
#include <cstdint>

#include "../../core/config.hpp"
#include "../softmax_tile.hpp"
#include "isa.hpp"
#include "vector_exp.hpp"

namespace sslcake::inline v0::kernels::softmax_loops {

using vectors::exp_in_place;
using vectors::Lanes;
using vectors::load;
using vectors::store;

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

/// s = exp(scale·s - log). With `normalise`, log is the logarithm of Σ exp(scale·s), so that they sum to one. Returns log.
template <int lanes>
SSLCAKE_ALWAYS_INLINE float exponentials(std::int64_t columns, float* s, float scale, float log, bool normalise) {
  using Float = typename Lanes<lanes>::Float;
  Float v, row = Float{} + static_cast<float>(least_maximum);
  std::int64_t j = 0;
  if (normalise) {
    for (; j + lanes <= columns; j += lanes) {
      load(v, s + j);
      row = v > row ? v : row;
    }
    float most = row[0];
    for (int k = 1; k < lanes; ++k) most = row[k] > most ? row[k] : most;
    for (; j < columns; ++j) most = s[j] > most ? s[j] : most;
    log = scale * most;
  }
  row = Float{};
  for (j = 0; j + lanes <= columns; j += lanes) {
    load(v, s + j);
    v = v * scale - log;
    exp_in_place<lanes>(v);
    row += v;
    store(v, s + j);
  }
  float sum = 0;
  for (; j < columns; ++j) sum += s[j] = std::exp(s[j] * scale - log);
  if (!normalise) return log;
  for (int k = 0; k < lanes; ++k) sum += row[k];
  const float inverse = 1 / sum;
  for (j = 0; j + lanes <= columns; j += lanes) {
    load(v, s + j);
    v *= inverse;
    store(v, s + j);
  }
  for (; j < columns; ++j) s[j] *= inverse;
  return log + std::log(sum);
}

/// The loops over one row for one instruction set.
template <class T>
struct Table {
  void (*maxima)(std::int64_t columns, const T* s, T& row_max, T* column_max);
  void (*sums)(std::int64_t columns, const T* s, T row_max, const T* column_max, T& row_sum, T* column_sum);
  void (*weights)(std::int64_t columns, T* s, T row_log, const T* column_log);
  T (*exponentials)(std::int64_t columns, T* s, T scale, T log, bool normalise);
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
  static T exponentials(std::int64_t columns, T* s, T scale, T log, bool normalise) {
    if (normalise) {
      T most = static_cast<T>(least_maximum), sum = 0;
      for (std::int64_t j = 0; j < columns; ++j) most = s[j] > most ? s[j] : most;
      for (std::int64_t j = 0; j < columns; ++j) sum += std::exp(scale * (s[j] - most));
      log = scale * most + std::log(sum);
    }
    for (std::int64_t j = 0; j < columns; ++j) s[j] = std::exp(scale * s[j] - log);
    return log;
  }
  static constexpr Table<T> table{maxima, sums, weights, exponentials};
};

/// Defines a struct `name` with the same functions for the instruction set of `target`.
#define SSLCAKE_SOFTMAX_LOOPS(name, target, lanes)                                                                   \
  struct name {                                                                                                      \
    target static void row_maxima(std::int64_t n, const float* s, float& row, float* column) {                       \
      maxima<lanes>(n, s, row, column);                                                                              \
    }                                                                                                                \
    target static void row_sums(std::int64_t n, const float* s, float row_max, const float* column_max, float& row,  \
                                float* column) {                                                                     \
      sums<lanes>(n, s, row_max, column_max, row, column);                                                           \
    }                                                                                                                \
    target static void row_weights(std::int64_t n, float* s, float row, const float* column) {                       \
      weights<lanes>(n, s, row, column);                                                                             \
    }                                                                                                                \
    target static float row_exponentials(std::int64_t n, float* s, float scale, float log, bool normalise) {         \
      return exponentials<lanes>(n, s, scale, log, normalise);                                                       \
    }                                                                                                                \
    static constexpr Table<float> table{row_maxima, row_sums, row_weights, row_exponentials};                        \
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
      case Isa::avx512bf16:
      case Isa::amx: return Avx512::table;
#endif
      case Isa::portable: return Portable::table;
      default: break;
    }
  }
  return Reference<T>::table;
}

}  // namespace sslcake::inline v0::kernels::softmax_loops
