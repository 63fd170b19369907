// Pictures to other sizes, and parts of them. Bilinear with antialiasing as in Pillow and torchvision (resample.hpp has
// the formula); nearest neighbour for label maps and enlarged pixels.
#pragma once

#include <cstdint>

#include "crop_resize.hpp"
#include "image.hpp"

namespace sslcake::inline v0::image {

/// The whole picture at another size, rounded to 8 bits. Errors: a size below 1 x 1 or above 2^30 pixels.
Image resize(const Image& picture, int width, int height);
/// The picture with its shorter side at `side`, its ratio kept (torchvision's Resize of one number). Errors: as resize's.
Image resize_short_side(const Image& picture, int side);
/// 1/`factor` of the size, rounded up: each pixel is the mean of factor x factor pixels, of fewer at the right and lower
/// edge, rounded. Errors: a factor below 1 or above 4096.
Image reduce(const Image& picture, int factor);
/// Each result is the source pixel in which its centre lies (Pillow's NEAREST).
Image resize_nearest(const Image& picture, int width, int height);
/// The part of `width` x `height` pixels whose upper left corner is (x,y). Errors: not inside the picture.
Image crop(const Image& picture, int x, int y, int width, int height);

/// Float pixels (H,W,C) with 1 or 3 channels, to (height,width,C).
void resize(const float* pixels, int from_width, int from_height, int channels, float* out, int width, int height);

}  // namespace sslcake::inline v0::image

#ifndef SSLCAKE_COMPILED
#include "resize_inl.hpp"
#endif
