// The geometry of convolutions for instructions that take whole tiles of pixels at equal distances, as AMX's do.
//
// Source rows are copied into a small buffer in which every tile is one run of neighbours, whatever kernel, stride, padding
// and picture size: a result row has `columns · group` elements, element e being pixel e / group of image e % group of a
// group of images. Sources lie in the same order, columns sorted by their remainder modulo the stride, so that a tap moves
// all elements of a row by one distance:
//
//   buffer[source row][remainder][(column / step) · group + image][channels, filled up to a multiple of 32]
//
// Small pictures take many images to a group: 4 columns of 32 images are 4 blocks of 32 elements without waste, and
// as each is one position, taps in its padding are left out; wide pictures need one image, whose rows are copied as they are.
// What it costs: every source pixel is copied about once per part (rows at the seam twice), which a layer of few
// channels feels and one of many does not. Dense layers of 1x1 kernels are read in place where channels are whole tiles.
//
// TilePlan (correlation.hpp) is the same for vectors, which take a pointer per pixel and need no copy.
#pragma once

#include <cstdint>
#include <vector>

#include "correlation.hpp"

namespace sslcake::inline v0::kernels::detail {

/// Where every tap together is one: a 1x1 kernel over "pixels" of taps·channels numbers. For so few channels that whole
/// tiles of each tap would mostly be zeros. The source is then not the picture, but what the taps see.
Correlation patches(const Correlation& correlation);
/// Whether patches make the sum at least a third shorter.
bool takes_patches(const Correlation& correlation);
/// The same with all pixels of all images in one row, where the correlation allows it (1x1, dense); else unchanged.
Correlation flattened(const Correlation& correlation);

class RowPlan {
 public:
  static constexpr std::int64_t block = 32;  // elements of two tiles, which are computed together

  struct Limits {
    std::int64_t channels;      // numbers per pixel in the buffer, a multiple of 32
    std::int64_t blocks = 32;   // of a part, about: as many as their sums may take of the second cache
    bool paired = false;        // elements 2i and 2i+1 are stored interleaved: a tap must move them together
  };
  RowPlan(const Correlation& correlation, const Limits& limits);

  /// Some rows of a group of images, or some blocks of one row.
  struct Part {
    std::int64_t image, row_begin, row_end, block_begin, block_end;
    std::int64_t blocks() const { return (row_end - row_begin) * (block_end - block_begin); }
  };
  std::int64_t parts() const { return groups_ * row_parts_ * block_parts_; }
  Part part(std::int64_t index) const;
  std::int64_t most_blocks() const { return most_rows_ * most_row_blocks_; }

  std::int64_t group() const { return std::int64_t{1} << shift_; }
  /// Whole tiles only where the row does: elements of block b that exist, at most 32.
  std::int64_t elements(std::int64_t b) const { return elements_ - b * block < block ? elements_ - b * block : block; }

  // The buffer. Numbers of elements; each is `channels` numbers.
  std::int64_t buffer_elements() const { return buffer_rows_ * slots() * pitch_; }
  std::int64_t pitch() const { return pitch_; }  // elements of one source row with one remainder
  std::int64_t slots() const { return static_cast<std::int64_t>(phases_.size()); }
  std::int64_t buffer_rows(const Part& part) const { return (part.row_end - part.row_begin - 1) * c_.step_h + high_; }
  /// The picture's row that stands in row r of the part's buffer; -1 where that is not needed.
  std::int64_t source_row(const Part& part, std::int64_t r) const;
  /// Element e of that row: the number of its pixel among those of all images, or -1 outside of the picture.
  std::int64_t pixel(const Part& part, std::int64_t row, std::int64_t slot, std::int64_t e) const {
    e += part.block_begin * block;
    const std::int64_t image = part.image + (e & (group() - 1)), column = source_column(slot, e);
    return image < c_.images && column >= 0 && column < c_.width ? (image * c_.height + row) * c_.width + column : -1;
  }
  std::int64_t source_column(std::int64_t slot, std::int64_t e) const {
    return (first_ + (e >> shift_)) * c_.step_w + phases_[static_cast<std::size_t>(slot)];
  }

  /// Where block b of row p begins in the part's buffer, before a tap moves it by shift(tap).
  std::int64_t begin(const Part& part, std::int64_t p, std::int64_t b) const {
    return (p - part.row_begin) * c_.step_h * slots() * pitch_ + (b - part.block_begin) * block;
  }
  std::int64_t shift(std::size_t tap) const { return shifts_[tap]; }
  /// Whether the tap sees the picture from anywhere in block b of row p.
  bool inside(std::size_t tap, std::int64_t p, std::int64_t b) const;
  /// Blocks with the same taps have the same kind, in [0, kinds()).
  std::int64_t kinds() const { return static_cast<std::int64_t>(row_kinds_.size() * column_kinds_.size()); }
  std::int64_t kind(std::int64_t p, std::int64_t b) const;
  bool kind_has(std::int64_t kind, std::size_t tap) const;

  /// Where the results of blocks [block_begin, block_end) of a row go, seen from the row's first pixel in the group's first
  /// image: one number per element, -1 for those that do not exist.
  void results(const Part& part, std::int64_t* at) const;
  std::int64_t result_row(const Part& part, std::int64_t p) const {
    return c_.result_begin + part.image * c_.result_image + p * c_.result_row;
  }

 private:
  void choose_group(bool paired);
  bool one_position() const { return group() == block; }  // blocks are positions: taps in the padding are left out

  Correlation c_;
  std::int64_t shift_ = 0, groups_ = 0, elements_ = 0;  // group = 2^shift; elements of a result row
  std::int64_t row_parts_ = 0, block_parts_ = 0, most_rows_ = 0, most_row_blocks_ = 0, buffer_rows_ = 0;
  std::int64_t row_blocks_ = 0, pitch_ = 0, first_ = 0, wide_ = 0;  // columns in steps of step_w
  std::int64_t top_ = 0, high_ = 1;
  std::vector<std::int64_t> phases_, shifts_;           // remainders that taps have; per tap
  std::vector<std::int32_t> row_kind_, column_kind_;    // of each row, of each block
  std::vector<std::vector<bool>> row_kinds_, column_kinds_;  // the taps inside
};

}  // namespace sslcake::inline v0::kernels::detail

#ifndef SSLCAKE_COMPILED
#include "row_plan_inl.hpp"
#endif
