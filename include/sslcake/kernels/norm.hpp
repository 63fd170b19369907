// What normalisation layers do to memory: a matrix (rows, channels) is summed, scaled and shifted channel by channel.
// For pictures (N,H,W,C) rows = N·H·W; channels are innermost, so every loop runs along them and becomes vector code
// without reordering a single sum. ops/norm.hpp has the equations that these passes are pieces of.
//
// Sums are float32 within blocks of 64 rows and float64 from there on (float64 throughout for double). Rows are cut
// into chunks by their number alone, and chunks are added in order: the same bits for every number of threads.
#pragma once

#include <cstdint>

#include "../core/dtype.hpp"

namespace sslcake::inline v0::kernels {

/// mean[c] = Σ_r x[r,c] / rows and variance[c] = Σ_r (x[r,c] - mean[c])² / rows. One pass: sums are taken of x - x[0,c],
/// so that a mean far from zero does not swallow the variance. rows >= 1. S = float, double or bfloat16, computed in
/// T = float, double or float; so for all below.
template <class S>
void channel_moments(std::int64_t rows, std::int64_t channels, const S* x, double* mean, double* variance);

/// sum[c] = Σ_r x[r,c]: 64 rows at a time in T, those in float64.
template <class S>
void column_sums(std::int64_t rows, std::int64_t channels, const S* x, double* sum);

/// y = x·scale[c] + shift[c] (+ residual), then max(0, ·) with `relu`. y may be x; residual may be null.
template <class S, class T = compute_t<S>>
void channel_affine(std::int64_t rows, std::int64_t channels, const S* x, const T* scale, const T* shift, const S* residual,
                    bool relu, S* y);

/// How a gradient pass learns where a ReLU was open: from the result y > 0, or from x·scale[c] + shift[c] > 0 computed
/// again (what channel_affine computed, without a residual); with neither there was no ReLU.
template <class S, class T = compute_t<S>>
struct ReluMask {
  const S* result = nullptr;
  const T* scale = nullptr;
  const T* shift = nullptr;
};

/// With g = dy where the ReLU was open, 0 elsewhere: sum[c] = Σ_r g[r,c] and product_sum[c] = Σ_r g[r,c]·(x[r,c] - mean[c]).
/// With a mask by result, g itself is written to `masked`, which may be dy; else `masked` is not touched.
template <class S, class T = compute_t<S>>
void channel_grad_sums(std::int64_t rows, std::int64_t channels, const S* dy, const S* x, const T* mean, const ReluMask<S>& mask,
                       S* masked, double* sum, double* product_sum);

/// dx = a[c]·g + b[c]·(x - mean[c]) + d[c] with g as above; no mask by result here (pass the masked gradient as dy).
/// dx may be dy or x.
template <class S, class T = compute_t<S>>
void channel_grad_apply(std::int64_t rows, std::int64_t channels, const S* dy, const S* x, const T* mean, const ReluMask<S>& mask,
                        const T* a, const T* b, const T* d, S* dx);

}  // namespace sslcake::inline v0::kernels

#ifndef SSLCAKE_COMPILED
#include "norm_inl.hpp"
#endif
