// Reductions over any set of dimensions. An empty list of axes means all of them; with `keep` the reduced dimensions
// stay as extents of 1 (so that the result broadcasts against x). Negative axes count from the back. float32 and float64;
// on CUDA float32.
//
// Sums are taken in the tensor's type within short blocks, and in double over the blocks, in a fixed order: accurate, and
// the same for any number of threads.
#pragma once

#include <vector>

#include "../autograd/tape.hpp"

namespace sslcake::inline v0::ops {

/// Σ x. Over nothing: 0.
Tensor sum(const Tensor& x, const std::vector<int>& axes = {}, bool keep = false);
/// Σ x / n. Over nothing: NaN, as PyTorch.
Tensor mean(const Tensor& x, const std::vector<int>& axes = {}, bool keep = false);
/// Largest element. Where several are equal, they share the gradient (PyTorch's amax). NaN if any is. Fails over nothing.
Tensor max(const Tensor& x, const std::vector<int>& axes = {}, bool keep = false);
/// Smallest element; as max.
Tensor min(const Tensor& x, const std::vector<int>& axes = {}, bool keep = false);
/// Σ (x − mean)² / (n − correction). Correction 1 (Bessel's, PyTorch's default) gives the unbiased estimate; 0 the plain one.
Tensor variance(const Tensor& x, const std::vector<int>& axes = {}, bool keep = false, double correction = 1);
/// Index of the largest element along one axis, the first of equals, the first NaN if there is one (int64, no gradient);
/// of bfloat16 too. Fails over nothing.
Tensor argmax(const Tensor& x, int axis = -1, bool keep = false);

namespace detail {

/// Σ over `axes` (none: all) without recording, reduced dimensions kept with extent 1.
Tensor sum_plain(const Tensor& x, const std::vector<int>& axes);

}  // namespace detail
}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "reduce_inl.hpp"
#endif
