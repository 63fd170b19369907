#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "planes.hpp"

namespace sslcake::inline v0::augment::planes {
namespace detail {

inline float luma(float r, float g, float b) { return 0.299f * r + 0.587f * g + 0.114f * b; }
inline float unit(float x) { return std::min(std::max(x, 0.0f), 1.0f); }

inline std::vector<float>& scratch() {
  static thread_local std::vector<float> buffer;
  return buffer;
}

/// Position `i` mirrored into [0, n) without repeating the edge; a single pixel is its own mirror.
inline int reflect(int i, int n) {
  if (n == 1) return 0;
  const int period = 2 * n - 2;
  i = ((i % period) + period) % period;
  return i < n ? i : period - i;
}

}  // namespace detail

SSLCAKE_INLINE void brightness(float* p, int n, float factor) {
  for (int i = 0; i < 3 * n; ++i) p[i] = detail::unit(p[i] * factor);
}

SSLCAKE_INLINE void contrast(float* p, int n, float factor) {
  const float *r = p, *g = p + n, *b = p + 2 * n;
  // Eight partial sums: a fixed order that vector code can keep.
  float sums[8] = {};
  int i = 0;
  for (; i + 8 <= n; i += 8)
    for (int k = 0; k < 8; ++k) sums[k] += detail::luma(r[i + k], g[i + k], b[i + k]);
  for (; i < n; ++i) sums[0] += detail::luma(r[i], g[i], b[i]);
  double sum = 0;
  for (const float s : sums) sum += static_cast<double>(s);
  const float rest = static_cast<float>(sum / n) * (1 - factor);
  for (int k = 0; k < 3 * n; ++k) p[k] = detail::unit(p[k] * factor + rest);
}

SSLCAKE_INLINE void saturation(float* p, int n, float factor) {
  float *r = p, *g = p + n, *b = p + 2 * n;
  for (int i = 0; i < n; ++i) {
    const float rest = detail::luma(r[i], g[i], b[i]) * (1 - factor);
    r[i] = detail::unit(r[i] * factor + rest);
    g[i] = detail::unit(g[i] * factor + rest);
    b[i] = detail::unit(b[i] * factor + rest);
  }
}

SSLCAKE_INLINE void hue(float* p, int n, float shift) {
  // RGB -> hue h in sixths of a turn, value v, chroma d = v - min; the hue is moved; back with
  //   c(k) = v - d · clamp(min(k', 4 - k'), 0, 1),  k' = (k + h) mod 6,  k = 5, 3, 1 for red, green, blue,
  // which is the usual table of six cases written as one formula.
  float *r = p, *g = p + n, *b = p + 2 * n;
  const float move = 6 * (shift - std::floor(shift));
  for (int i = 0; i < n; ++i) {
    const float red = r[i], green = g[i], blue = b[i];
    const float v = std::max(red, std::max(green, blue));
    const float d = v - std::min(red, std::min(green, blue));
    const float per = 1.0f / std::max(d, 1e-12f);
    const float from_red = (green - blue) * per, from_green = 2 + (blue - red) * per, from_blue = 4 + (red - green) * per;
    const float other = v == green ? from_green : from_blue;
    float h = v == red ? from_red : other;
    h += move;
    h = h < 0 ? h + 6 : h;
    h = h >= 6 ? h - 6 : h;
    float k = h + 5;
    k = k >= 6 ? k - 6 : k;
    r[i] = v - d * detail::unit(std::min(k, 4 - k));
    k = h + 3;
    k = k >= 6 ? k - 6 : k;
    g[i] = v - d * detail::unit(std::min(k, 4 - k));
    k = h + 1;
    k = k >= 6 ? k - 6 : k;
    b[i] = v - d * detail::unit(std::min(k, 4 - k));
  }
}

SSLCAKE_INLINE void greyscale(float* p, int n) {
  float *r = p, *g = p + n, *b = p + 2 * n;
  for (int i = 0; i < n; ++i) {
    const float l = detail::luma(r[i], g[i], b[i]);
    r[i] = l;
    g[i] = l;
    b[i] = l;
  }
}

SSLCAKE_INLINE void solarise(float* p, int n, float threshold) {
  for (int i = 0; i < 3 * n; ++i) p[i] = p[i] >= threshold ? 1 - p[i] : p[i];
}

SSLCAKE_INLINE void blur(float* p, int width, int height, float sigma, int kernel) {
  const int half = kernel / 2;
  std::vector<float> weight(static_cast<std::size_t>(kernel));
  double sum = 0;
  for (int k = 0; k < kernel; ++k) {
    const double z = (k - half) / static_cast<double>(sigma);
    weight[static_cast<std::size_t>(k)] = static_cast<float>(std::exp(-0.5 * z * z));
    sum += static_cast<double>(weight[static_cast<std::size_t>(k)]);
  }
  for (auto& w : weight) w = static_cast<float>(static_cast<double>(w) / sum);

  auto& buffer = detail::scratch();
  buffer.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) + static_cast<std::size_t>(width + 2 * half));
  float* columns = buffer.data();
  float* padded = columns + static_cast<std::ptrdiff_t>(width) * height;
  for (int c = 0; c < 3; ++c) {
    float* plane = p + static_cast<std::ptrdiff_t>(c) * width * height;
    for (int y = 0; y < height; ++y) {  // down the columns, a row at a time
      float* out = columns + static_cast<std::ptrdiff_t>(y) * width;
      std::fill_n(out, width, 0.0f);
      for (int k = 0; k < kernel; ++k) {
        const float* in = plane + static_cast<std::ptrdiff_t>(detail::reflect(y + k - half, height)) * width;
        const float w = weight[static_cast<std::size_t>(k)];
        for (int x = 0; x < width; ++x) out[x] += w * in[x];
      }
    }
    for (int y = 0; y < height; ++y) {  // along the rows, which are padded first so that the loop has no edges
      const float* in = columns + static_cast<std::ptrdiff_t>(y) * width;
      for (int x = -half; x < width + half; ++x) padded[x + half] = in[detail::reflect(x, width)];
      float* out = plane + static_cast<std::ptrdiff_t>(y) * width;
      std::fill_n(out, width, 0.0f);
      for (int k = 0; k < kernel; ++k) {
        const float w = weight[static_cast<std::size_t>(k)];
        for (int x = 0; x < width; ++x) out[x] += w * padded[x + k];
      }
    }
  }
}

