// One colour operation of a view: what colours.hpp carries out.
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

}  // namespace sslcake::inline v0::augment
