// Colours of one pixel, components in [0,1], with torchvision's definitions. augment/ applies the same formulas to whole
// rows at a time; these are the text to read and what tests hold it to.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

#include "image.hpp"

namespace sslcake::inline v0::image {

/// Luminance by ITU-R BT.601, as in Pillow's "L" (torchvision rounds the first weight to 0.2989).
inline constexpr float red_weight = 0.299f, green_weight = 0.587f, blue_weight = 0.114f;
inline float luminance(float red, float green, float blue) {
  return red_weight * red + green_weight * green + blue_weight * blue;
}

using Colour = std::array<float, 3>;

/// Red, green, blue to hue, saturation, value (Smith 1978, "Color gamut transform pairs"), all in [0,1]; grey has hue 0.
inline Colour rgb_to_hsv(const Colour& rgb) {
  const auto [r, g, b] = rgb;
  const float most = std::max({r, g, b}), chroma = most - std::min({r, g, b});
  if (chroma <= 0) return {0, 0, most};
  const float sixths = most == r ? (g - b) / chroma : most == g ? 2 + (b - r) / chroma : 4 + (r - g) / chroma;
  const float hue = sixths / 6;
  return {hue < 0 ? hue + 1 : hue, chroma / most, most};
}

/// The inverse. Each channel is value - value · saturation · clamp(min(k, 4 - k), 0, 1), k = (n + 6 hue) mod 6, with
/// n = 5, 3, 1 for red, green, blue: no case distinction. Hue counts modulo 1.
inline Colour hsv_to_rgb(const Colour& hsv) {
  const auto [hue, saturation, value] = hsv;
  const float turns = hue - std::floor(hue);
  Colour rgb{};
  for (int c = 0; c < 3; ++c) {
    float k = static_cast<float>(5 - 2 * c) + 6 * turns;
    k -= k >= 6 ? 6.0f : 0.0f;
    rgb[static_cast<std::size_t>(c)] = value - value * saturation * std::min(std::max(std::min(k, 4 - k), 0.0f), 1.0f);
  }
  return rgb;
}

/// The picture in one channel of luminance, rounded.
inline Image to_grey(const Image& picture) {
  check(picture, "image::to_grey");
  if (picture.channels == 1) return picture;
  Image result(picture.width, picture.height, 1);
  const std::uint8_t* in = picture.pixels.data();
  for (auto& out : result.pixels) {
    out = static_cast<std::uint8_t>(luminance(in[0], in[1], in[2]) + 0.5f);
    in += 3;
  }
  return result;
}

/// A grey picture as three equal channels; a colour picture unchanged. Errors: `where` found a picture that is none.
inline Image to_rgb(Image picture, const char* where = "image::to_rgb") {
  check(picture, where);
  if (picture.channels == 3) return picture;
  Image result(picture.width, picture.height, 3);
  std::uint8_t* out = result.pixels.data();
  for (const auto value : picture.pixels) {
    out[0] = out[1] = out[2] = value;
    out += 3;
  }
  return result;
}

}  // namespace sslcake::inline v0::image
