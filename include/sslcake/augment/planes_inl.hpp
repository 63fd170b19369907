#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "blur_loops.hpp"
#include "planes.hpp"

namespace sslcake::inline v0::augment::planes {
namespace detail {

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

/// The half of a Gaussian kernel: weights[k] at distance k, k = 0 .. radius. What is below a millionth of the whole is
/// left out, which for narrow Gaussians is most of the kernel.
inline std::vector<float>& gaussian_weights(float sigma, int kernel) {
  static thread_local std::vector<float> weights;
  weights.resize(static_cast<std::size_t>(kernel / 2) + 1);
  double sum = 0;
  for (std::size_t k = 0; k < weights.size(); ++k) {
    const double z = static_cast<double>(k) / static_cast<double>(sigma);
    weights[k] = static_cast<float>(std::exp(-0.5 * z * z));
    sum += (k == 0 ? 1 : 2) * static_cast<double>(weights[k]);
  }
  while (weights.size() > 1 && static_cast<double>(weights.back()) < 1e-6 * sum) {
    sum -= 2 * static_cast<double>(weights.back());
    weights.pop_back();
  }
  for (auto& w : weights) w = static_cast<float>(static_cast<double>(w) / sum);
  return weights;
}

}  // namespace detail

SSLCAKE_INLINE void blur(float* p, int width, int height, float sigma, int kernel) {
  const auto& weights = detail::gaussian_weights(sigma, kernel);
  const int reach = static_cast<int>(weights.size()) - 1;
  auto& buffer = detail::scratch();
  buffer.resize(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) + static_cast<std::size_t>(width + 2 * reach));
  float* columns = buffer.data();
  float* padded = columns + static_cast<std::ptrdiff_t>(width) * height + reach;
  static thread_local std::vector<const float*> pointers;
  pointers.resize(2 * weights.size());
  const float** rows = pointers.data() + reach;
  const auto mix = blur_loops::chosen();
  for (int c = 0; c < 3; ++c) {
    float* plane = p + static_cast<std::ptrdiff_t>(c) * width * height;
    for (int y = 0; y < height; ++y) {  // down the columns, a row at a time
      for (int k = -reach; k <= reach; ++k) rows[k] = plane + static_cast<std::ptrdiff_t>(detail::reflect(y + k, height)) * width;
      mix(weights.data(), reach, rows, width, columns + static_cast<std::ptrdiff_t>(y) * width);
    }
    for (int k = -reach; k <= reach; ++k) rows[k] = padded + k;
    for (int y = 0; y < height; ++y) {  // along the rows, which are padded first so that the loop has no edges
      const float* row = columns + static_cast<std::ptrdiff_t>(y) * width;
      std::copy_n(row, width, padded);
      for (int k = 1; k <= reach; ++k) {
        padded[-k] = row[detail::reflect(-k, width)];
        padded[width - 1 + k] = row[detail::reflect(width - 1 + k, width)];
      }
      mix(weights.data(), reach, rows, width, plane + static_cast<std::ptrdiff_t>(y) * width);
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
