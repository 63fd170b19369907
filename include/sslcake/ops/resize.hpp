// Changing the size of feature maps, as decoders and segmentation heads do. (Photographs are resized with
// antialiasing in image/; these ops read at most 2x2 pixels for each result and are differentiable.)
//
//   resize_nearest    y[p,q] = x[⌊p·H/OH⌋, ⌊q·W/OW⌋]                                       PyTorch: mode="nearest"
//   resize_bilinear   y[p,q] = the four pixels around ((p+½)·H/OH - ½, (q+½)·W/OW - ½),      mode="bilinear",
//                     weighted by closeness; positions beyond the border are moved onto it   align_corners=False
//   pixel_shuffle     y[h·r+i, w·r+j, c] = x[h, w, c·r² + i·r + j]   (Shi et al., "Real-time single image and video
//                     super-resolution using an efficient sub-pixel convolutional network", 2016, arXiv 1609.05158)
// Of any floating-point type; bfloat16 is computed in float32.
#pragma once

#include "../autograd/tape.hpp"
#include "spatial.hpp"

namespace sslcake::inline v0::ops {

/// x (N,H,W,C) -> (N,size.h,size.w,C). Errors: a size below 1, pictures without pixels.
Tensor resize_nearest(const Tensor& x, HW size);

/// x (N,H,W,C) -> (N,size.h,size.w,C). Errors: a size below 1, pictures without pixels.
Tensor resize_bilinear(const Tensor& x, HW size);

/// x (N,H,W,C·r²) -> (N,H·r,W·r,C): channels become pixels. Errors: C·r² not divisible by r².
Tensor pixel_shuffle(const Tensor& x, std::int64_t r);

}  // namespace sslcake::inline v0::ops

#ifndef SSLCAKE_COMPILED
#include "resize_inl.hpp"
#endif
