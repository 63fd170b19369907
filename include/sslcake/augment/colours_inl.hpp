#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "../image/colour.hpp"
#include "colours.hpp"

namespace sslcake::inline v0::augment {
namespace detail {

// Four pixels' values of one channel. GCC's and Clang's vector extension: plain arithmetic on four numbers at a time with
// any instruction set, at any optimisation level.
using Four = float __attribute__((vector_size(16)));

inline Four select(decltype(Four{} < Four{}) where, Four yes, Four no) { return where ? yes : no; }
inline Four smaller(Four a, Four b) { return a < b ? a : b; }
inline Four larger(Four a, Four b) { return a > b ? a : b; }
inline Four unit(Four x) { return smaller(larger(x, Four{}), Four{} + 1.0f); }
inline Four absolute(Four x) { return larger(x, -x); }

/// Four pixels.
struct Pixels {
  Four r, g, b;

  Four luma() const { return image::red_weight * r + image::green_weight * g + image::blue_weight * b; }
  void scale_and_shift(float factor, Four shift) {
    r = unit(r * factor + shift);
    g = unit(g * factor + shift);
    b = unit(b * factor + shift);
  }
  void solarise(float threshold) {
    for (Four* x : {&r, &g, &b}) *x = select(*x >= threshold, 1.0f - *x, *x);
  }
  // RGB -> hue h in sixths of a turn, value v, chroma d = v - min. The hue is moved by `sixths` in [0,6), and each channel
  // becomes v - d · clamp(2 - |distance of h from the opposite of the channel|, 0, 1); red, green and blue are opposite
  // to h = 3, 5 and 1, and distances go around the circle. It is the usual table of six cases, without its branches.
  void turn_hue(float sixths) {
    const Four v = larger(r, larger(g, b)), d = v - smaller(r, smaller(g, b)), per = 1.0f / larger(d, Four{} + 1e-12f);
    const Four not_red = select(v == g, 2.0f + (b - r) * per, 4.0f + (r - g) * per);
    const Four h = select(v == r, (g - b) * per, not_red) + sixths;  // in [-1, 11)
    const auto channel = [&](Four from_opposite) {                   // in [-6, 10)
      const Four distance = smaller(absolute(from_opposite + 6.0f), smaller(absolute(from_opposite), absolute(from_opposite - 6.0f)));
      return v - d * unit(2.0f - distance);
    };
    r = channel(h - 3.0f);
    g = channel(h - 5.0f);
    b = channel(h - 1.0f);
  }
};

/// As many pixels of a view as one visit handles: enough to make choosing the operation cheap, few enough to stay close.
struct ColourBlock {
  static constexpr int size = 32;
  Pixels pixels[size / 4];

  void load(const float* r, const float* g, const float* b) {
    for (int i = 0; i < size / 4; ++i) {
      std::memcpy(&pixels[i].r, r + 4 * i, sizeof(Four));
      std::memcpy(&pixels[i].g, g + 4 * i, sizeof(Four));
      std::memcpy(&pixels[i].b, b + 4 * i, sizeof(Four));
    }
  }
  float luma_sum() const {
    Four sum = {};
    for (const Pixels& x : pixels) sum += x.luma();
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
  }
  void store(float* r, float* g, float* b) const {
    for (int i = 0; i < size / 4; ++i) {
      std::memcpy(r + 4 * i, &pixels[i].r, sizeof(Four));
      std::memcpy(g + 4 * i, &pixels[i].g, sizeof(Four));
      std::memcpy(b + 4 * i, &pixels[i].b, sizeof(Four));
    }
  }
};

inline void apply_to_block(ColourBlock& block, const ColourOperation& operation, float mean) {
  using Kind = ColourOperation::Kind;
  const float a = operation.amount, rest = mean * (1 - a), sixths = 6 * (a - std::floor(a));
  for (Pixels& x : block.pixels) {
    switch (operation.kind) {
      case Kind::brightness: x.scale_and_shift(a, Four{}); break;
      case Kind::contrast: x.scale_and_shift(a, Four{} + rest); break;
      case Kind::saturation: x.scale_and_shift(a, x.luma() * (1 - a)); break;
      case Kind::hue: x.turn_hue(sixths); break;
      case Kind::greyscale: x.r = x.g = x.b = x.luma(); break;
      case Kind::solarise: x.solarise(a); break;
    }
  }
}

/// One pass over the view: the operations [first, last), of which only the first may be a contrast; then, if wanted, the
/// mean luma of what came out, summed in a fixed order.
inline float colour_pass(float* p, int n, const ColourOperation* first, const ColourOperation* last, float mean, bool wants_mean) {
  double sum = 0;
  ColourBlock block;
  float edge[3][ColourBlock::size] = {};  // the last block, filled up with black
  for (int start = 0; start < n; start += ColourBlock::size) {
    const int valid = std::min(n - start, ColourBlock::size);
    const bool whole = valid == ColourBlock::size;
    float* planes[3] = {p + start, p + n + start, p + 2 * n + start};
    if (whole) {
      block.load(planes[0], planes[1], planes[2]);
    } else {
      for (int c = 0; c < 3; ++c) std::copy_n(planes[c], valid, edge[c]);
      block.load(edge[0], edge[1], edge[2]);
    }
    for (const auto* operation = first; operation != last; ++operation) apply_to_block(block, *operation, mean);
    if (whole) {
      if (first != last) block.store(planes[0], planes[1], planes[2]);
      if (wants_mean) sum += static_cast<double>(block.luma_sum());
    } else {
      block.store(edge[0], edge[1], edge[2]);
      for (int c = 0; c < 3; ++c) std::copy_n(edge[c], valid, planes[c]);
      for (int i = 0; i < valid; ++i) sum += static_cast<double>(image::luminance(edge[0][i], edge[1][i], edge[2][i]));
    }
  }
  return static_cast<float>(sum / n);
}

}  // namespace detail

SSLCAKE_INLINE void apply_colours(float* p, int n, const ColourOperation* operations, int count) {
  const auto *first = operations, *end = operations + count;
  const auto is_contrast = [](const ColourOperation& o) { return o.kind == ColourOperation::Kind::contrast; };
  float mean = first != end && is_contrast(*first) ? detail::colour_pass(p, n, first, first, 0, true) : 0;
  while (first != end) {
    const auto* next = std::find_if(first + 1, end, is_contrast);
    mean = detail::colour_pass(p, n, first, next, mean, next != end);
    first = next;
  }
}

}  // namespace sslcake::inline v0::augment
