// The distinct convolutions of two residual networks, as (input, result, kernel) shapes.
#pragma once

#include <sslcake/kernels/conv_shape.hpp>

#include <cstdint>
#include <vector>

namespace bench {

inline sslcake::kernels::ConvShape square(std::int64_t views, std::int64_t size, std::int64_t c, std::int64_t o,
                                          std::int64_t kernel, std::int64_t stride) {
  return {.n = views,
          .h = size,
          .w = size,
          .c = c,
          .o = o,
          .kh = kernel,
          .kw = kernel,
          .stride_h = stride,
          .stride_w = stride,
          .pad_h = kernel / 2,
          .pad_w = kernel / 2};
}

/// With the 3x3 stem, at 32x32.
inline std::vector<sslcake::kernels::ConvShape> resnet18(std::int64_t views) {
  std::vector<sslcake::kernels::ConvShape> all{square(views, 32, 3, 64, 3, 1)};
  for (std::int64_t stage = 0, size = 32, c = 64; stage < 4; ++stage) {
    if (stage > 0) {
      all.push_back(square(views, size, c, 2 * c, 3, 2));
      all.push_back(square(views, size, c, 2 * c, 1, 2));
      c *= 2, size /= 2;
    }
    all.push_back(square(views, size, c, c, 3, 1));
  }
  return all;
}

/// With the ImageNet stem, at 128x128.
inline std::vector<sslcake::kernels::ConvShape> resnet50(std::int64_t views) {
  std::vector<sslcake::kernels::ConvShape> all{square(views, 128, 3, 64, 7, 2)};
  std::int64_t in = 64, size = 32;  // behind the pooling
  for (std::int64_t stage = 0, width = 64; stage < 4; ++stage, width *= 2) {
    const std::int64_t stride = stage > 0 ? 2 : 1;
    all.push_back(square(views, size, in, width, 1, 1));
    all.push_back(square(views, size, width, width, 3, stride));
    all.push_back(square(views, size, in, 4 * width, 1, stride));
    size /= stride;
    all.push_back(square(views, size, width, 4 * width, 1, 1));
    all.push_back(square(views, size, 4 * width, width, 1, 1));
    if (stage > 0) all.push_back(square(views, size, width, width, 3, 1));
    in = 4 * width;
  }
  return all;
}

}  // namespace bench
