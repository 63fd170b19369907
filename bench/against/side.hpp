// One state of the kernels, as another program sees it: free of the library's types, of which there are two here.
#pragma once

#include <cstdint>

struct Extents {
  std::int64_t n, size, c, o, kernel, stride;
};

struct Side {
  void (*set_threads)(int threads);
  void (*product)(bool trans_a, bool trans_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a, const float* b,
                  float* c);
  /// direction 0: y from x and w; 1: dx from dy and w; 2: dw from x and dy. Pictures are float, or the upper halves of floats.
  void (*convolve)(const Extents& extents, int direction, bool bfloat16, const void* first, const void* second, void* result);
};

extern "C" const Side side_before, side_now;
