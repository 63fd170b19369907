#pragma once

#include <algorithm>

#include "colour_loops.hpp"
#include "colours.hpp"

namespace sslcake::inline v0::augment {
namespace detail {

/// One pass over the view; then, if wanted, the mean luma of what came out.
inline float colour_pass(float* p, int n, const ColourOperation* first, const ColourOperation* last, float mean,
                         bool wants_mean) {
  constexpr int size = colour_loops::Block<4>::size;
  const auto pass = colour_loops::chosen();
  const int whole = n / size * size, rest = n - whole;
  double sum = pass(p, p + n, p + 2 * n, whole, first, last, mean, wants_mean);
  if (rest > 0) {
    float edge[3][size] = {};  // filled up with black
    for (int c = 0; c < 3; ++c) std::copy_n(p + c * n + whole, rest, edge[c]);
    pass(edge[0], edge[1], edge[2], size, first, last, mean, false);
    for (int c = 0; c < 3; ++c) std::copy_n(edge[c], rest, p + c * n + whole);
    for (int i = 0; i < rest; ++i) sum += static_cast<double>(image::luminance(edge[0][i], edge[1][i], edge[2][i]));
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
