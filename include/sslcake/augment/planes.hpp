// The pixel loops behind the steps, on three planes of floats (3,H,W) in [0,1]. Planes and no branches: every loop is
// one that compilers turn into vector code.
#pragma once

#include "../core/config.hpp"

namespace sslcake::inline v0::augment::planes {

/// `p` points to three planes of `n` numbers.
void brightness(float* p, int n, float factor);  // x · f
void contrast(float* p, int n, float factor);    // m + (x - m) f, m the mean luma of the view
void saturation(float* p, int n, float factor);  // l + (x - l) f, l the luma of the pixel
void hue(float* p, int n, float shift);          // turns of the colour wheel, through HSV
void greyscale(float* p, int n);
void solarise(float* p, int n, float threshold);
void blur(float* p, int width, int height, float sigma, int kernel);  // kernel odd
void rotate(float* p, int width, int height, float degrees);
void flip(float* p, int width, int height);

}  // namespace sslcake::inline v0::augment::planes

#ifndef SSLCAKE_COMPILED
#include "planes_inl.hpp"
#endif
