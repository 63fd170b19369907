// Pooling: one number per window and channel, the largest or the mean. Pictures are (N,H,W,C).
//
//   max_pool2d            y[p,q] = max over the window of x      the gradient goes to the first place of the maximum
//   avg_pool2d            y[p,q] = (1/a) Σ over the window of x  a: the window's area
//   adaptive_avg_pool2d   avg over windows [⌊i·H/OH⌋, ⌈(i+1)·H/OH⌉), which may differ in size and overlap
//   global_avg_pool       avg over the whole picture (Lin, Chen, Yan, "Network in network", 2013, arXiv 1312.4400)
//
// Semantics, sizes and ties are PyTorch's; there is no ceil_mode. Means of bfloat16 pictures are float32.
// On CUDA there are no float64 means. Errors: padding above half the kernel, pictures smaller than the kernel; max_pool2d: a
// kernel of more than 65535 pixels.
#pragma once

#include "../autograd/tape.hpp"
#include "spatial.hpp"

namespace sslcake::inline v0::ops {

struct PoolOptions {
  HW kernel = 2;
  HW stride = 0;                  // 0: as large as the kernel
  HW padding = 0;                 // at most half the kernel; never the maximum, and zeros in a mean
  bool count_include_pad = true;  // avg_pool2d: whether padding counts in the window's area
};

/// x (N,H,W,C) -> (N,OH,OW,C), OH = (H + 2·padding - kernel) / stride + 1, rounded down. Ties: the first in row-major
/// order. NaN counts as the largest number.
Tensor max_pool2d(const Tensor& x, const PoolOptions& options);

/// x (N,H,W,C) -> (N,OH,OW,C), sizes as for max_pool2d.
Tensor avg_pool2d(const Tensor& x, const PoolOptions& options);

/// x (N,H,W,C) -> (N,size.h,size.w,C).
Tensor adaptive_avg_pool2d(const Tensor& x, HW size);

/// x (N,H,W,C) -> (N,C): the mean over each picture, with at least one pixel.
Tensor global_avg_pool(const Tensor& x);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "pool_inl.hpp"
#endif
