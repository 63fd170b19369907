#pragma once

#include "cpu/softmax_loops.hpp"
#include "softmax_tile.hpp"

namespace sslcake::inline v0::kernels {

template <class T>
void tile_maxima(std::int64_t rows, std::int64_t columns, const T* s, std::int64_t stride, T* row_max, T* column_max) {
  const auto& loops = softmax_loops::table<T>();
  for (std::int64_t i = 0; i < rows; ++i) loops.maxima(columns, s + i * stride, row_max[i], column_max);
}

template <class T>
void tile_sums(std::int64_t rows, std::int64_t columns, const T* s, std::int64_t stride, const T* row_max, const T* column_max,
               T* row_sum, T* column_sum) {
  const auto& loops = softmax_loops::table<T>();
  for (std::int64_t i = 0; i < rows; ++i) loops.sums(columns, s + i * stride, row_max[i], column_max, row_sum[i], column_sum);
}

template <class T>
void tile_weights(std::int64_t rows, std::int64_t columns, T* s, std::int64_t stride, const T* row_log, const T* column_log) {
  const auto& loops = softmax_loops::table<T>();
  for (std::int64_t i = 0; i < rows; ++i) loops.weights(columns, s + i * stride, row_log[i], column_log);
}

template <class T>
void row_softmax(std::int64_t rows, std::int64_t columns, T* s, std::int64_t stride, T scale, T* row_log) {
  const auto& loops = softmax_loops::table<T>();
  for (std::int64_t i = 0; i < rows; ++i) row_log[i] = loops.exponentials(columns, s + i * stride, scale, T(0), true);
}

template <class T>
void row_softmax_again(std::int64_t rows, std::int64_t columns, T* s, std::int64_t stride, T scale, const T* row_log) {
  const auto& loops = softmax_loops::table<T>();
  for (std::int64_t i = 0; i < rows; ++i) loops.exponentials(columns, s + i * stride, scale, row_log[i], false);
}

#if defined(SSLCAKE_COMPILED)
#define SSLCAKE_SOFTMAX_INSTANCES(T)                                                                          \
  template void tile_maxima<T>(std::int64_t, std::int64_t, const T*, std::int64_t, T*, T*);                   \
  template void tile_sums<T>(std::int64_t, std::int64_t, const T*, std::int64_t, const T*, const T*, T*, T*); \
  template void tile_weights<T>(std::int64_t, std::int64_t, T*, std::int64_t, const T*, const T*);            \
  template void row_softmax<T>(std::int64_t, std::int64_t, T*, std::int64_t, T, T*);                          \
  template void row_softmax_again<T>(std::int64_t, std::int64_t, T*, std::int64_t, T, const T*);
SSLCAKE_SOFTMAX_INSTANCES(float)
SSLCAKE_SOFTMAX_INSTANCES(double)
#undef SSLCAKE_SOFTMAX_INSTANCES
#endif

}  // namespace sslcake::inline v0::kernels
