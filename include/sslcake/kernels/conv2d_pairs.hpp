// What a variant's kernels of bfloat16 pairs leave to others (internal): odd numbers of channels, which are filled up to even
// ones, and the padding of columns where a row of the kernel is one tap. Kernels that take any number get it as it is.
#pragma once

#include <algorithm>

#include "../core/storage.hpp"
#include "../core/threads.hpp"
#include "cpu/correlation.hpp"
#include "cpu/variant.hpp"

namespace sslcake::inline v0::kernels::detail {

/// A convolution whose kernel takes pairs of channels, or for few channels a row of its own as one tap: the same with one more
/// channel where their number is odd, and the padding of columns as part of the picture.
inline ConvShape filled_up(const ConvShape& s) {
  ConvShape out = s;
  out.c += s.c % 2;
  out.w += 2 * s.pad_w;
  out.pad_w = 0;
  return out;
}
/// Rows [0, rows) of `pixels` of `channels` numbers, in rows with `border` more pixels on both sides, `out_channels` numbers
/// each.
inline void fill_up(std::int64_t rows, std::int64_t pixels, std::int64_t channels, const bfloat16* from, std::int64_t border,
                    std::int64_t out_channels, bfloat16* to) {
  const std::int64_t out_row = (pixels + 2 * border) * out_channels;
  parallel_for(rows, 1 + (1 << 14) / (out_row + 1), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const bfloat16* in = from + r * pixels * channels;
      bfloat16* out = std::fill_n(to + r * out_row, border * out_channels, bfloat16{});
      for (std::int64_t p = 0; p < pixels; ++p, in += channels)
        out = std::fill_n(std::copy_n(in, channels, out), out_channels - channels, bfloat16{});
      std::fill_n(out, border * out_channels, bfloat16{});
    }
  });
}

/// Forward pass on pairs, as Variant::conv2d_pairs, of any number of channels where there is one group.
inline void forward_pairs(const Variant& kernels, const ConvShape& s, const bfloat16* x, const float* w, const float* bias,
                          bfloat16* y, const float* center, double* sum, double* sum_sq) {
  if (s.c % 2 == 0 || kernels.pairs_of_any_channels) return kernels.conv2d_pairs(s, false, x, w, bias, y, center, sum, sum_sq);
  const ConvShape filled = filled_up(s);
  const std::int64_t taps = s.o * s.taps();
  const Workspace<bfloat16> own_x(filled.n * filled.h * filled.w * filled.c);
  const Workspace<float> own_w(taps * filled.c);
  fill_up(s.n * s.h, s.w, s.c, x, s.pad_w, filled.c, own_x.data());
  for (std::int64_t i = 0; i < taps; ++i) *std::copy_n(w + i * s.c, s.c, own_w.data() + i * filled.c) = 0.0f;
  kernels.conv2d_pairs(filled, false, own_x.data(), own_w.data(), bias, y, center, sum, sum_sq);
}

/// The input gradient likewise.
inline void input_grad_pairs(const Variant& kernels, const ConvShape& s, const bfloat16* dy, const float* w, bfloat16* dx) {
  if (s.o % 2 == 0 || kernels.pairs_of_any_channels)
    return kernels.conv2d_pairs(s, true, dy, w, nullptr, dx, nullptr, nullptr, nullptr);
  ConvShape filled = s;
  ++filled.o;
  const std::int64_t pixels = s.n * s.oh() * s.ow(), row = s.taps() * s.c;
  const Workspace<bfloat16> own_dy(pixels * filled.o);
  const Workspace<float> own_w(filled.o * row);
  fill_up(pixels, 1, s.o, dy, 0, filled.o, own_dy.data());
  std::fill_n(std::copy_n(w, s.o * row, own_w.data()), row, 0.0f);
  kernels.conv2d_pairs(filled, true, own_dy.data(), own_w.data(), nullptr, dx, nullptr, nullptr, nullptr);
}

/// The weights' gradient on pairs of pixels.
inline void weight_grad_pairs(const Variant& kernels, const ConvShape& s, const bfloat16* x, const bfloat16* dy, float* dw) {
  const ConvShape filled = filled_up(s);
  if (!takes_windows(filled) || kernels.pairs_of_any_channels) return kernels.conv2d_weight_grad_pairs(s, x, dy, dw);
  const std::int64_t taps = s.o * s.taps();
  const Workspace<bfloat16> own_x(filled.n * filled.h * filled.w * filled.c);
  const Workspace<float> own_dw(taps * filled.c);
  fill_up(s.n * s.h, s.w, s.c, x, s.pad_w, filled.c, own_x.data());
  kernels.conv2d_weight_grad_pairs(filled, own_x.data(), dy, own_dw.data());
  for (std::int64_t i = 0; i < taps; ++i) std::copy_n(own_dw.data() + i * filled.c, s.c, dw + i * s.c);
}

}  // namespace sslcake::inline v0::kernels::detail
