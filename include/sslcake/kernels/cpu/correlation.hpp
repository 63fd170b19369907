// The geometry behind tuned convolutions, free of any instruction set.
//
// Forward pass and input gradient are the same computation: every result pixel is a sum, over a list of taps, of a
// source pixel times that tap's weight matrix. For the input gradient the source is dy; with stride s, an input pixel
// meets only the taps for which (position + pad - tap·dilation) is a multiple of s, so the input is cut into its
// s·s classes of positions modulo the stride. Within a class all pixels have the same taps, at fixed displacements:
// no multiplication by an inserted zero is ever done (Shi et al., "Is the deconvolution layer the same as a
// convolutional layer?", 2016, arXiv 1609.07009).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "../../core/config.hpp"
#include "../conv_shape.hpp"

namespace sslcake::inline v0::kernels::detail {

inline std::int64_t floor_div(std::int64_t a, std::int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
inline std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return -floor_div(-a, b); }

/// One position of the kernel: displacement of the source pixel, and which block of the weights belongs to it.
struct Tap {
  std::int64_t down = 0, right = 0;
  std::int64_t weight = 0;
};

/// result(n,p,q) = sum over taps of source(n, p·step_h + down, q·step_w + right) · weight; zeros outside the source.
struct Correlation {
  std::int64_t images = 0;
  std::int64_t height = 0, width = 0, source_pixel = 0;  // source extents; floats from pixel to pixel
  std::int64_t source_channels = 0;                      // floats of a pixel that one result sums over: those of a group
  std::int64_t rows = 0, columns = 0;                    // result pixels of one image
  std::int64_t step_h = 1, step_w = 1;
  std::int64_t result_begin = 0;                         // floats from the result's start to its pixel (0,0,0)
  std::int64_t result_image = 0, result_row = 0, result_pixel = 0;  // floats from image to image, row to row, ...
  std::vector<Tap> taps;
  std::int64_t window = 1;                               // neighbouring source pixels that one tap takes as one
};

/// Whether results in bfloat16 go past the caches: so many that whoever reads them next would not find them there (a line
/// that is only written would otherwise be fetched first), and every 32 channels of every pixel one whole line of 64 bytes.
inline bool passes_caches(const Correlation& c, const void* result) {
  constexpr std::int64_t many = 8 << 20, line = 32;
  return c.images * c.rows * c.columns * c.result_pixel >= many && reinterpret_cast<std::uintptr_t>(result) % 64 == 0 &&
         c.result_begin % line == 0 && c.result_image % line == 0 && c.result_row % line == 0 && c.result_pixel % line == 0;
}

/// Few channels: a whole row of the kernel is taken as one tap, kw·C numbers deep.
inline bool takes_windows(const ConvShape& s) { return s.c < 8 && s.groups == 1 && s.dilation_w == 1 && s.kw > 1; }
/// The forward pass. With `windows`, a tap is a row of the kernel: its pixels lie side by side.
Correlation forward_correlation(const ConvShape& shape, bool windows);
/// One per class of input positions that exists; classes without any tap are included (their gradient is zero).
std::vector<Correlation> input_grad_correlations(const ConvShape& shape);

/// What a tile reads of a tap: where its source lies, relative to the tile's own pixels, and its block of weights.
struct TapStep {
  std::int64_t shift, weight;
};

/// A correlation cut into parts, each part into tiles of at most tile_rows pixels that have the same taps. Depends on
/// the extents alone. Pixels of a tile are
///  - positions: the same position in several images, so that taps in the padding are left out, not multiplied by zero;
///  - strips: neighbours in one image, of which a copy with a border of zeros is made, where there are too few images;
///  - pixels: neighbours in memory, for products without any geometry (1x1 kernels).
class TilePlan {
 public:
  TilePlan(const Correlation& correlation, std::int64_t tile_rows);

  std::int64_t parts() const { return image_parts_ * inner_parts_; }
  std::int64_t most_tiles() const { return most_tiles_; }
  std::int64_t scratch() const { return scratch_; }  // floats that `fill` may use for its copy
  /// The taps of tiles of one kind.
  const std::vector<TapStep>& steps(std::int64_t kind) const { return steps_[static_cast<std::size_t>(kind)]; }

  struct Tile {
    std::int32_t count, kind;
  };
  /// Writes the part's tiles, and for pixel r of tile i, at [i·tile_rows + r], where its source begins and at which number
  /// of the result it goes. Tiles are filled up with copies of their last pixel. Returns the number of tiles.
  std::int64_t fill(std::int64_t part, const float* source, float* scratch, Tile* tiles, const float** from,
                    std::int64_t* to) const;

 private:
  enum class Order { positions, strips, pixels };
  void list_steps();
  std::int64_t fill_positions(std::int64_t part, const float* source, Tile* tiles, const float** from, std::int64_t* to) const;
  std::int64_t fill_strip(std::int64_t part, const float* source, float* scratch, Tile* tiles, const float** from,
                          std::int64_t* to) const;

  const Correlation& c_;
  std::int64_t tile_rows_;
  Order order_ = Order::positions;
  bool copy_ = false;                                   // strips: the source is copied
  std::int64_t image_parts_ = 0, inner_parts_ = 0;      // inner: of the positions, rows or pixels
  std::int64_t most_tiles_ = 0, scratch_ = 0;
  std::int64_t top_ = 0, left_ = 0, high_ = 1, wide_ = 1;  // the rectangle of source pixels that one result pixel sees
  std::vector<std::int32_t> row_class_, column_class_;  // by the taps that lie inside the source
  std::int32_t column_classes_ = 1;
  std::vector<std::vector<TapStep>> steps_;             // per kind = row class · column classes + column class
};

/// The pixels of a weight gradient, cut into blocks that fit into the first cache: some rows of one image, or some
/// whole images. For each tap it lists the pairs (result pixel, source pixel) that meet, numbered within the block.
struct PixelBlocks {
  /// With `bordered`, source pixels are numbered as in a copy that has the padding around it, so that all taps meet
  /// all pixels; and only kernel rows count as taps.
  PixelBlocks(const ConvShape& shape, std::int64_t wanted_pixels, bool bordered);

  struct Lists {
    std::vector<std::int32_t> pairs;      // tap after tap; within a tap image after image
    std::vector<std::int64_t> tap_begin;  // where in `pairs` a tap starts (in pairs)
    std::vector<std::int64_t> per_image;  // pairs of a tap within one image
  };
  struct Span {
    std::int64_t row_begin, row_end;        // result rows
    std::int64_t source_begin, source_end;  // source rows that they meet
    std::shared_ptr<const Lists> lists;     // one for all spans that are alike: away from the edges most are
  };
  std::int64_t images = 1;  // images per block
  std::int64_t groups = 0;  // groups of images
  std::int64_t pitch = 0;   // source pixels per row
  std::vector<Span> spans;  // cuts of one image
  std::int64_t count() const { return groups * static_cast<std::int64_t>(spans.size()); }
  std::int64_t most_pixels = 0, most_source_pixels = 0;  // of any block
};

/// Copies source rows [row_begin, row_end) and columns [column_begin, column_end) of one image; what lies outside of
/// the image (height, width, pixel) becomes zero.
void copy_bordered(const float* image, std::int64_t height, std::int64_t width, std::int64_t pixel, std::int64_t row_begin,
                   std::int64_t row_end, std::int64_t column_begin, std::int64_t column_end, float* out);

}  // namespace sslcake::inline v0::kernels::detail

#ifndef SSLCAKE_COMPILED
#include "correlation_inl.hpp"
#endif
