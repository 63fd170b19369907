#pragma once

#include <algorithm>

#include "correlation.hpp"

namespace sslcake::inline v0::kernels::detail {

inline std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return -floor_div(-a, b); }

/// The run [first, last) of positions q in [begin, end) for which 0 <= q·step + shift < size.
struct Run {
  std::int64_t first, last;
};
inline Run inside(std::int64_t begin, std::int64_t end, std::int64_t step, std::int64_t shift, std::int64_t size) {
  const std::int64_t first = std::clamp(ceil_div(-shift, step), begin, end);
  return {first, std::clamp(floor_div(size - 1 - shift, step) + 1, first, end)};
}

/// Whether and how images are interleaved: only where there are enough of them and something is padded.
inline std::int64_t choose_image_block(const Correlation& c, std::int64_t tile_rows) {
  bool padded = false;
  for (const Tap& tap : c.taps)
    padded = padded || tap.down < 0 || tap.right < 0 || (c.rows - 1) * c.step_h + tap.down >= c.height ||
             (c.columns - 1) * c.step_w + tap.right >= c.width;
  if (!padded || c.images < tile_rows || c.rows * c.columns > 32 * 32) return 1;
  const std::int64_t tiles = ceil_div(16, std::max<std::int64_t>(1, c.rows * c.columns));
  return std::min(tiles, c.images / tile_rows) * tile_rows;
}

SSLCAKE_INLINE Correlation forward_correlation(const ConvShape& s, std::int64_t tile_rows) {
  Correlation c;
  c.images = s.n, c.height = s.h, c.width = s.w, c.source_pixel = s.c;
  c.rows = s.oh(), c.columns = s.ow(), c.step_h = s.stride_h, c.step_w = s.stride_w;
  c.result_pixel = s.o, c.result_row = c.columns * s.o, c.result_image = c.rows * c.result_row;
  for (std::int64_t u = 0; u < s.kh; ++u)
    for (std::int64_t v = 0; v < s.kw; ++v)
      c.taps.push_back({u * s.dilation_h - s.pad_h, v * s.dilation_w - s.pad_w, u * s.kw + v});
  c.image_block = choose_image_block(c, tile_rows);
  return c;
}

SSLCAKE_INLINE std::vector<Correlation> input_grad_correlations(const ConvShape& s, std::int64_t tile_rows) {
  std::vector<Correlation> classes;
  for (std::int64_t i = 0; i < std::min(s.stride_h, s.h); ++i)
    for (std::int64_t j = 0; j < std::min(s.stride_w, s.w); ++j) {
      Correlation c;  // over the input pixels (i + p·stride_h, j + q·stride_w)
      c.images = s.n, c.height = s.oh(), c.width = s.ow(), c.source_pixel = s.o;
      c.rows = ceil_div(s.h - i, s.stride_h), c.columns = ceil_div(s.w - j, s.stride_w);
      c.result_pixel = s.stride_w * s.c, c.result_row = s.stride_h * s.w * s.c, c.result_image = s.h * s.w * s.c;
      c.result_begin = (i * s.w + j) * s.c;
      for (std::int64_t u = 0; u < s.kh; ++u)
        for (std::int64_t v = 0; v < s.kw; ++v) {
          const std::int64_t down = i + s.pad_h - u * s.dilation_h, right = j + s.pad_w - v * s.dilation_w;
          if (down % s.stride_h == 0 && right % s.stride_w == 0)
            c.taps.push_back({down / s.stride_h, right / s.stride_w, u * s.kw + v});
        }
      c.image_block = choose_image_block(c, tile_rows);
      classes.push_back(std::move(c));
    }
  return classes;
}

/// Image by image: runs of pixels in one row of the result, whose sources are evenly spaced.
inline void point_at_rows(const Correlation& c, const float* source, float* result, const float* zeros,
                          std::int64_t begin, std::int64_t end, const float** from, std::int64_t stride, float** to) {
  for (std::int64_t at = begin; at < end;) {
    const std::int64_t row = at / c.columns, n = row / c.rows, p = row % c.rows;
    const std::int64_t q_begin = at % c.columns, q_end = std::min(c.columns, q_begin + end - at);
    const std::int64_t here = at - begin;
    float* out = result + c.result_begin + n * c.result_image + p * c.result_row;
    for (std::int64_t q = q_begin; q < q_end; ++q) to[here + q - q_begin] = out + q * c.result_pixel;
    for (std::size_t t = 0; t < c.taps.size(); ++t) {
      const Tap& tap = c.taps[t];
      const float** slot = from + static_cast<std::int64_t>(t) * stride + here - q_begin;
      const std::int64_t i = p * c.step_h + tap.down;
      Run valid{q_end, q_end};
      if (i >= 0 && i < c.height) valid = inside(q_begin, q_end, c.step_w, tap.right, c.width);
      const float* line = source + ((n * c.height + i) * c.width + tap.right) * c.source_pixel;
      const std::int64_t step = c.step_w * c.source_pixel;
      for (std::int64_t q = q_begin; q < valid.first; ++q) slot[q] = zeros;
      for (std::int64_t q = valid.first; q < valid.last; ++q) slot[q] = line + q * step;
      for (std::int64_t q = valid.last; q < q_end; ++q) slot[q] = zeros;
    }
    at += q_end - q_begin;
  }
}

