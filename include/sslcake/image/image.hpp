// A picture in memory: 8 bits a channel, rows from the top, channels interleaved (H,W,C). What decoders give, what
// augmentations read and what encode_png writes. A plain value: copying it copies the pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "../core/error.hpp"

namespace sslcake::inline v0::image {

struct Image {
  int width = 0, height = 0;
  int channels = 3;                  // 3: red, green, blue (sRGB as stored); 1: grey
  std::vector<std::uint8_t> pixels;  // (H,W,C)

  Image() = default;
  /// A picture of one value, black by default.
  Image(int width_, int height_, int channels_ = 3, std::uint8_t value = 0)
      : width(width_), height(height_), channels(channels_) {
    if (width < 0 || height < 0 || (channels != 1 && channels != 3))
      fail("Image", "expected a size of at least 0 and 1 or 3 channels, got ", width, " x ", height, " with ", channels);
    pixels.assign(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * static_cast<std::size_t>(channels), value);
  }

  bool empty() const { return pixels.empty(); }
  std::size_t row_bytes() const { return static_cast<std::size_t>(width) * static_cast<std::size_t>(channels); }
  std::uint8_t* row(int y) { return pixels.data() + row_bytes() * static_cast<std::size_t>(y); }
  const std::uint8_t* row(int y) const { return pixels.data() + row_bytes() * static_cast<std::size_t>(y); }
  /// The first channel of the pixel in column x, row y; unchecked.
  std::uint8_t* at(int x, int y) { return row(y) + x * channels; }
  const std::uint8_t* at(int x, int y) const { return row(y) + x * channels; }

  friend bool operator==(const Image&, const Image&) = default;
};

/// Throws unless `picture` has at least one pixel, 1 or 3 channels, and as many bytes as its size says.
inline void check(const Image& picture, const char* where) {
  if (picture.width < 1 || picture.height < 1 || (picture.channels != 1 && picture.channels != 3))
    fail(where, "expected a picture of at least 1 x 1 with 1 or 3 channels, got ", picture.width, " x ", picture.height, " with ",
         picture.channels);
  if (picture.pixels.size() != picture.row_bytes() * static_cast<std::size_t>(picture.height))
    fail(where, "expected ", picture.row_bytes() * static_cast<std::size_t>(picture.height), " bytes for a picture of ",
         picture.width, " x ", picture.height, " x ", picture.channels, ", got ", picture.pixels.size());
}

}  // namespace sslcake::inline v0::image
