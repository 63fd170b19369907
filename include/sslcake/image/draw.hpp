// Drawing on pictures: rectangles, lines, dots, text. For reports and contact sheets; whatever lies outside the picture
// is left out. No antialiasing.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "image.hpp"

namespace sslcake::inline v0::image {

using Ink = std::array<std::uint8_t, 3>;  // red, green, blue

inline constexpr Ink black = {0, 0, 0}, white = {255, 255, 255}, grey = {128, 128, 128};
inline constexpr Ink red = {214, 39, 40}, green = {44, 160, 44}, blue = {31, 119, 180}, orange = {255, 127, 14};

/// One pixel. A grey picture gets the ink's luminance.
void set_pixel(Image& picture, int x, int y, const Ink& ink);
/// All pixels x <= column < x + width, y <= row < y + height.
void fill_rectangle(Image& picture, int x, int y, int width, int height, const Ink& ink);
/// The edge of that rectangle, `thickness` pixels wide, inwards.
void draw_rectangle(Image& picture, int x, int y, int width, int height, const Ink& ink, int thickness = 1);
/// A straight line from pixel to pixel, both included (Bresenham 1965).
void draw_line(Image& picture, int x0, int y0, int x1, int y1, const Ink& ink);
/// A filled disc.
void fill_disc(Image& picture, int x, int y, int radius, const Ink& ink);
/// `part` onto the picture, its upper left corner at (x,y). Channels are converted where they differ.
void paste(Image& picture, const Image& part, int x, int y);

/// Printable ASCII, 5 x 7 pixels a letter on a pitch of 6 x 9, times `scale`; '\n' begins a new line; other characters
/// show as '?'. (x,y) is the upper left corner.
void draw_text(Image& picture, int x, int y, std::string_view text, const Ink& ink = black, int scale = 1);
/// The size that draw_text covers, in pixels.
int text_width(std::string_view text, int scale = 1);
int text_height(std::string_view text, int scale = 1);

}  // namespace sslcake::inline v0::image

#ifndef SSLCAKE_COMPILED
#include "draw_inl.hpp"
#endif
