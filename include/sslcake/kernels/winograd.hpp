// Winograd's minimal filtering for 3x3 convolutions of stride 1: F(4x4, 3x3) of Lavin and Gray, "Fast algorithms for
// convolutional neural networks" (2016, arXiv 1509.09308). A tile of 4x4 results needs 6x6 source pixels; both 6x6
// pixels and the 3x3 filter are taken to values of polynomials at 6 x 6 points, where convolution is a plain product:
//
//   y = A' [ (G g G') * (B' d B) ] A        36 multiplications for each pair of channels instead of 144
//
// The points decide the rounding: 0, ±1/√2, ±√2 and infinity instead of the usual 0, ±1, ±2 and infinity keep the error
// within about twice that of a sum taken in order (tests/kernels/test_winograd.cpp); that of the direct kernels, which sum in
// blocks, is smaller still (compare Barabasz et al., 2018, arXiv 1803.10986). The gradient of the weights is the same with the
// parts exchanged: F(3x3, 4x4), dy being the filter.
//
// What it costs: a not-a-number or an infinite pixel spoils its whole tile, not only the results that see it.
#pragma once

#include <cstdint>

#include "../core/config.hpp"
#include "conv_shape.hpp"

namespace sslcake::inline v0::kernels {

/// Whether convolutions, of float32 and of bfloat16 pictures, may be taken through Winograd's transform where that is faster.
/// Default: yes; the environment's SSLCAKE_WINOGRAD=0 says no.
bool winograd();
void set_winograd(bool on);

namespace detail {

inline constexpr std::int64_t winograd_points = 36;

/// How source and result of one pass are cut into tiles. The input gradient is a forward pass over dy with the filters
/// turned by 180 degrees.
struct WinogradMap {
  std::int64_t images, height, width, channels;  // source
  std::int64_t rows, columns, results;           // result: pixels of one image, channels
  std::int64_t pad, high, wide;                  // tiles of one image

  WinogradMap(const ConvShape& s, bool input_grad)
      : images(s.n), height(input_grad ? s.oh() : s.h), width(input_grad ? s.ow() : s.w), channels(input_grad ? s.o : s.c),
        rows(input_grad ? s.h : s.oh()), columns(input_grad ? s.w : s.ow()), results(input_grad ? s.c : s.o),
        pad(input_grad ? 2 - s.pad_h : s.pad_h), high((rows + 3) / 4), wide((columns + 3) / 4) {}
  std::int64_t tiles() const { return images * high * wide; }

  /// Pointers to the 6x6 source pixels of a tile; `outside` for those in the padding.
  template <class T>
  void source(std::int64_t tile, const T* image, const T* outside, const T** at) const {
    const std::int64_t n = tile / (high * wide), top = tile / wide % high * 4 - pad, left = tile % wide * 4 - pad;
    for (std::int64_t i = top; i < top + 6; ++i)
      for (std::int64_t j = left; j < left + 6; ++j)
        *at++ = i >= 0 && i < height && j >= 0 && j < width ? image + ((n * height + i) * width + j) * channels : outside;
  }
  /// Pointers to the 4x4 results of a tile; `outside` for those beyond the edge.
  template <class T>
  void result(std::int64_t tile, T* image, T* outside, T** at) const {
    const std::int64_t n = tile / (high * wide), top = tile / wide % high * 4, left = tile % wide * 4;
    for (std::int64_t i = top; i < top + 4; ++i)
      for (std::int64_t j = left; j < left + 4; ++j)
        *at++ = i < rows && j < columns ? image + ((n * rows + i) * columns + j) * results : outside;
  }
};

/// Whether the transform is possible for this shape, and pays.
bool takes_winograd(const ConvShape& shape, bool input_grad);

}  // namespace detail
}  // namespace sslcake::inline v0::kernels

#ifndef SSLCAKE_COMPILED
#include "winograd_inl.hpp"
#endif
