// The steps that move or mix pixels, on three planes of floats (3,H,W) in [0,1].
#pragma once

#include "../core/config.hpp"

namespace sslcake::inline v0::augment::planes {

/// Gaussian of width `sigma` in pixels, cut to `kernel` (odd) taps a side and renormalised, edges reflected without
/// repeating the outermost pixel: torchvision's gaussian_blur.
void blur(float* p, int width, int height, float sigma, int kernel);
/// Turned counter-clockwise about the centre, bilinear, black outside: torchvision's rotate with bilinear interpolation.
void rotate(float* p, int width, int height, float degrees);
/// Left and right exchanged.
void flip(float* p, int width, int height);

}  // namespace sslcake::inline v0::augment::planes

#ifndef SSLCAKE_COMPILED
#include "planes_inl.hpp"
#endif
