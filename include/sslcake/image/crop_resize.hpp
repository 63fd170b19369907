// Cuts a box out of a picture and resamples it to a given size in one go: the inner loop of every augmentation. The
// filter is the antialiased triangle of resample.hpp and stays inside the box, as when the box is cut out first.
#pragma once

#include "image.hpp"

namespace sslcake::inline v0::image {

/// A part of a picture in whole pixels.
struct Box {
  int x = 0, y = 0, width = 0, height = 0;
};

/// Writes the box, resampled to (height,width), into three planes of floats (3,height,width) in [0,1]; grey pictures give
/// three equal planes. `mirrored` exchanges left and right. Errors: a box that is empty or leaves the picture, a size
/// below 1.
void crop_resize(const Image& source, const Box& box, int width, int height, float* planes, bool mirrored = false);

/// The same as a picture, rounded to 8 bits (torchvision's resized_crop).
Image crop_resize(const Image& source, const Box& box, int width, int height);

}  // namespace sslcake::inline v0::image

#ifndef SSLCAKE_COMPILED
#include "crop_resize_inl.hpp"
#endif
