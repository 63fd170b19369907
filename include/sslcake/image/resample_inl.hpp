#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "resample.hpp"

namespace sslcake::inline v0::image {

SSLCAKE_INLINE void make_taps(Taps& taps, int out, const Span& span, bool mirrored) {
  const double scale = static_cast<double>(span.length) / out, support = std::max(scale, 1.0);
  taps.span = span;
  taps.most = std::min(static_cast<int>(std::ceil(support)) * 2 + 1, span.length);
  taps.first.resize(static_cast<std::size_t>(out));
  taps.count.resize(static_cast<std::size_t>(out));
  taps.weight.resize(static_cast<std::size_t>(out) * static_cast<std::size_t>(taps.most));
  for (int i = 0; i < out; ++i) {
    const double centre = (i + 0.5) * scale;
    const auto triangle = [&](int j) { return std::max(0.0, 1.0 - std::abs(j + 0.5 - centre) / support); };
    int low = std::max(static_cast<int>(centre - support + 0.5), 0),
        high = std::min(static_cast<int>(centre + support + 0.5), span.length);
    high = std::min(high, low + taps.most);
    while (high - low > 1 && triangle(low) == 0) ++low;  // weights of zero at either end need no reading
    while (high - low > 1 && triangle(high - 1) == 0) --high;
    double sum = 0;
    for (int j = low; j < high; ++j) sum += triangle(j);
    const auto target = static_cast<std::size_t>(mirrored ? out - 1 - i : i);
    float* weights = taps.weight.data() + target * static_cast<std::size_t>(taps.most);
    taps.first[target] = span.start + low;
    taps.count[target] = high - low;
    for (int j = low; j < high; ++j) weights[j - low] = static_cast<float>(triangle(j) / sum);
  }
}

namespace detail {

// line[k] = sum_t weights[t] rows[t][k]. The inner loops have a fixed length, so that every compiler's vectoriser takes
// them at its ordinary optimisation level.
template <class T>
void mix_rows(const T* pixels, std::size_t row, std::size_t n, const float* weights, int count, float scale,
              float* __restrict line) {
  constexpr std::size_t block = 16;
  std::size_t k = 0;
  for (; k + block <= n; k += block) {
    float sum[block] = {};
    for (int t = 0; t < count; ++t) {
      const T* __restrict in = pixels + static_cast<std::size_t>(t) * row + k;
      const float weight = weights[t] * scale;
      for (std::size_t b = 0; b < block; ++b) sum[b] += weight * static_cast<float>(in[b]);
    }
    for (std::size_t b = 0; b < block; ++b) line[k + b] = sum[b];
  }
  for (; k < n; ++k) {
    float sum = 0;
    for (int t = 0; t < count; ++t) sum += weights[t] * scale * static_cast<float>(pixels[static_cast<std::size_t>(t) * row + k]);
    line[k] = sum;
  }
}

template <class T>
void resample_row(const T* pixels, int width, int channels, const Taps& across, const Taps& down, int y, float scale,
                  std::vector<float>& line, float* const* out) {
  const auto c = static_cast<std::size_t>(channels), row = static_cast<std::size_t>(width) * c;
  const std::size_t used = static_cast<std::size_t>(across.span.length) * c;
  if (line.size() < used + 4) line.resize(used + 4);  // four floats are read at a time below
  const T* top = pixels + static_cast<std::size_t>(down.first[static_cast<std::size_t>(y)]) * row +
                 static_cast<std::size_t>(across.span.start) * c;
  mix_rows(top, row, used, down.weights(y), down.count[static_cast<std::size_t>(y)], scale, line.data());

  using Four = float __attribute__((vector_size(16)));
  const int n = across.size();
  for (int i = 0; i < n; ++i) {
    const float* weights = across.weights(i);
    const float* in = line.data() + static_cast<std::size_t>(across.first[static_cast<std::size_t>(i)] - across.span.start) * c;
    const int count = across.count[static_cast<std::size_t>(i)];
    if (channels == 3) {
      Four sum = {};
      for (int t = 0; t < count; ++t, in += 3) {
        Four pixel;
        std::memcpy(&pixel, in, sizeof pixel);  // red, green, blue, and a neighbour's red that is not used
        sum += weights[t] * pixel;
      }
      out[0][i] = sum[0];
      out[1][i] = sum[1];
      out[2][i] = sum[2];
    } else {
      float sum = 0;
      for (int t = 0; t < count; ++t) sum += weights[t] * in[t];
      out[0][i] = sum;
    }
  }
}

}  // namespace detail

SSLCAKE_INLINE void resample_row(const Image& picture, const Taps& across, const Taps& down, int y, float scale,
                                 std::vector<float>& line, float* const* out) {
  detail::resample_row(picture.pixels.data(), picture.width, picture.channels, across, down, y, scale, line, out);
}

SSLCAKE_INLINE void resample_row(const float* pixels, int width, int channels, const Taps& across, const Taps& down, int y,
                                 float scale, std::vector<float>& line, float* const* out) {
  detail::resample_row(pixels, width, channels, across, down, y, scale, line, out);
}

}  // namespace sslcake::inline v0::image
