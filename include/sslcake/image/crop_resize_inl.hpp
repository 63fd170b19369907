#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "crop_resize.hpp"

namespace sslcake::inline v0::image {
namespace detail {

/// For every output position, where its taps start, and `count` weights each (the last may be zero).
struct Taps {
  std::vector<int> start;
  std::vector<float> weight;
  int count = 1;

  void fill(int box_start, int box, int size) {
    const double scale = static_cast<double>(box) / size, support = std::max(scale, 1.0);
    count = std::min(static_cast<int>(std::ceil(support)) * 2 + 1, box);
    start.resize(static_cast<std::size_t>(size));
    weight.assign(static_cast<std::size_t>(size) * static_cast<std::size_t>(count), 0.0f);
    for (int i = 0; i < size; ++i) {
      const double centre = (i + 0.5) * scale;
      int first = std::max(static_cast<int>(centre - support + 0.5), 0);
      first = std::min(first, box - count);  // so that all taps exist; those out of reach weigh nothing
      float* w = weight.data() + static_cast<std::ptrdiff_t>(i) * count;
      double sum = 0;
      for (int k = 0; k < count; ++k) sum += std::max(0.0, 1.0 - std::fabs(first + k + 0.5 - centre) / support);
      for (int k = 0; k < count; ++k)
        w[k] = static_cast<float>(std::max(0.0, 1.0 - std::fabs(first + k + 0.5 - centre) / support) / sum);
      start[static_cast<std::size_t>(i)] = box_start + first;
    }
  }
};

/// Per thread: the buffers keep their memory from picture to picture.
struct ResizeScratch {
  Taps x, y;
  std::vector<float> rows;  // (3, box height, width)
};
inline ResizeScratch& resize_scratch() {
  static thread_local ResizeScratch scratch;
  return scratch;
}

}  // namespace detail

SSLCAKE_INLINE void crop_resize(const Image& source, const Box& box, int width, int height, float* planes) {
  check(source, "crop_resize");
  if (width < 1 || height < 1) fail("crop_resize", "expected a size of at least 1 x 1, got ", width, " x ", height);
  if (box.x < 0 || box.y < 0 || box.width < 1 || box.height < 1 || box.x + box.width > source.width || box.y + box.height > source.height)
    fail("crop_resize", "expected a box inside the picture of ", source.width, " x ", source.height, ", got ", box.width, " x ", box.height,
         " at (", box.x, ",", box.y, ")");
  auto& s = detail::resize_scratch();
  s.x.fill(box.x, box.width, width);
  s.y.fill(0, box.height, height);

  // Rows: bytes, interleaved -> floats, one plane a channel.
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(box.height) * width;
  s.rows.resize(static_cast<std::size_t>(3 * plane));
  const int channels = source.channels, taps = s.x.count;
  for (int y = 0; y < box.height; ++y) {
    const std::uint8_t* row = source.row(box.y + y);
    float* out = s.rows.data() + static_cast<std::ptrdiff_t>(y) * width;
    for (int x = 0; x < width; ++x) {
      const std::uint8_t* p = row + static_cast<std::ptrdiff_t>(s.x.start[static_cast<std::size_t>(x)]) * channels;
      const float* w = s.x.weight.data() + static_cast<std::ptrdiff_t>(x) * taps;
      float sum[3] = {0, 0, 0};
      if (channels == 3) {
        for (int k = 0; k < taps; ++k, p += 3)
          for (int c = 0; c < 3; ++c) sum[c] += w[k] * static_cast<float>(p[c]);
      } else {
        for (int k = 0; k < taps; ++k) sum[0] += w[k] * static_cast<float>(p[k]);
        sum[1] = sum[2] = sum[0];
      }
      for (int c = 0; c < 3; ++c) out[c * plane + x] = sum[c];
    }
  }

  // Columns, a whole row of the output at a time.
  for (int c = 0; c < 3; ++c)
    for (int y = 0; y < height; ++y) {
      float* out = planes + (static_cast<std::ptrdiff_t>(c) * height + y) * width;
      const float* in = s.rows.data() + c * plane + static_cast<std::ptrdiff_t>(s.y.start[static_cast<std::size_t>(y)]) * width;
      const float* w = s.y.weight.data() + static_cast<std::ptrdiff_t>(y) * s.y.count;
      std::fill_n(out, width, 0.0f);
      for (int k = 0; k < s.y.count; ++k, in += width) {
        if (w[k] == 0) continue;
        const float factor = w[k] * (1.0f / 255.0f);
        for (int x = 0; x < width; ++x) out[x] += factor * in[x];
      }
    }
}

}  // namespace sslcake::inline v0::image
