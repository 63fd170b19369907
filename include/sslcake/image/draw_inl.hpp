#pragma once

#include <algorithm>
#include <cstdlib>

#include "colour.hpp"
#include "draw.hpp"
#include "font.hpp"

namespace sslcake::inline v0::image {

SSLCAKE_INLINE void set_pixel(Image& picture, int x, int y, const Ink& ink) {
  if (x < 0 || y < 0 || x >= picture.width || y >= picture.height) return;
  std::uint8_t* pixel = picture.at(x, y);
  if (picture.channels == 1) pixel[0] = static_cast<std::uint8_t>(luminance(ink[0], ink[1], ink[2]) + 0.5f);
  else std::copy_n(ink.data(), 3, pixel);
}

SSLCAKE_INLINE void fill_rectangle(Image& picture, int x, int y, int width, int height, const Ink& ink) {
  const auto end = [](int start, int length, int most) {
    return static_cast<int>(std::min<std::int64_t>(std::int64_t{start} + length, most));
  };
  const int right = end(x, width, picture.width), bottom = end(y, height, picture.height);
  for (int row = std::max(y, 0); row < bottom; ++row)
    for (int column = std::max(x, 0); column < right; ++column) set_pixel(picture, column, row, ink);
}

SSLCAKE_INLINE void draw_rectangle(Image& picture, int x, int y, int width, int height, const Ink& ink, int thickness) {
  const int across = std::min(thickness, width), along = std::min(thickness, height);
  fill_rectangle(picture, x, y, width, along, ink);
  fill_rectangle(picture, x, y + height - along, width, along, ink);
  fill_rectangle(picture, x, y, across, height, ink);
  fill_rectangle(picture, x + width - across, y, across, height, ink);
}

SSLCAKE_INLINE void draw_line(Image& picture, int x0, int y0, int x1, int y1, const Ink& ink) {
  // Far outside, one would walk for ever: ends are held within reach of the picture.
  constexpr int reach = 1 << 20;
  for (int* end : {&x0, &y0, &x1, &y1}) *end = std::clamp(*end, -reach, reach);
  const int dx = std::abs(x1 - x0), dy = std::abs(y1 - y0), step_x = x0 < x1 ? 1 : -1, step_y = y0 < y1 ? 1 : -1;
  int error = dx - dy;  // how far the line has drifted from the pixels, times 2 dx dy
  for (;;) {
    set_pixel(picture, x0, y0, ink);
    if (x0 == x1 && y0 == y1) return;
    const int twice = 2 * error;
    if (twice > -dy) error -= dy, x0 += step_x;
    if (twice < dx) error += dx, y0 += step_y;
  }
}

SSLCAKE_INLINE void fill_disc(Image& picture, int x, int y, int radius, const Ink& ink) {
  const int reach = std::min(radius, 1 << 14);
  for (int row = -reach; row <= reach; ++row)
    for (int column = -reach; column <= reach; ++column)
      if (row * row + column * column <= reach * (reach + 1)) set_pixel(picture, x + column, y + row, ink);
}

SSLCAKE_INLINE void paste(Image& picture, const Image& part, int x, int y) {
  check(part, "image::paste");
  for (int row = std::max(0, -y); row < part.height && row < picture.height - y; ++row)
    for (int column = std::max(0, -x); column < part.width && column < picture.width - x; ++column) {
      const std::uint8_t* in = part.at(column, row);
      set_pixel(picture, x + column, y + row, part.channels == 3 ? Ink{in[0], in[1], in[2]} : Ink{in[0], in[0], in[0]});
    }
}

SSLCAKE_INLINE void draw_text(Image& picture, int x, int y, std::string_view text, const Ink& ink, int scale) {
  int column = x;
  for (const char c : text) {
    if (c == '\n') {
      column = x;
      y += 9 * scale;
      continue;
    }
    for (int v = 0; v < detail::glyph_height; ++v)
      for (int u = 0; u < detail::glyph_width; ++u)
        if (detail::has_ink(c, u, v)) fill_rectangle(picture, column + u * scale, y + v * scale, scale, scale, ink);
    column += 6 * scale;
  }
}

SSLCAKE_INLINE int text_width(std::string_view text, int scale) {
  int widest = 0, here = 0;
  for (const char c : text) {
    here = c == '\n' ? 0 : here + 1;
    widest = std::max(widest, here);
  }
  return widest == 0 ? 0 : (6 * widest - 1) * scale;
}

SSLCAKE_INLINE int text_height(std::string_view text, int scale) {
  return static_cast<int>(9 * std::count(text.begin(), text.end(), '\n') + detail::glyph_height) * scale;
}

}  // namespace sslcake::inline v0::image
