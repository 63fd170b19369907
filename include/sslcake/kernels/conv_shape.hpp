// The extents of a two-dimensional convolution, shared by its forward pass, both gradients and every variant of them.
#pragma once

#include <cstdint>

#include "../core/config.hpp"

namespace sslcake::inline v0::kernels {

/// All extents of a convolution. Padding is symmetric; n, h, w and o may be 0.
struct ConvShape {
  std::int64_t n = 0, h = 0, w = 0, c = 0;  // input (N,H,W,C)
  std::int64_t o = 0, kh = 1, kw = 1;       // weight (O,KH,KW,C/groups)
  std::int64_t stride_h = 1, stride_w = 1;
  std::int64_t pad_h = 0, pad_w = 0;
  std::int64_t dilation_h = 1, dilation_w = 1;
  std::int64_t groups = 1;

  /// Output height and width; 0 where the (dilated) kernel does not fit into the padded picture.
  std::int64_t oh() const { return extent(h, kh, stride_h, pad_h, dilation_h); }
  std::int64_t ow() const { return extent(w, kw, stride_w, pad_w, dilation_w); }
  std::int64_t group_c() const { return c / groups; }
  std::int64_t group_o() const { return o / groups; }
  std::int64_t taps() const { return kh * kw; }
  /// Multiply-adds of one forward pass, those with padding counted.
  double multiply_adds() const {
    return static_cast<double>(n * oh() * ow()) * static_cast<double>(o * taps() * group_c());
  }

 private:
  static std::int64_t extent(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                             std::int64_t dilation) {
    const std::int64_t room = size + 2 * pad - dilation * (kernel - 1) - 1;
    return room < 0 ? 0 : room / stride + 1;
  }
};

}  // namespace sslcake::inline v0::kernels
