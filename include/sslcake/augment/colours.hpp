// The colour steps, on three planes of floats (3,H,W) in [0,1], with the meaning of torchvision's functional adjust_*.
// A view's list of operations is carried out block by block: a few dozen pixels are loaded, all operations run on them
// without a branch, and they are stored. Only contrast, which needs the mean of the whole view, ends such a pass.
#pragma once

#include <cstdint>

#include "../core/config.hpp"

namespace sslcake::inline v0::augment {

struct ColourOperation {
  enum class Kind : std::uint8_t {
    brightness,  // x · a
    contrast,    // m + (x - m) a, m the mean luma of the view
    saturation,  // l + (x - l) a, l the luma of the pixel
    hue,         // a turns of the colour wheel, through HSV
    greyscale,   // l
    solarise     // 1 - x where x >= a
  };
  Kind kind = Kind::brightness;
  float amount = 1;
};

/// Carries out `count` operations in order; results are held in [0,1]. `p` points to three planes of `n` numbers.
void apply_colours(float* p, int n, const ColourOperation* operations, int count);

}  // namespace sslcake::inline v0::augment

#ifndef SSLCAKE_COMPILED
#include "colours_inl.hpp"
#endif
