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
#include <vector>

#include "../../core/config.hpp"
#include "../conv_shape.hpp"

namespace sslcake::inline v0::kernels::detail {

/// One position of the kernel: displacement of the source pixel, and which block of the weights belongs to it.
struct Tap {
  std::int64_t down = 0, right = 0;
  std::int64_t weight = 0;
};

/// result(n,p,q) = sum over taps of source(n, p·step_h + down, q·step_w + right) · weight; zeros outside the source.
struct Correlation {
  std::int64_t images = 0;
  std::int64_t height = 0, width = 0, source_pixel = 0;       // source extents; floats from pixel to pixel
  std::int64_t rows = 0, columns = 0;                         // result pixels of one image
  std::int64_t step_h = 1, step_w = 1;
  std::int64_t result_begin = 0;                              // floats from the result's start to pixel (0,0,0)
  std::int64_t result_image = 0, result_row = 0, result_pixel = 0;  // floats from image to image, and so on
  std::vector<Tap> taps;
  /// In which order pixels are taken: image by image, or, in blocks of so many images, position by position. The
  /// latter gives neighbouring pixels the same taps, so that those in the padding are skipped, not multiplied by 0.
  std::int64_t image_block = 1;

  std::int64_t pixels() const { return images * rows * columns; }
};

Correlation forward_correlation(const ConvShape& shape, std::int64_t tile_rows);
/// One per class of input positions that exists; classes without any tap are included (their gradient is zero).
std::vector<Correlation> input_grad_correlations(const ConvShape& shape, std::int64_t tile_rows);

/// For result pixels [begin, end), in the correlation's order: writes to[i], where pixel i's result goes, and
/// from[tap · stride + i], where its source for that tap begins (`zeros` in the padding). Rows up to a multiple of
/// tile_rows are filled up with copies of the last pixel's sources. Where a whole tile is padding, its first pointer is null.
void point_at_pixels(const Correlation& correlation, std::int64_t tile_rows, const float* source, float* result,
                     const float* zeros, std::int64_t begin, std::int64_t end, const float** from, std::int64_t stride,
                     float** to);

/// The pixels of a weight gradient, cut into blocks that fit into the first cache: some rows of one image, or some
/// whole images. For each tap it lists the pairs (result pixel, source pixel) that meet, numbered within the block.
struct PixelBlocks {
  PixelBlocks(const ConvShape& shape, std::int64_t wanted_pixels);

  struct Span {
    std::int64_t row_begin, row_end;        // result rows
    std::int64_t source_begin, source_end;  // source rows that they meet
    std::vector<std::int32_t> pairs;        // tap after tap; within a tap image after image
    std::vector<std::int64_t> tap_begin;    // where in `pairs` a tap starts (in pairs)
    std::vector<std::int64_t> per_image;    // pairs of a tap within one image
  };
  std::int64_t images = 1;   // images per block
  std::int64_t groups = 0;   // groups of images
  std::vector<Span> spans;   // cuts of one image
  std::int64_t count() const { return groups * static_cast<std::int64_t>(spans.size()); }
  std::int64_t most_pixels = 0, most_source_pixels = 0;  // of any block
};

}  // namespace sslcake::inline v0::kernels::detail

#ifndef SSLCAKE_COMPILED
#include "correlation_inl.hpp"
#endif
