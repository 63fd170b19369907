// Convolution as a matrix product (Chellapilla, Puri, Simard, "High performance convolutional neural networks for
// document processing", 2006): one row per output pixel holds the patch of the picture that the pixel sees. The rows
// are made for one image at a time, so memory does not grow with the batch.
#pragma once

#include <algorithm>

#include "../../core/config.hpp"
#if SSLCAKE_EIGEN
#include <Eigen/Core>
#endif

#include "../../core/storage.hpp"
#include "../../core/threads.hpp"
#include "../channel_sums.hpp"
#include "reference.hpp"

namespace sslcake::inline v0::kernels::reference {
namespace detail {

/// to += factor · from, n numbers.
template <class T>
void add_scaled(std::int64_t n, T factor, const T* from, T* to) {
#if SSLCAKE_EIGEN
  using Row = Eigen::Array<T, 1, Eigen::Dynamic>;
  Eigen::Map<Row>(to, n) += factor * Eigen::Map<const Row>(from, n);
#else
  for (std::int64_t j = 0; j < n; ++j) to[j] += factor * from[j];
#endif
}

/// Every row of C is a sum of rows of op(B), weighted by a row of op(A). (Eigen's own product would be faster, and
/// costs more compile time than the rest of the library: this is the text to check against, not the one to run.)
template <class T>
void product(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const T* a, std::int64_t lda,
             const T* b, std::int64_t ldb, T* c, std::int64_t ldc, bool accumulate) {
  if (trans_b) {  // rows of op(B) are columns of what is stored: copied once
    const Workspace<T> copy(k * n);
    for (std::int64_t p = 0; p < k; ++p)
      for (std::int64_t j = 0; j < n; ++j) copy[p * n + j] = b[j * ldb + p];
    return product(trans_a, false, m, n, k, a, lda, copy.data(), n, c, ldc, accumulate);
  }
  for (std::int64_t i = 0; i < m; ++i) {
    if (!accumulate) std::fill_n(c + i * ldc, n, T(0));
    for (std::int64_t p = 0; p < k; ++p) add_scaled(n, trans_a ? a[p * lda + i] : a[i * lda + p], b + p * ldb, c + i * ldc);
  }
}

/// Calls visit(row, column, pixel) for every element run of the patch matrix (OH·OW, KH·KW·group_c) of one group:
/// `pixel` is the offset of the run of group_c channels within the image, or -1 in the padding.
template <class Visit>
void for_each_patch_run(const ConvShape& s, std::int64_t group, Visit visit) {
  const std::int64_t oh = s.oh(), ow = s.ow(), channels = s.group_c();
  for (std::int64_t p = 0; p < oh; ++p)
    for (std::int64_t q = 0; q < ow; ++q)
      for (std::int64_t u = 0; u < s.kh; ++u)
        for (std::int64_t v = 0; v < s.kw; ++v) {
          const std::int64_t i = p * s.stride_h - s.pad_h + u * s.dilation_h;
          const std::int64_t j = q * s.stride_w - s.pad_w + v * s.dilation_w;
          const bool inside = i >= 0 && i < s.h && j >= 0 && j < s.w;
          visit(p * ow + q, (u * s.kw + v) * channels, inside ? (i * s.w + j) * s.c + group * channels : -1);
        }
}

template <class T>
void gather_patches(const ConvShape& s, std::int64_t group, const T* image, T* patches) {
  const std::int64_t channels = s.group_c(), width = s.taps() * channels;
  for_each_patch_run(s, group, [&](std::int64_t row, std::int64_t column, std::int64_t pixel) {
    T* to = patches + row * width + column;
    if (pixel < 0) std::fill_n(to, channels, T(0));
    else std::copy_n(image + pixel, channels, to);
  });
}

/// The transpose of gather_patches: adds every patch element back to the pixel it came from.
template <class T>
void scatter_patches(const ConvShape& s, std::int64_t group, const T* patches, T* image) {
  const std::int64_t channels = s.group_c(), width = s.taps() * channels;
  for_each_patch_run(s, group, [&](std::int64_t row, std::int64_t column, std::int64_t pixel) {
    const T* from = patches + row * width + column;
    if (pixel >= 0)
      for (std::int64_t ch = 0; ch < channels; ++ch) image[pixel + ch] += from[ch];
  });
}

/// patches (OH·OW, width) · w^T (width, O/groups), image by image.
template <class T>
void forward(const ConvShape& s, const T* x, const T* w, T* y) {
  const std::int64_t pixels = s.oh() * s.ow(), width = s.taps() * s.group_c(), outputs = s.group_o();
  parallel_chunks(s.n, [&](std::int64_t n) {
    const Workspace<T> patches(pixels * width);
    for (std::int64_t g = 0; g < s.groups; ++g) {
      gather_patches(s, g, x + n * s.h * s.w * s.c, patches.data());
      product(false, true, pixels, outputs, width, patches.data(), width, w + g * outputs * width, width,
              y + n * pixels * s.o + g * outputs, s.o, false);
    }
  });
}

/// d patches = dy · w, scattered back onto the picture.
template <class T>
void input_grad(const ConvShape& s, const T* dy, const T* w, T* dx) {
  const std::int64_t pixels = s.oh() * s.ow(), width = s.taps() * s.group_c(), outputs = s.group_o();
  const std::int64_t image = s.h * s.w * s.c;
  parallel_chunks(s.n, [&](std::int64_t n) {
    const Workspace<T> patches(pixels * width);
    std::fill_n(dx + n * image, image, T(0));
    for (std::int64_t g = 0; g < s.groups; ++g) {
      product(false, false, pixels, width, outputs, dy + n * pixels * s.o + g * outputs, s.o, w + g * outputs * width,
              width, patches.data(), width, false);
      scatter_patches(s, g, patches.data(), dx + n * image);
    }
  });
}

/// dw = sum over images of dy^T · patches; one group after the other on each thread, images in order.
template <class T>
void weight_grad(const ConvShape& s, const T* x, const T* dy, T* dw) {
  const std::int64_t pixels = s.oh() * s.ow(), width = s.taps() * s.group_c(), outputs = s.group_o();
  std::fill_n(dw, s.o * width, T(0));
  parallel_chunks(s.groups, [&](std::int64_t g) {
    const Workspace<T> patches(pixels * width);
    for (std::int64_t n = 0; n < s.n; ++n) {
      gather_patches(s, g, x + n * s.h * s.w * s.c, patches.data());
      product(true, false, outputs, width, pixels, dy + n * pixels * s.o + g * outputs, s.o, patches.data(), width,
              dw + g * outputs * width, width, true);
    }
  });
}

}  // namespace detail

SSLCAKE_INLINE void gemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
                         std::int64_t lda, const float* b, std::int64_t ldb, float* c, std::int64_t ldc, bool accumulate) {
  detail::product(trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, accumulate);
}
SSLCAKE_INLINE void gemm(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const double* a,
                         std::int64_t lda, const double* b, std::int64_t ldb, double* c, std::int64_t ldc,
                         bool accumulate) {
  detail::product(trans_a, trans_b, m, n, k, a, lda, b, ldb, c, ldc, accumulate);
}