SSLCAKE_INLINE void rotate(float* p, int width, int height, float degrees) {
  const float angle = degrees * std::numbers::pi_v<float> / 180, cosine = std::cos(angle), sine = std::sin(angle);
  const float cx = 0.5f * static_cast<float>(width - 1), cy = 0.5f * static_cast<float>(height - 1);
  auto& buffer = detail::scratch();
  const std::ptrdiff_t n = static_cast<std::ptrdiff_t>(width) * height;
  buffer.assign(p, p + 3 * n);
  const auto value = [&](const float* plane, int x, int y) {
    return x >= 0 && x < width && y >= 0 && y < height ? plane[static_cast<std::ptrdiff_t>(y) * width + x] : 0.0f;
  };
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      // Where the output pixel comes from: turned back (y points down).
      const float dx = static_cast<float>(x) - cx, dy = static_cast<float>(y) - cy;
      const float sx = cx + cosine * dx - sine * dy, sy = cy + sine * dx + cosine * dy;
      const float fx = std::floor(sx), fy = std::floor(sy), u = sx - fx, v = sy - fy;
      const int x0 = static_cast<int>(fx), y0 = static_cast<int>(fy);
      for (int c = 0; c < 3; ++c) {
        const float* plane = buffer.data() + c * n;
        p[c * n + static_cast<std::ptrdiff_t>(y) * width + x] =
            (1 - v) * ((1 - u) * value(plane, x0, y0) + u * value(plane, x0 + 1, y0)) +
            v * ((1 - u) * value(plane, x0, y0 + 1) + u * value(plane, x0 + 1, y0 + 1));
      }
    }
}

SSLCAKE_INLINE void flip(float* p, int width, int height) {
  for (int row = 0; row < 3 * height; ++row) {
    float* line = p + static_cast<std::ptrdiff_t>(row) * width;
    std::reverse(line, line + width);
  }
}

}  // namespace sslcake::inline v0::augment::planes
