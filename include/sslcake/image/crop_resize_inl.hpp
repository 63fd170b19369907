#pragma once

#include <algorithm>
#include <vector>

#include "crop_resize.hpp"
#include "resample.hpp"

namespace sslcake::inline v0::image {
namespace detail {

/// Per thread: the buffers keep their memory from picture to picture.
struct CropScratch {
  Taps across, down;
  std::vector<float> line, planes;
};
inline CropScratch& crop_scratch() {
  static thread_local CropScratch scratch;
  return scratch;
}

inline void check_crop(const Image& source, const Box& box, int width, int height) {
  check(source, "crop_resize");
  if (width < 1 || height < 1 || std::int64_t{width} * height > std::int64_t{1} << 30)
    fail("crop_resize", "expected a size of at least 1 x 1 and at most 2^30 pixels, got ", width, " x ", height);
  if (box.x < 0 || box.y < 0 || box.width < 1 || box.height < 1 || box.width > source.width - box.x ||
      box.height > source.height - box.y)
    fail("crop_resize", "expected a box inside the picture of ", source.width, " x ", source.height, ", got ", box.width, " x ",
         box.height, " at (", box.x, ",", box.y, ")");
}

}  // namespace detail

SSLCAKE_INLINE void crop_resize(const Image& source, const Box& box, int width, int height, float* planes, bool mirrored) {
  detail::check_crop(source, box, width, height);
  auto& s = detail::crop_scratch();
  make_taps(s.across, width, {box.x, box.width}, mirrored);
  make_taps(s.down, height, {box.y, box.height});
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(height) * width;
  for (int y = 0; y < height; ++y) {
    float* const rows[3] = {planes + static_cast<std::ptrdiff_t>(y) * width,
                            planes + plane + static_cast<std::ptrdiff_t>(y) * width,
                            planes + 2 * plane + static_cast<std::ptrdiff_t>(y) * width};
    resample_row(source, s.across, s.down, y, 1.0f / 255.0f, s.line, rows);
  }
  if (source.channels == 1)
    for (int c = 1; c < 3; ++c) std::copy_n(planes, plane, planes + c * plane);
}

SSLCAKE_INLINE Image crop_resize(const Image& source, const Box& box, int width, int height) {
  detail::check_crop(source, box, width, height);
  auto& s = detail::crop_scratch();
  make_taps(s.across, width, {box.x, box.width});
  make_taps(s.down, height, {box.y, box.height});
  s.planes.resize(static_cast<std::size_t>(width) * 3);
  float* const rows[3] = {s.planes.data(), s.planes.data() + width, s.planes.data() + 2 * static_cast<std::ptrdiff_t>(width)};
  Image result(width, height, source.channels);
  for (int y = 0; y < height; ++y) {
    resample_row(source, s.across, s.down, y, 1.0f, s.line, rows);
    std::uint8_t* out = result.row(y);
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < source.channels; ++c)
        *out++ = static_cast<std::uint8_t>(std::min(std::max(rows[c][x] + 0.5f, 0.0f), 255.0f));
  }
  return result;
}

}  // namespace sslcake::inline v0::image