SSLCAKE_INLINE void conv2d_forward(const ConvShape& s, const float* x, const float* w, float* y) {
  detail::forward(s, x, w, y);
}
SSLCAKE_INLINE void conv2d_forward(const ConvShape& s, const double* x, const double* w, double* y) {
  detail::forward(s, x, w, y);
}
SSLCAKE_INLINE void conv2d_forward_sums(const ConvShape& s, const float* x, const float* w, float* y, const float* center,
                                        double* sum, double* sum_sq) {
  detail::forward(s, x, w, y);
  kernels::detail::sum_channels(y, s.n * s.oh() * s.ow(), s.o, center, sum, sum_sq);
}
SSLCAKE_INLINE void conv2d_input_grad(const ConvShape& s, const float* dy, const float* w, float* dx) {
  detail::input_grad(s, dy, w, dx);
}
SSLCAKE_INLINE void conv2d_forward_sums(const ConvShape& s, const double* x, const double* w, double* y, const double* center,
                                        double* sum, double* sum_sq) {
  detail::forward(s, x, w, y);
  kernels::detail::sum_channels(y, s.n * s.oh() * s.ow(), s.o, center, sum, sum_sq);
}
SSLCAKE_INLINE void conv2d_input_grad(const ConvShape& s, const double* dy, const double* w, double* dx) {
  detail::input_grad(s, dy, w, dx);
}
SSLCAKE_INLINE void conv2d_weight_grad(const ConvShape& s, const float* x, const float* dy, float* dw) {
  detail::weight_grad(s, x, dy, dw);
}
SSLCAKE_INLINE void conv2d_weight_grad(const ConvShape& s, const double* x, const double* dy, double* dw) {
  detail::weight_grad(s, x, dy, dw);
}

SSLCAKE_INLINE void widen(std::int64_t count, const bfloat16* from, float* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = static_cast<float>(from[i]);
}
SSLCAKE_INLINE void narrow(std::int64_t count, const float* from, bfloat16* to) {
  for (std::int64_t i = 0; i < count; ++i) to[i] = bfloat16(from[i]);
}

}  // namespace sslcake::inline v0::kernels::reference
