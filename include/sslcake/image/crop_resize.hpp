// Cuts a box out of a picture and resamples it to a given size in one go: the inner loop of every augmentation.
//
// Triangle filter ("bilinear") whose support grows with the reduction, so that shrinking averages and does not alias:
// what Pillow and torchvision (antialias=True) do. Separable: rows first, then columns. For output pixel i, with
// scale = box / size and support = max(scale, 1):
//
//   centre = box_start + (i + 1/2) scale,   weight(j) ∝ max(0, 1 - |j + 1/2 - centre| / support),   Σ weights = 1
//
// Taps stay inside the box, as when the box is cut out first.
#pragma once

#include "image.hpp"

namespace sslcake::inline v0::image {

/// A part of a picture in whole pixels.
struct Box {
  int x = 0, y = 0, width = 0, height = 0;
};

/// Writes the box, resampled to (height,width), into three planes of floats (3,height,width) in [0,1]; grey pictures give
/// three equal planes. Errors: a box that is empty or leaves the picture, a size below 1.
void crop_resize(const Image& source, const Box& box, int width, int height, float* planes);

}  // namespace sslcake::inline v0::image

#ifndef SSLCAKE_COMPILED
#include "crop_resize_inl.hpp"
#endif
