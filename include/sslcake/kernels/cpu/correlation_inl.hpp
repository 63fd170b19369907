#pragma once

#include <algorithm>
#include <array>
#include <map>

#include "correlation.hpp"

namespace sslcake::inline v0::kernels::detail {

SSLCAKE_INLINE Correlation forward_correlation(const ConvShape& s, bool windows) {
  Correlation c;
  c.images = s.n, c.height = s.h, c.width = s.w, c.source_pixel = s.c, c.source_channels = s.group_c();
  c.rows = s.oh(), c.columns = s.ow(), c.step_h = s.stride_h, c.step_w = s.stride_w;
  c.result_pixel = s.o, c.result_row = c.columns * s.o, c.result_image = c.rows * c.result_row;
  c.window = windows ? s.kw : 1;
  for (std::int64_t u = 0; u < s.kh; ++u)
    for (std::int64_t v = 0; v < s.kw / c.window; ++v)
      c.taps.push_back({u * s.dilation_h - s.pad_h, v * s.dilation_w - s.pad_w, u * (s.kw / c.window) + v});
  return c;
}

SSLCAKE_INLINE std::vector<Correlation> input_grad_correlations(const ConvShape& s) {
  std::vector<Correlation> classes;
  for (std::int64_t i = 0; i < std::min(s.stride_h, s.h); ++i)
    for (std::int64_t j = 0; j < std::min(s.stride_w, s.w); ++j) {
      Correlation c;  // over the input pixels (i + p·stride_h, j + q·stride_w)
      c.images = s.n, c.height = s.oh(), c.width = s.ow(), c.source_pixel = s.o, c.source_channels = s.group_o();
      c.rows = ceil_div(s.h - i, s.stride_h), c.columns = ceil_div(s.w - j, s.stride_w);
      c.result_pixel = s.stride_w * s.c, c.result_row = s.stride_h * s.w * s.c, c.result_image = s.h * s.w * s.c;
      c.result_begin = (i * s.w + j) * s.c;
      for (std::int64_t u = 0; u < s.kh; ++u)
        for (std::int64_t v = 0; v < s.kw; ++v) {
          const std::int64_t down = i + s.pad_h - u * s.dilation_h, right = j + s.pad_w - v * s.dilation_w;
          if (down % s.stride_h == 0 && right % s.stride_w == 0)
            c.taps.push_back({down / s.stride_h, right / s.stride_w, u * s.kw + v});
        }
      classes.push_back(std::move(c));
    }
  return classes;
}

SSLCAKE_INLINE TilePlan::TilePlan(const Correlation& c, std::int64_t tile_rows) : c_(c), tile_rows_(tile_rows) {
  const std::int64_t positions = c.rows * c.columns, pixels = c.images * positions;
  if (pixels == 0) return;
  std::int64_t bottom = 0, right = 0;
  if (!c.taps.empty()) top_ = left_ = INT64_MAX, bottom = right = INT64_MIN;
  for (const Tap& tap : c.taps) {
    top_ = std::min(top_, tap.down), bottom = std::max(bottom, tap.down);
    left_ = std::min(left_, tap.right), right = std::max(right, tap.right + c.window - 1);
  }
  high_ = bottom - top_ + 1, wide_ = right - left_ + 1;
  const bool padded = top_ < 0 || left_ < 0 || (c.rows - 1) * c.step_h + bottom >= c.height ||
                      (c.columns - 1) * c.step_w + right >= c.width;
  const bool dense = c.rows == c.height && c.columns == c.width && c.step_h == 1 && c.step_w == 1 &&
                     c.result_row == c.columns * c.result_pixel && c.result_image == c.rows * c.result_row;

  // Parts have enough pixels that a panel of weights is used often while it is in the first cache, and few enough that
  // their sources stay in the second.
  constexpr std::int64_t cache = 32 * 1024;  // floats
  if (c.taps.size() == 1 && high_ == 1 && wide_ == 1 && !padded && dense) {
    order_ = Order::pixels;
    image_parts_ = 1, inner_parts_ = ceil_div(pixels, 24 * tile_rows);
    most_tiles_ = ceil_div(ceil_div(pixels, inner_parts_), tile_rows) + 1;
  } else if (c.images >= tile_rows && c.window == 1) {
    order_ = Order::positions;
    const std::int64_t row = tile_rows * c.width * c.source_pixel;
    const std::int64_t rows = std::max<std::int64_t>(1, (cache / std::max<std::int64_t>(row, 1) - high_) / c.step_h + 1);
    const std::int64_t wanted = std::max<std::int64_t>(16, std::min<std::int64_t>(rows, 1 + 127 / c.columns) * c.columns);
    image_parts_ = ceil_div(c.images, tile_rows), inner_parts_ = ceil_div(positions, wanted);
    most_tiles_ = ceil_div(positions, inner_parts_);
  } else {
    order_ = Order::strips;
    copy_ = padded;
    const std::int64_t wanted = std::clamp<std::int64_t>(24 * tile_rows / c.columns, 1, c.rows);
    image_parts_ = c.images, inner_parts_ = ceil_div(c.rows, wanted);
    const std::int64_t rows = ceil_div(c.rows, inner_parts_);
    most_tiles_ = ceil_div(rows * c.columns, tile_rows);
    if (copy_) scratch_ = ((rows - 1) * c.step_h + high_) * ((c.columns - 1) * c.step_w + wide_) * c.source_pixel;
  }
  list_steps();
}

/// Positions fall into classes by the taps that lie inside the source: corners, edges, the rest.
SSLCAKE_INLINE void TilePlan::list_steps() {
  const auto classify = [&](std::int64_t count, std::int64_t step, std::int64_t size, std::int64_t Tap::*axis,
                            std::vector<std::int32_t>& classes) {
    std::vector<std::vector<bool>> seen;
    for (std::int64_t p = 0; p < count; ++p) {
      std::vector<bool> inside;
      for (const Tap& tap : c_.taps)
        inside.push_back(order_ != Order::positions || (p * step + tap.*axis >= 0 && p * step + tap.*axis < size));
      const auto at = std::find(seen.begin(), seen.end(), inside);
      classes.push_back(static_cast<std::int32_t>(at - seen.begin()));
      if (at == seen.end()) seen.push_back(std::move(inside));
    }
    return seen;
  };
  const auto rows = classify(c_.rows, c_.step_h, c_.height, &Tap::down, row_class_);
  const auto columns = classify(c_.columns, c_.step_w, c_.width, &Tap::right, column_class_);
  column_classes_ = static_cast<std::int32_t>(columns.size());
  const std::int64_t pitch = copy_ ? (c_.columns - 1) * c_.step_w + wide_ : c_.width;
  const std::int64_t top = copy_ ? top_ : 0, left = copy_ ? left_ : 0;
  for (const auto& row : rows)
    for (const auto& column : columns) {
      std::vector<TapStep> steps;
      for (std::size_t t = 0; t < c_.taps.size(); ++t) {
        const Tap& tap = c_.taps[t];
        if (row[t] && column[t]) steps.push_back({((tap.down - top) * pitch + tap.right - left) * c_.source_pixel, tap.weight});
      }
      steps_.push_back(std::move(steps));
    }
}

SSLCAKE_INLINE std::int64_t TilePlan::fill(std::int64_t part, const float* source, float* scratch, Tile* tiles,
                                           const float** from, std::int64_t* to) const {
  if (order_ == Order::positions) return fill_positions(part, source, tiles, from, to);
  if (order_ == Order::strips) return fill_strip(part, source, scratch, tiles, from, to);
  const std::int64_t pixels = c_.images * c_.rows * c_.columns;
  const std::int64_t begin = ceil_div(pixels, tile_rows_) * part / inner_parts_ * tile_rows_;
  const std::int64_t end = std::min(pixels, ceil_div(pixels, tile_rows_) * (part + 1) / inner_parts_ * tile_rows_);
  std::int64_t count = 0;
  for (std::int64_t at = begin; at < end; at += tile_rows_, ++count) {
    tiles[count] = {static_cast<std::int32_t>(std::min(tile_rows_, end - at)), 0};
    for (std::int64_t r = 0; r < tile_rows_; ++r) {
      const std::int64_t pixel = std::min(at + r, end - 1);
      from[count * tile_rows_ + r] = source + pixel * c_.source_pixel;
      to[count * tile_rows_ + r] = c_.result_begin + pixel * c_.result_pixel;
    }
  }
  return count;
}

/// Tile i is position begin + i of some neighbouring images.
SSLCAKE_INLINE std::int64_t TilePlan::fill_positions(std::int64_t part, const float* source, Tile* tiles, const float** from,
                                                     std::int64_t* to) const {
  const std::int64_t positions = c_.rows * c_.columns, inner = part % inner_parts_, image = part / inner_parts_ * tile_rows_;
  const std::int64_t begin = positions * inner / inner_parts_, end = positions * (inner + 1) / inner_parts_;
  const std::int64_t count = std::min(tile_rows_, c_.images - image), source_image = c_.height * c_.width * c_.source_pixel;
  source += image * source_image;
  const std::int64_t result = c_.result_begin + image * c_.result_image;
  std::int64_t p = begin / c_.columns, q = begin % c_.columns;
  for (std::int64_t at = begin; at < end; ++at, ++tiles) {
    const std::int32_t row = row_class_[static_cast<std::size_t>(p)], column = column_class_[static_cast<std::size_t>(q)];
    *tiles = {static_cast<std::int32_t>(count), row * column_classes_ + column};
    const float* a = source + (p * c_.step_h * c_.width + q * c_.step_w) * c_.source_pixel;
    std::int64_t b = result + p * c_.result_row + q * c_.result_pixel;
    for (std::int64_t r = 0; r < tile_rows_; ++r) {
      *from++ = a, *to++ = b;
      if (r + 1 < count) a += source_image, b += c_.result_image;
    }
    if (++q == c_.columns) q = 0, ++p;
  }
  return end - begin;
}

/// Some rows of one image, all their pixels in a row.
SSLCAKE_INLINE std::int64_t TilePlan::fill_strip(std::int64_t part, const float* source, float* scratch, Tile* tiles,
                                                 const float** from, std::int64_t* to) const {
  const std::int64_t image = part / inner_parts_, inner = part % inner_parts_;
  const std::int64_t begin = c_.rows * inner / inner_parts_, end = c_.rows * (inner + 1) / inner_parts_;
  const std::int64_t pixels = (end - begin) * c_.columns, count = ceil_div(pixels, tile_rows_);
  source += image * c_.height * c_.width * c_.source_pixel;
  std::int64_t pitch = c_.width;
  if (copy_) {
    pitch = (c_.columns - 1) * c_.step_w + wide_;
    const std::int64_t row = begin * c_.step_h + top_;
    copy_bordered(source, c_.height, c_.width, c_.source_pixel, row, row + (end - begin - 1) * c_.step_h + high_, left_,
                  left_ + pitch, scratch);
    source = scratch;
  } else {
    source += begin * c_.step_h * pitch * c_.source_pixel;
  }
  const std::int64_t result = c_.result_begin + image * c_.result_image + begin * c_.result_row;
  std::int64_t p = 0, q = 0;
  for (std::int64_t at = 0; at < count * tile_rows_; ++at) {
    from[at] = source + (p * c_.step_h * pitch + q * c_.step_w) * c_.source_pixel;
    to[at] = result + p * c_.result_row + q * c_.result_pixel;
    if (at % tile_rows_ == 0) tiles[at / tile_rows_] = {static_cast<std::int32_t>(std::min(tile_rows_, pixels - at)), 0};
    if (at + 1 < pixels && ++q == c_.columns) q = 0, ++p;
  }
  return count;
}

SSLCAKE_INLINE void copy_bordered(const float* image, std::int64_t height, std::int64_t width, std::int64_t pixel,
                                  std::int64_t row_begin, std::int64_t row_end, std::int64_t column_begin,
                                  std::int64_t column_end, float* out) {
  const std::int64_t first = std::clamp<std::int64_t>(0, column_begin, column_end);
  const std::int64_t last = std::clamp(width, first, column_end);
  for (std::int64_t i = row_begin; i < row_end; ++i) {
    const bool inside = i >= 0 && i < height;
    out = std::fill_n(out, ((inside ? first : column_end) - column_begin) * pixel, 0.0f);
    if (!inside) continue;
    out = std::copy_n(image + (i * width + first) * pixel, (last - first) * pixel, out);
    out = std::fill_n(out, (column_end - last) * pixel, 0.0f);
  }
}

SSLCAKE_INLINE PixelBlocks::PixelBlocks(const ConvShape& s, std::int64_t wanted_pixels, bool bordered) {
  const std::int64_t oh = s.oh(), ow = s.ow();
  if (s.n * oh * ow == 0) return;
  images = std::clamp<std::int64_t>(wanted_pixels / (oh * ow), 1, s.n);
  groups = ceil_div(s.n, images);
  pitch = bordered ? s.w + 2 * s.pad_w : s.w;
  // The source rows that exist; in a copy with a border, those of the border too.
  const std::int64_t top = bordered ? -s.pad_h : 0, bottom = bordered ? s.h + s.pad_h : s.h;
  const std::int64_t left = bordered ? -s.pad_w : 0, right_end = left + pitch;
  const std::int64_t cuts = ceil_div(oh, std::clamp<std::int64_t>(wanted_pixels / ow, 1, oh));
  // Lists follow from the number of rows, where the first tap of the first row lies, and how many source rows there are.
  std::map<std::array<std::int64_t, 3>, std::shared_ptr<const Lists>> known;
  for (std::int64_t k = 0; k < cuts; ++k) {
    Span span;
    span.row_begin = oh * k / cuts, span.row_end = oh * (k + 1) / cuts;
    span.source_begin = std::clamp(span.row_begin * s.stride_h - s.pad_h, top, bottom);
    span.source_end =
        std::clamp((span.row_end - 1) * s.stride_h - s.pad_h + (s.kh - 1) * s.dilation_h + 1, span.source_begin, bottom);
    const std::int64_t pixels = (span.row_end - span.row_begin) * ow;
    const std::int64_t source_pixels = (span.source_end - span.source_begin) * pitch;
    most_pixels = std::max(most_pixels, images * pixels);
    most_source_pixels = std::max(most_source_pixels, images * source_pixels);
    auto& same = known[{span.row_end - span.row_begin, span.row_begin * s.stride_h - s.pad_h - span.source_begin,
                        span.source_end - span.source_begin}];
    if (same) {
      span.lists = same;
      spans.push_back(std::move(span));
      continue;
    }
    const auto lists = std::make_shared<Lists>();
    for (std::int64_t tap = 0; tap < s.taps(); tap += bordered ? s.kw : 1) {
      const std::int64_t down = tap / s.kw * s.dilation_h - s.pad_h, right = tap % s.kw * s.dilation_w - s.pad_w;
      // The columns q for which q·stride + right lies inside.
      const std::int64_t first = std::clamp<std::int64_t>(ceil_div(left - right, s.stride_w), 0, ow);
      const std::int64_t last = std::clamp(floor_div(right_end - 1 - right, s.stride_w) + 1, first, ow);
      const std::size_t before = lists->pairs.size();
      lists->tap_begin.push_back(static_cast<std::int64_t>(before / 2));
      lists->pairs.resize(before + 2 * static_cast<std::size_t>(images * (span.row_end - span.row_begin) * (last - first)));
      std::int32_t* pair = lists->pairs.data() + before;
      for (std::int64_t n = 0; n < images; ++n)
        for (std::int64_t p = span.row_begin; p < span.row_end; ++p) {
          const std::int64_t i = p * s.stride_h + down;
          if (i < top || i >= bottom) continue;
          const std::int64_t to = n * pixels + (p - span.row_begin) * ow;
          const std::int64_t from = n * source_pixels + (i - span.source_begin) * pitch + right - left;
          for (std::int64_t q = first; q < last; ++q) {
            *pair++ = static_cast<std::int32_t>(to + q);
            *pair++ = static_cast<std::int32_t>(from + q * s.stride_w);
          }
        }
      lists->pairs.resize(static_cast<std::size_t>(pair - lists->pairs.data()));
      lists->per_image.push_back((static_cast<std::int64_t>(lists->pairs.size() / 2) - lists->tap_begin.back()) / images);
    }
    span.lists = same = lists;
    spans.push_back(std::move(span));
  }
}

}  // namespace sslcake::inline v0::kernels::detail
