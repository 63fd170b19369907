#pragma once

#include <algorithm>
#include <vector>

#include "resample.hpp"
#include "resize.hpp"

namespace sslcake::inline v0::image {
namespace detail {

inline void check_target(const char* where, int width, int height) {
  if (width < 1 || height < 1 || std::int64_t{width} * height > std::int64_t{1} << 30)
    fail(where, "expected a size of at least 1 x 1 and at most 2^30 pixels, got ", width, " x ", height);
}

}  // namespace detail

SSLCAKE_INLINE Image resize(const Image& picture, int width, int height) {
  check(picture, "image::resize");
  detail::check_target("image::resize", width, height);
  if (width == picture.width && height == picture.height) return picture;
  return crop_resize(picture, {0, 0, picture.width, picture.height}, width, height);
}

SSLCAKE_INLINE Image resize_short_side(const Image& picture, int side) {
  check(picture, "image::resize_short_side");
  const bool wide = picture.width > picture.height;
  const auto longer =
      static_cast<std::int64_t>(side) * (wide ? picture.width : picture.height) / (wide ? picture.height : picture.width);
  const int other = static_cast<int>(std::min<std::int64_t>(longer, 1 << 30));
  return resize(picture, wide ? other : side, wide ? side : other);
}

SSLCAKE_INLINE Image reduce(const Image& picture, int factor) {
  check(picture, "image::reduce");
  if (factor < 1 || factor > 4096)
    fail("image::reduce", "expected a factor from 1 to 4096, got ", factor);  // so that 32 bits hold a block
  if (factor == 1) return picture;
  const auto part = [&](int size) { return (size - 1) / factor + 1; };
  Image result(part(picture.width), part(picture.height), picture.channels);
  std::vector<std::uint32_t> line(picture.row_bytes());  // a block's rows, added up
  for (int y = 0; y < result.height; ++y) {
    const int top = y * factor, rows = std::min(factor, picture.height - top);
    std::fill(line.begin(), line.end(), 0);
    for (int row = top; row < top + rows; ++row) {
      const std::uint8_t* in = picture.row(row);
      for (std::size_t i = 0; i < line.size(); ++i) line[i] += in[i];
    }
    std::uint8_t* out = result.row(y);
    for (int x = 0; x < result.width; ++x) {
      const int columns = std::min(factor, picture.width - x * factor), step = picture.channels;
      const auto count = static_cast<std::uint32_t>(rows * columns);
      for (int c = 0; c < step; ++c) {
        const std::uint32_t* in = line.data() + std::ptrdiff_t{x} * factor * step + c;
        std::uint32_t sum = count / 2;
        for (int k = 0; k < columns; ++k, in += step) sum += *in;
        *out++ = static_cast<std::uint8_t>(sum / count);
      }
    }
  }
  return result;
}

SSLCAKE_INLINE Image resize_nearest(const Image& picture, int width, int height) {
  check(picture, "image::resize_nearest");
  detail::check_target("image::resize_nearest", width, height);
  Image result(width, height, picture.channels);
  const auto source = [](int i, int out, int in) {
    return static_cast<int>((2 * std::int64_t{i} + 1) * in / (2 * std::int64_t{out}));
  };
  for (int y = 0; y < height; ++y) {
    const int from_y = source(y, height, picture.height);
    std::uint8_t* out = result.row(y);
    for (int x = 0; x < width; ++x) {
      const std::uint8_t* in = picture.at(source(x, width, picture.width), from_y);
      for (int c = 0; c < picture.channels; ++c) *out++ = in[c];
    }
  }
  return result;
}

SSLCAKE_INLINE Image crop(const Image& picture, int x, int y, int width, int height) {
  check(picture, "image::crop");
  if (x < 0 || y < 0 || width < 1 || height < 1 || width > picture.width - x || height > picture.height - y)
    fail("image::crop", "expected a part of the picture of ", picture.width, " x ", picture.height, ", got ", width, " x ",
         height, " at (", x, ", ", y, ")");
  Image result(width, height, picture.channels);
  for (int row = 0; row < height; ++row) std::copy_n(picture.at(x, y + row), result.row_bytes(), result.row(row));
  return result;
}

SSLCAKE_INLINE void resize(const float* pixels, int from_width, int from_height, int channels, float* out, int width,
                           int height) {
  detail::check_target("image::resize", from_width, from_height);
  detail::check_target("image::resize", width, height);
  if (channels != 1 && channels != 3) fail("image::resize", "expected 1 or 3 channels, got ", channels);
  Taps across, down;
  make_taps(across, width, {0, from_width});
  make_taps(down, height, {0, from_height});
  std::vector<float> line, planes(static_cast<std::size_t>(width) * 3);
  float* const rows[3] = {planes.data(), planes.data() + width, planes.data() + 2 * static_cast<std::ptrdiff_t>(width)};
  for (int y = 0; y < height; ++y) {
    resample_row(pixels, from_width, channels, across, down, y, 1.0f, line, rows);
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c) *out++ = rows[c][x];
  }
}

}  // namespace sslcake::inline v0::image
