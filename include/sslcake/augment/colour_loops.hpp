// The colour operations on vectors of pixels, one text for all instruction sets (internal). Everything is always-inline
// and takes vectors by reference: it becomes part of the function of one instruction set that stands at the end.
#pragma once

#include <algorithm>
#include <cmath>

#include "../image/colour.hpp"
#include "../kernels/cpu/bfloat_vectors.hpp"
#include "../kernels/cpu/isa.hpp"
#include "colour_operation.hpp"

namespace sslcake::inline v0::augment::colour_loops {

template <int lanes>
using Vector = typename kernels::VectorOf<float, 4 * lanes>::type;

template <class V>
SSLCAKE_ALWAYS_INLINE void limit(V& x) {
  x = x > V{} ? x : V{};
  x = x < V{} + 1.0f ? x : V{} + 1.0f;
}
template <class V>
SSLCAKE_ALWAYS_INLINE void luma(const V& r, const V& g, const V& b, V& l) {
  l = image::red_weight * r + image::green_weight * g + image::blue_weight * b;
}

/// One channel of a colour with hue h in sixths of a turn, value v, chroma d = v - min: v - d · clamp(2 - distance, 0, 1),
/// where the distance is that of h, around the circle, from the opposite of the channel. It is the usual table of six
/// cases, without its branches.
template <class V>
SSLCAKE_ALWAYS_INLINE void channel_of_hue(const V& h, float opposite, const V& v, const V& d, V& out) {
  const V from = h - opposite;  // in [-6, 10)
  const V a = from < V{} ? -from : from, up = from + 6.0f, b = up < V{} ? -up : up, down = from - 6.0f,
          c = down < V{} ? -down : down;
  const V nearer = b < c ? b : c;
  V share = 2.0f - (a < nearer ? a : nearer);
  limit(share);
  out = v - d * share;
}

/// Red, green and blue are opposite to h = 3, 5 and 1. The hue is moved by `sixths` in [0,6).
template <class V>
SSLCAKE_ALWAYS_INLINE void turn_hue(V& r, V& g, V& b, float sixths) {
  V v = g > b ? g : b, least = g < b ? g : b;
  v = r > v ? r : v;
  least = r < least ? r : least;
  const V d = v - least, per = 1.0f / (d > V{} + 1e-12f ? d : V{} + 1e-12f);
  const V not_red = v == g ? 2.0f + (b - r) * per : 4.0f + (r - g) * per;
  const V h = (v == r ? (g - b) * per : not_red) + sixths;  // in [-1, 11)
  channel_of_hue(h, 3.0f, v, d, r);
  channel_of_hue(h, 5.0f, v, d, g);
  channel_of_hue(h, 1.0f, v, d, b);
}

template <class V>
SSLCAKE_ALWAYS_INLINE void scale_and_shift(V& x, float factor, const V& shift) {
  x = x * factor + shift;
  limit(x);
}
template <class V>
SSLCAKE_ALWAYS_INLINE void solarise(V& x, float threshold) { x = x >= threshold ? 1.0f - x : x; }

/// As many pixels of a view as one visit handles: enough to make choosing the operation cheap, few enough to stay close.
template <int lanes>
struct Block {
  static constexpr int size = 64, count = size / lanes;
  Vector<lanes> r[count], g[count], b[count];
};

template <int lanes>
SSLCAKE_ALWAYS_INLINE void apply(Block<lanes>& x, const ColourOperation& operation, float mean) {
  using Kind = ColourOperation::Kind;
  using V = Vector<lanes>;
  constexpr int count = Block<lanes>::count;
  const float a = operation.amount, sixths = 6 * (a - std::floor(a));
  V shift = V{};
  switch (operation.kind) {
    case Kind::contrast:
      shift += mean * (1 - a);
      [[fallthrough]];
    case Kind::brightness:
      for (int i = 0; i < count; ++i) {
        scale_and_shift(x.r[i], a, shift);
        scale_and_shift(x.g[i], a, shift);
        scale_and_shift(x.b[i], a, shift);
      }
      break;
    case Kind::saturation:
      for (int i = 0; i < count; ++i) {
        luma(x.r[i], x.g[i], x.b[i], shift);
        shift *= 1 - a;
        scale_and_shift(x.r[i], a, shift);
        scale_and_shift(x.g[i], a, shift);
        scale_and_shift(x.b[i], a, shift);
      }
      break;
    case Kind::hue:
      for (int i = 0; i < count; ++i) turn_hue(x.r[i], x.g[i], x.b[i], sixths);
      break;
    case Kind::greyscale:
      for (int i = 0; i < count; ++i) {
        luma(x.r[i], x.g[i], x.b[i], shift);
        x.r[i] = x.g[i] = x.b[i] = shift;
      }
      break;
    case Kind::solarise:
      for (int i = 0; i < count; ++i) {
        solarise(x.r[i], a);
        solarise(x.g[i], a);
        solarise(x.b[i], a);
      }
      break;
  }
}

/// The operations [first, last), of which only the first may be a contrast, on pixels [0, n) of three planes, n a multiple
/// of the block; returns the sum of the lumas of what came out, in a fixed order, if wanted.
template <int lanes>
SSLCAKE_ALWAYS_INLINE double pass(float* red, float* green, float* blue, int n, const ColourOperation* first,
                                  const ColourOperation* last, float mean, bool wants_sum) {
  double total = 0;
  Block<lanes> block;
  for (int start = 0; start < n; start += Block<lanes>::size) {
    __builtin_memcpy(block.r, red + start, sizeof block.r);
    __builtin_memcpy(block.g, green + start, sizeof block.g);
    __builtin_memcpy(block.b, blue + start, sizeof block.b);
    for (const auto* operation = first; operation != last; ++operation) apply<lanes>(block, *operation, mean);
    if (first != last) {
      __builtin_memcpy(red + start, block.r, sizeof block.r);
      __builtin_memcpy(green + start, block.g, sizeof block.g);
      __builtin_memcpy(blue + start, block.b, sizeof block.b);
    }
    if (!wants_sum) continue;
    Vector<lanes> sum{}, one;
    for (int i = 0; i < Block<lanes>::count; ++i) {
      luma(block.r[i], block.g[i], block.b[i], one);
      sum += one;
    }
    float along = 0;
    for (int i = 0; i < lanes; ++i) along += sum[i];
    total += static_cast<double>(along);
  }
  return total;
}

using Pass = double (*)(float* red, float* green, float* blue, int n, const ColourOperation* first, const ColourOperation* last,
                        float mean, bool wants_sum);

#define SSLCAKE_COLOUR_PASS(name, target, lanes)                                                        \
  target inline double name(float* red, float* green, float* blue, int n, const ColourOperation* first, \
                            const ColourOperation* last, float mean, bool wants_sum) {                  \
    return pass<lanes>(red, green, blue, n, first, last, mean, wants_sum);                              \
  }
SSLCAKE_COLOUR_PASS(portable, , 4)
#if SSLCAKE_X86
SSLCAKE_COLOUR_PASS(avx2, __attribute__((target("avx2,fma"))), 8)
SSLCAKE_COLOUR_PASS(avx512, __attribute__((target("avx512f,avx2,fma"))), 16)
#endif
#undef SSLCAKE_COLOUR_PASS

inline Pass chosen() {
  switch (kernels::isa()) {
#if SSLCAKE_X86
    case kernels::Isa::avx2: return avx2;
    case kernels::Isa::avx512:
    case kernels::Isa::avx512bf16:
    case kernels::Isa::amx: return avx512;
#endif
    default: return portable;
  }
}

}  // namespace sslcake::inline v0::augment::colour_loops
