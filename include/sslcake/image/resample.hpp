// Antialiased bilinear resampling, the arithmetic behind crop_resize.hpp and resize.hpp: a triangle filter ("bilinear")
// whose support grows with the reduction, so that shrinking averages and does not alias: what Pillow and torchvision
// (antialias=True) do. With scale = length/out, the weight of source pixel j for result i is proportional to
//
//   max(0, 1 - |j + 1/2 - centre| / max(scale, 1)),   centre = start + (i + 1/2) scale,   weights of one result sum to 1
//
// Filters are separable: rows are mixed first (long simple loops over bytes), then the columns of that one row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "image.hpp"

namespace sslcake::inline v0::image {

/// The part of an axis that is resampled. The filter sees nothing beyond it.
struct Span {
  int start = 0, length = 0;  // in pixels
};

/// For every result along one axis, which source positions it mixes and how.
struct Taps {
  std::vector<int> first, count;  // (out)
  std::vector<float> weight;      // (out, most)
  int most = 0;                   // the largest count there can be
  Span span;

  int size() const { return static_cast<int>(first.size()); }
  const float* weights(int i) const { return weight.data() + static_cast<std::size_t>(i) * static_cast<std::size_t>(most); }
};

/// Fills `taps` for `out` results. `mirrored` reverses them. Memory of `taps` is used again.
void make_taps(Taps& taps, int out, const Span& span, bool mirrored = false);

/// Row `y` of the result, planar: `out[c][i]` = the resampled channel c times `scale`. `line` is working memory.
void resample_row(const Image& picture, const Taps& across, const Taps& down, int y, float scale, std::vector<float>& line,
                  float* const* out);
/// The same for float pixels (H,W,C) of 1 or 3 channels.
void resample_row(const float* pixels, int width, int channels, const Taps& across, const Taps& down, int y, float scale,
                  std::vector<float>& line, float* const* out);

}  // namespace sslcake::inline v0::image

#ifndef SSLCAKE_COMPILED
#include "resample_inl.hpp"
#endif
