// How large a picture file may be. Checked on the header, before memory is asked for: a file of a hundred bytes can
// declare a picture of sixteen gigabytes.
#pragma once

#include <cstdint>

#include "../core/error.hpp"

namespace sslcake::inline v0::image {

struct DecodeLimits {
  std::int64_t max_pixels = 100'000'000;             // width x height; 300 MB decoded
  std::int64_t max_dimension = 32'768;               // width, height
  std::int64_t max_file_bytes = 256 * 1024 * 1024;   // at most 2 GiB - 1
};

namespace detail {

/// Throws unless 1 <= width, height and the size is within the limits.
inline void check_size(const char* format, std::int64_t width, std::int64_t height, const DecodeLimits& limits) {
  if (width < 1 || height < 1)
    fail("image::decode", "expected a ", format, " of at least 1 x 1 pixels, the header declares ", width, " x ", height);
  if (width > limits.max_dimension || height > limits.max_dimension || width * height > limits.max_pixels)
    fail("image::decode", "the ", format, " declares ", width, " x ", height, " pixels; the limits are ", limits.max_dimension,
         " a side and ", limits.max_pixels, " in all. Shrink the picture, or raise DecodeLimits if it is to be trusted");
}

}  // namespace detail
}  // namespace sslcake::inline v0::image
