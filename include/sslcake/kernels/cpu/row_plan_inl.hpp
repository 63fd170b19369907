#pragma once

#include <algorithm>

#include "row_plan.hpp"

namespace sslcake::inline v0::kernels::detail {

SSLCAKE_INLINE Correlation patches(const Correlation& c) {
  Correlation out = c;
  out.height = c.rows, out.width = c.columns, out.step_h = out.step_w = 1;
  out.source_pixel = out.source_channels = static_cast<std::int64_t>(c.taps.size()) * c.source_channels;
  out.taps = {Tap{}};
  return out;
}

SSLCAKE_INLINE bool takes_patches(const Correlation& c) {
  const std::int64_t taps = static_cast<std::int64_t>(c.taps.size()), whole = ceil_div(c.source_channels, RowPlan::block);
  return taps > 1 && 2 * taps * whole >= 3 * ceil_div(taps * c.source_channels, RowPlan::block);
}

SSLCAKE_INLINE Correlation flattened(const Correlation& c) {
  const bool dense = c.taps.size() == 1 && c.taps[0].down == 0 && c.taps[0].right == 0 && c.rows == c.height &&
                     c.columns == c.width && c.step_h == 1 && c.step_w == 1 && c.result_row == c.columns * c.result_pixel &&
                     c.result_image == c.rows * c.result_row;
  if (!dense) return c;
  Correlation out = c;
  out.images = out.height = out.rows = 1;
  out.width = out.columns = c.images * c.rows * c.columns;
  out.result_row = out.result_image = out.width * out.result_pixel;
  return out;
}

SSLCAKE_INLINE RowPlan::RowPlan(const Correlation& c, const Limits& limits) : c_(c) {
  if (c.images * c.rows * c.columns == 0) return;
  std::int64_t bottom = 0, last = 0;
  if (!c.taps.empty()) top_ = first_ = INT64_MAX, bottom = last = INT64_MIN;
  for (const Tap& tap : c.taps) {
    const std::int64_t right = floor_div(tap.right, c.step_w), phase = tap.right - right * c.step_w;
    top_ = std::min(top_, tap.down), bottom = std::max(bottom, tap.down);
    first_ = std::min(first_, right), last = std::max(last, right);
    if (std::find(phases_.begin(), phases_.end(), phase) == phases_.end()) phases_.push_back(phase);
  }
  high_ = bottom - top_ + 1, wide_ = last - first_;
  choose_group(limits.paired);
  elements_ = c.columns * group(), row_blocks_ = ceil_div(elements_, block), groups_ = ceil_div(c.images, group());

  // Parts: as many rows as the limits allow, or pieces of one row.
  constexpr std::int64_t cache = 384 * 1024;  // numbers of the buffer: three eighths of a second cache of 2 MB
  const auto buffer = [&](std::int64_t rows, std::int64_t blocks) {
    return ((rows - 1) * c.step_h + high_) * slots() * (blocks * block + wide_ * group()) * limits.channels;
  };
  const auto fits = [&](std::int64_t rows, std::int64_t blocks) {
    return rows * blocks <= limits.blocks && buffer(rows, blocks) <= cache;
  };
  std::int64_t rows = 1;
  block_parts_ = 1;
  while (rows < c.rows && fits(rows + 1, row_blocks_)) ++rows;
  while (block_parts_ < row_blocks_ && !fits(rows, ceil_div(row_blocks_, block_parts_))) ++block_parts_;
  row_parts_ = ceil_div(c.rows, rows);
  most_rows_ = ceil_div(c.rows, row_parts_), most_row_blocks_ = ceil_div(row_blocks_, block_parts_);
  pitch_ = most_row_blocks_ * block + wide_ * group();
  buffer_rows_ = (most_rows_ - 1) * c.step_h + high_;

  for (const Tap& tap : c.taps) {
    const std::int64_t right = floor_div(tap.right, c.step_w), phase = tap.right - right * c.step_w;
    const std::int64_t slot = std::find(phases_.begin(), phases_.end(), phase) - phases_.begin();
    shifts_.push_back(((tap.down - top_) * slots() + slot) * pitch_ + (right - first_) * group());
  }
  const auto classify = [](std::vector<bool> seen, std::vector<std::vector<bool>>& kinds) {
    const auto at = std::find(kinds.begin(), kinds.end(), seen);
    const auto kind = static_cast<std::int32_t>(at - kinds.begin());
    if (at == kinds.end()) kinds.push_back(std::move(seen));
    return kind;
  };
  for (std::int64_t p = 0; p < c.rows; ++p) {
    std::vector<bool> seen;
    for (const Tap& tap : c.taps) seen.push_back(p * c.step_h + tap.down >= 0 && p * c.step_h + tap.down < c.height);
    row_kind_.push_back(classify(std::move(seen), row_kinds_));
  }
  if (!one_position()) {
    column_kind_.assign(static_cast<std::size_t>(row_blocks_), 0);
    column_kinds_.emplace_back(c.taps.size(), true);
    return;
  }
  for (std::int64_t b = 0; b < row_blocks_; ++b) {
    std::vector<bool> seen;
    for (const Tap& tap : c.taps) seen.push_back(b * c.step_w + tap.right >= 0 && b * c.step_w + tap.right < c.width);
    column_kind_.push_back(classify(std::move(seen), column_kinds_));
  }
}

/// The number of images in a group for which the fewest products are computed, the smaller where that is no great matter.
SSLCAKE_INLINE void RowPlan::choose_group(bool paired) {
  const auto cost = [&](std::int64_t shift) {
    const std::int64_t size = std::int64_t{1} << shift, columns = ceil_div(c_.columns * size, block);
    std::int64_t products = columns * static_cast<std::int64_t>(c_.taps.size());
    if (size == block) {
      products = 0;
      for (const Tap& tap : c_.taps) {
        const std::int64_t begin = std::clamp<std::int64_t>(ceil_div(-tap.right, c_.step_w), 0, c_.columns);
        products += std::clamp(ceil_div(c_.width - tap.right, c_.step_w), begin, c_.columns) - begin;
      }
    }
    return static_cast<double>(products * ceil_div(c_.images, size));
  };
  const std::int64_t least_shift = paired && wide_ > 0 ? 1 : 0;
  double best = cost(least_shift);
  for (std::int64_t shift = least_shift + 1; shift <= 5; ++shift) best = std::min(best, cost(shift));
  shift_ = least_shift;
  while (cost(shift_) > 1.1 * best) ++shift_;
}

SSLCAKE_INLINE RowPlan::Part RowPlan::part(std::int64_t index) const {
  const std::int64_t blocks = index % block_parts_, rows = index / block_parts_ % row_parts_,
                     images = index / block_parts_ / row_parts_;
  return {images * group(), c_.rows * rows / row_parts_, c_.rows * (rows + 1) / row_parts_, row_blocks_ * blocks / block_parts_,
          row_blocks_ * (blocks + 1) / block_parts_};
}

SSLCAKE_INLINE std::int64_t RowPlan::source_row(const Part& part, std::int64_t r) const {
  const std::int64_t row = part.row_begin * c_.step_h + top_ + r;
  if (row < 0 || row >= c_.height) return -1;
  for (const Tap& tap : c_.taps)
    if ((row - tap.down) % c_.step_h == 0) return row;
  return -1;
}

SSLCAKE_INLINE bool RowPlan::inside(std::size_t tap, std::int64_t p, std::int64_t b) const { return kind_has(kind(p, b), tap); }
SSLCAKE_INLINE std::int64_t RowPlan::kind(std::int64_t p, std::int64_t b) const {
  return row_kind_[static_cast<std::size_t>(p)] * static_cast<std::int64_t>(column_kinds_.size()) +
         column_kind_[static_cast<std::size_t>(b)];
}
SSLCAKE_INLINE bool RowPlan::kind_has(std::int64_t kind, std::size_t tap) const {
  const auto at = static_cast<std::size_t>(kind);
  return row_kinds_[at / column_kinds_.size()][tap] && column_kinds_[at % column_kinds_.size()][tap];
}

SSLCAKE_INLINE void RowPlan::results(const Part& part, std::int64_t* at) const {
  for (std::int64_t e = part.block_begin * block; e < part.block_end * block; ++e) {
    const std::int64_t image = e & (group() - 1), column = e >> shift_;
    const bool exists = column < c_.columns && part.image + image < c_.images;
    *at++ = exists ? image * c_.result_image + column * c_.result_pixel : -1;
  }
}

}  // namespace sslcake::inline v0::kernels::detail
