// Functions that pick entries by their number: any element type (the gradient flows where it is a floating-point one).
// Errors: an index out of range. On CUDA nobody looks: what it would pick is bytes of 0xff (NaN, -1, 255), and gradients
// leave it out.
#pragma once

#include "../core/tensor.hpp"

namespace sslcake::inline v0::ops {

/// Picks along an axis: entry k of the result's axis is entry index[k] of x's. index: (K) int64. Rows, by default.
Tensor index_select(const Tensor& x, const Tensor& index, int axis = 0);
/// Picks single elements along an axis: with axis 1, y[i][j] = x[i][index[i][j]]. index: int64, of x's rank, and of x's
/// extents in all other dimensions.
Tensor gather(const Tensor& x, const Tensor& index, int axis);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "pick_inl.hpp"
#endif
