// Sums over the pixels of each channel, as batch norm's mean and variance need them.
#pragma once

#include <cstdint>

#include "../core/storage.hpp"
#include "../core/threads.hpp"

namespace sslcake::inline v0::kernels::detail {

/// sum[c] and sum_sq[c] of y[pixel,c] - center[c] and of its square; y is (pixels, channels), center may be null (zeros).
/// Pixels are cut into chunks that depend on the extents alone and are added up in order.
template <class T>
void sum_channels(const T* y, std::int64_t pixels, std::int64_t channels, const T* center, double* sum, double* sum_sq) {
  const std::int64_t chunks = chunk_count(pixels * channels, 65536);
  const Workspace<double> partial((chunks + 1) * 2 * channels);
  parallel_chunks(chunks, [&](std::int64_t chunk) {
    double *first = partial.data() + 2 * chunk * channels, *second = first + channels;
    for (std::int64_t c = 0; c < channels; ++c) first[c] = second[c] = 0;
    for (std::int64_t p = pixels * chunk / chunks; p < pixels * (chunk + 1) / chunks; ++p)
      for (std::int64_t c = 0; c < channels; ++c) {
        const double d = static_cast<double>(y[p * channels + c]) - (center ? static_cast<double>(center[c]) : 0.0);
        first[c] += d;
        second[c] += d * d;
      }
  });
  for (std::int64_t c = 0; c < channels; ++c) {
    sum[c] = sum_sq[c] = 0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
      sum[c] += partial[2 * chunk * channels + c];
      sum_sq[c] += partial[(2 * chunk + 1) * channels + c];
    }
  }
}

}  // namespace sslcake::inline v0::kernels::detail