/// Position by position within blocks of images: one decision per tap and position holds for a run of images.
inline void point_at_positions(const Correlation& c, const float* source, float* result, const float* zeros,
                               std::int64_t begin, std::int64_t end, const float** from, std::int64_t stride, float** to) {
  const std::int64_t positions = c.rows * c.columns, source_image = c.height * c.width * c.source_pixel;
  for (std::int64_t at = begin; at < end;) {
    const std::int64_t block = at / (positions * c.image_block), first = block * c.image_block;
    const std::int64_t images = std::min(c.image_block, c.images - first);
    const std::int64_t in_block = at - block * positions * c.image_block;
    const std::int64_t p = in_block / images / c.columns, q = in_block / images % c.columns, n = first + in_block % images;
    const std::int64_t run = std::min(end - at, images - in_block % images), here = at - begin;
    float* out = result + c.result_begin + n * c.result_image + p * c.result_row + q * c.result_pixel;
    for (std::int64_t k = 0; k < run; ++k) to[here + k] = out + k * c.result_image;
    for (std::size_t t = 0; t < c.taps.size(); ++t) {
      const std::int64_t i = p * c.step_h + c.taps[t].down, j = q * c.step_w + c.taps[t].right;
      const bool valid = i >= 0 && i < c.height && j >= 0 && j < c.width;
      const float** slot = from + static_cast<std::int64_t>(t) * stride + here;
      const float* pixel = source + n * source_image + (i * c.width + j) * c.source_pixel;
      for (std::int64_t k = 0; k < run; ++k) slot[k] = valid ? pixel + k * source_image : zeros;
    }
    at += run;
  }
}

SSLCAKE_INLINE void point_at_pixels(const Correlation& c, std::int64_t tile_rows, const float* source, float* result,
                                    const float* zeros, std::int64_t begin, std::int64_t end, const float** from,
                                    std::int64_t stride, float** to) {
  if (c.image_block > 1) point_at_positions(c, source, result, zeros, begin, end, from, stride, to);
  else point_at_rows(c, source, result, zeros, begin, end, from, stride, to);
  const std::int64_t count = end - begin;
  for (std::size_t t = 0; t < c.taps.size(); ++t) {
    const float** tap = from + static_cast<std::int64_t>(t) * stride;
    for (std::int64_t i = count; i % tile_rows != 0; ++i) tap[i] = tap[count - 1];
    for (std::int64_t i = 0; i < count; i += tile_rows)
      if (tap[i] == zeros && std::all_of(tap + i, tap + i + tile_rows, [&](const float* p) { return p == zeros; }))
        tap[i] = nullptr;
  }
}

SSLCAKE_INLINE PixelBlocks::PixelBlocks(const ConvShape& s, std::int64_t wanted_pixels) {
  const std::int64_t oh = s.oh(), ow = s.ow();
  if (s.n * oh * ow == 0) return;
  images = std::clamp<std::int64_t>(wanted_pixels / (oh * ow), 1, s.n);
  groups = ceil_div(s.n, images);
  const std::int64_t cuts = ceil_div(oh, std::clamp<std::int64_t>(wanted_pixels / ow, 1, oh));
  for (std::int64_t k = 0; k < cuts; ++k) {
    Span span;
    span.row_begin = oh * k / cuts, span.row_end = oh * (k + 1) / cuts;
    span.source_begin = std::clamp<std::int64_t>(span.row_begin * s.stride_h - s.pad_h, 0, s.h);
    span.source_end = std::clamp<std::int64_t>(
        (span.row_end - 1) * s.stride_h - s.pad_h + (s.kh - 1) * s.dilation_h + 1, span.source_begin, s.h);
    const std::int64_t pixels = (span.row_end - span.row_begin) * ow;
    const std::int64_t source_pixels = (span.source_end - span.source_begin) * s.w;
    most_pixels = std::max(most_pixels, images * pixels);
    most_source_pixels = std::max(most_source_pixels, images * source_pixels);
    for (std::int64_t tap = 0; tap < s.taps(); ++tap) {
      const std::int64_t down = tap / s.kw * s.dilation_h - s.pad_h, right = tap % s.kw * s.dilation_w - s.pad_w;
      span.tap_begin.push_back(static_cast<std::int64_t>(span.pairs.size() / 2));
      for (std::int64_t n = 0; n < images; ++n)
        for (std::int64_t p = span.row_begin; p < span.row_end; ++p) {
          const std::int64_t i = p * s.stride_h + down;
          if (i < 0 || i >= s.h) continue;
          const Run valid = inside(0, ow, s.stride_w, right, s.w);
          for (std::int64_t q = valid.first; q < valid.last; ++q) {
            span.pairs.push_back(static_cast<std::int32_t>(n * pixels + (p - span.row_begin) * ow + q));
            span.pairs.push_back(static_cast<std::int32_t>(n * source_pixels + (i - span.source_begin) * s.w +
                                                           q * s.stride_w + right));
          }
        }
      span.per_image.push_back((static_cast<std::int64_t>(span.pairs.size() / 2) - span.tap_begin.back()) / images);
    }
    spans.push_back(std::move(span));
  }
}

}  // namespace sslcake::inline v0::kernels::detail
