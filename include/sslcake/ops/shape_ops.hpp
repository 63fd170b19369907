// Functions that move numbers without computing: any element type (the gradient flows where it is a floating-point one).
// Axes may be negative and then count from the back.
#pragma once

#include <utility>
#include <vector>

#include "../core/tensor.hpp"
#include "pick.hpp"

namespace sslcake::inline v0::ops {

/// The same numbers under another shape, shared with x, not copied. One extent may be -1 and follows from the others.
Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> shape);
Tensor reshape(const Tensor& x, const Shape& shape);
/// Dimensions from `first` on as one: (N,H,W,C) with first = 1 gives (N,H·W·C).
Tensor flatten(const Tensor& x, int first = 1);
/// Dimension i of the result is dimension axes[i] of x. Copies.
Tensor permute(const Tensor& x, const std::vector<int>& axes);
/// Swaps two dimensions. Copies.
Tensor transpose(const Tensor& x, int axis_a, int axis_b);
/// Joins tensors along an axis; all other extents and the types must agree.
Tensor concat(const std::vector<Tensor>& tensors, int axis = 0);
/// Joins tensors of one shape along a new axis.
Tensor stack(const std::vector<Tensor>& tensors, int axis = 0);
/// Elements [begin, end) along an axis; negative bounds count from the back. Shares the numbers of x where these lie
/// together (the first axis), copies otherwise.
Tensor slice(const Tensor& x, int axis, std::int64_t begin, std::int64_t end);
/// Surrounds x with `value`: amounts[i] = {before, after} for dimension i, one pair for each dimension.
Tensor pad(const Tensor& x, const std::vector<std::pair<std::int64_t, std::int64_t>>& amounts, double value = 0);
/// Converts the element type; x itself where it is right already. Towards integers fractions are cut off,
/// numbers out of range become the nearest bound, NaN 0; integers take no gradient.
Tensor cast(const Tensor& x, DType dtype);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "shape_ops_inl.hpp"
#endif
