// Softmax over the rows *and* the columns of a matrix that is never held whole, only one tile s (rows, columns) of it
// at a time: what a contrastive loss needs, whose similarity matrix is symmetric. The online form (Milakov and Gimelshein,
// "Online normalizer calculation for softmax", 2018, arXiv 1805.02867) keeps for every row and column
//
//   the largest element m so far  and  Σ exp(s - m),   from which  log Σ exp(s) = m + log Σ exp(s - m).
//
// Elements at or below -1e30 count as absent. NaN makes the sums of its row and column NaN. T = float or double; the
// exponential of the float32 variants is exact to 2 units in the last place. One thread; callers cut the matrix.
#pragma once

#include <cstdint>

#include "../core/config.hpp"

namespace sslcake::inline v0::kernels {

/// What an absent element is set to, and the smallest maximum: their difference is far below what exp can tell from 0.
inline constexpr double absent_similarity = -1e30, least_maximum = -1e29;

/// row_max[i] = max(row_max[i], max_j s[i,j]), and column_max[j] likewise. Element (i,j) lies at s[i·stride + j].
template <class T>
void tile_maxima(std::int64_t rows, std::int64_t columns, const T* s, std::int64_t stride, T* row_max, T* column_max);

/// row_sum[i] += Σ_j exp(s[i,j] - row_max[i]), column_sum[j] += Σ_i exp(s[i,j] - column_max[j]).
template <class T>
void tile_sums(std::int64_t rows, std::int64_t columns, const T* s, std::int64_t stride, const T* row_max, const T* column_max,
               T* row_sum, T* column_sum);

/// s[i,j] = exp(s[i,j] - row_log[i]) + exp(s[i,j] - column_log[j]): both softmaxes, given the logarithms of the whole sums.
template <class T>
void tile_weights(std::int64_t rows, std::int64_t columns, T* s, std::int64_t stride, const T* row_log, const T* column_log);

/// The softmax of each row, for attention: s[i,j] = exp(scale·s[i,j] - row_log[i]), where row_log[i] = log Σ_j exp(scale·s[i,j])
/// is written too. scale > 0, columns > 0.
template <class T>
void row_softmax(std::int64_t rows, std::int64_t columns, T* s, std::int64_t stride, T scale, T* row_log);
/// The same from logarithms that are known.
template <class T>
void row_softmax_again(std::int64_t rows, std::int64_t columns, T* s, std::int64_t stride, T scale, const T* row_log);

}  // namespace sslcake::inline v0::kernels

#ifndef SSLCAKE_COMPILED
#include "softmax_tile_inl.hpp"
#endif
