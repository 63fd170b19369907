// The pooling kernels. Pictures (N,H,W,C) of float32 or bfloat16; results are overwritten.
#pragma once

#include <cstdint>

#include "../../core/dtype.hpp"
#include "../functions.hpp"

namespace sslcake::inline v0::kernels::cuda {

/// x (n,h,w,c) to y (n,oh,ow,c); window (p,q) starts at pixel (p·stride_h - pad_h, q·stride_w - pad_w).
struct PoolShape {
  std::int64_t n = 0, h = 0, w = 0, c = 0, oh = 0, ow = 0;
  std::int64_t kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0;
};

/// The windows along one dimension of `size` pixels: `count` that slide, or, with kernel = 0, as many that share it out evenly.
/// Int: std::int64_t, or int within kernels, whose divisions are several times cheaper.
template <class Int>
struct PoolAxisOf {
  Int size = 0, count = 0;
  Int kernel = 0, stride = 1, padding = 0;
  bool counts_padding = false;  // whether a mean divides by the whole window

  /// The pixels [begin, end) of window i that lie within the picture, and by how many a mean divides.
  SSLCAKE_ANY_DEVICE Int begin(Int i) const {
    const Int at = kernel ? i * stride - padding : i * size / count;
    return at > 0 ? at : 0;
  }
  SSLCAKE_ANY_DEVICE Int end(Int i) const {
    const Int at = kernel ? i * stride - padding + kernel : ((i + 1) * size + count - 1) / count;
    return at < size ? at : size;
  }
  SSLCAKE_ANY_DEVICE Int extent(Int i) const { return counts_padding ? kernel : end(i) - begin(i); }
  /// The windows [first, last) that contain a pixel.
  SSLCAKE_ANY_DEVICE Int first(Int pixel) const {
    if (!kernel) return pixel * count / size;
    const Int beyond = pixel + padding - kernel;  // where windows start that end just before the pixel
    return beyond < 0 ? 0 : beyond / stride + 1;
  }
  SSLCAKE_ANY_DEVICE Int last(Int pixel) const {
    const Int behind = kernel ? (pixel + padding) / stride + 1 : ((pixel + 1) * count - 1) / size + 1;
    return behind < count ? behind : count;
  }
};
using PoolAxis = PoolAxisOf<std::int64_t>;

struct Pool {
  /// y: the largest of each window (NaN counts as such, ties: the first); where it stands in `places` (null: not wanted), counted
  /// row by row in the whole window.
  void (*max_pool2d)(DType type, const PoolShape& shape, const void* x, void* y, std::uint16_t* places) = nullptr;
  /// dx: each pixel's sum of dy over the windows whose largest it is, in order.
  void (*max_pool2d_gradient)(DType type, const PoolShape& shape, const void* dy, const std::uint16_t* places,
                              void* dx) = nullptr;
  /// y (n,rows.count,columns.count,c) in float32: the mean over each pair of a window of rows and one of columns.
  void (*box_means)(DType type, std::int64_t n, std::int64_t c, const PoolAxis& rows, const PoolAxis& columns, const void* x,
                    float* y) = nullptr;
  /// dx from dy in float32: each pixel's sum of dy / area over the boxes that contain it, in order.
  void (*box_means_gradient)(DType type, std::int64_t n, std::int64_t c, const PoolAxis& rows, const PoolAxis& columns,
                             const float* dy, void* dx) = nullptr;
};
void install(Pool& table);  // pool.cu

}  // namespace sslcake::inline v0::kernels::cuda
